// Package parallel does independent pieces of work on all processors.
package parallel

import (
	"context"
	"sync"
	"sync/atomic"
)

// Each calls do for 0 to n-1, in that order, up to so many at a time, until all are done, one returns an
// error, or ctx ends; calls that have begun are waited for. It returns that error, or the cause of ctx's end.
func Each(ctx context.Context, n, atATime int, do func(i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var begun atomic.Int64
	var workers sync.WaitGroup
	for range min(n, atATime) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(begun.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					stop(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
