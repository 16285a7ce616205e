package parallel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, atATime := range []int{1, 3, 100} {
		var mu sync.Mutex
		var seen []int
		var now, most atomic.Int64
		err := Each(t.Context(), 50, atATime, func(i int) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			mu.Lock()
			seen = append(seen, i)
			mu.Unlock()
			now.Add(-1)
			return nil
		})
		slices.Sort(seen)
		if err != nil || len(slices.Compact(seen)) != 50 || len(seen) != 50 || seen[49] != 49 || most.Load() > int64(atATime) {
			t.Errorf("%d at a time: %v, did %v, %d at once", atATime, err, seen, most.Load())
		}
	}
	if err := Each(t.Context(), 0, 2, func(int) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}

func TestEachStops(t *testing.T) {
	broken := errors.New("broken")
	var calls int
	err := Each(t.Context(), 50, 1, func(i int) error {
		calls++
		if i == 3 {
			return broken
		}
		return nil
	})
	if err != broken || calls != 4 {
		t.Errorf("%v after %d calls, want the error of the fourth", err, calls)
	}

	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err = Each(ctx, 50, 1, func(i int) error {
		calls++
		if i == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 4 {
		t.Errorf("%v after %d calls, want the end of the context after the fourth", err, calls)
	}
}
