package parallel

import (
	"context"
	"iter"
	"sync"
)

// Ahead calls do for 0 to n-1, in that order, in a goroutine of its own, and yields the results: while the
// loop works on one, the next is made. An error, or the cause of ctx's end, is yielded last. When the loop
// ends, so has the goroutine.
func Ahead[T any](ctx context.Context, n int, do func(i int) (T, error)) iter.Seq2[T, error] {
	type result struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		inner, stop := context.WithCancel(ctx)
		results := make(chan result)
		var worker sync.WaitGroup
		worker.Go(func() {
			defer close(results)
			for i := range n {
				if inner.Err() != nil {
					return
				}
				value, err := do(i)
				select {
				case results <- result{value, err}:
				case <-inner.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
		defer worker.Wait()
		defer stop()
		for done := 0; done < n; done++ {
			r, ok := <-results
			if !ok {
				r.err = context.Cause(ctx)
			}
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
	}
}
