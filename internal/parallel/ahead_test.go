package parallel

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestAhead(t *testing.T) {
	var got []int
	second := make(chan struct{})
	for v, err := range Ahead(t.Context(), 4, func(i int) (int, error) {
		if i == 1 {
			close(second)
		}
		return i * i, nil
	}) {
		<-second // is made while the loop still works on the first
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []int{0, 1, 4, 9}) {
		t.Errorf("got %v", got)
	}
}

func TestAheadStops(t *testing.T) {
	broken, cancelled := errors.New("broken"), errors.New("cancelled")
	calls := 0
	results := func(ctx context.Context, do func(i int) error) (values []int, last error) {
		calls = 0
		for v, err := range Ahead(ctx, 100, func(i int) (int, error) { calls++; return i, do(i) }) {
			if last = err; err == nil {
				values = append(values, v)
			}
		}
		return values, last
	}
	if values, err := results(t.Context(), func(i int) error {
		if i == 2 {
			return broken
		}
		return nil
	}); !errors.Is(err, broken) || len(values) != 2 || calls != 3 {
		t.Errorf("an error of the third: %v, %v, %d calls", values, err, calls)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if values, err := results(ctx, func(i int) error {
		if i == 2 {
			cancel(cancelled)
		}
		return nil
	}); !errors.Is(err, cancelled) || len(values) > 3 || calls != 3 {
		t.Errorf("cancelled in the third: %v, %v, %d calls", values, err, calls)
	}
	calls = 0
	for range Ahead(t.Context(), 100, func(i int) (int, error) { calls++; return i, nil }) {
		break
	}
	if calls > 2 { // the goroutine has ended: reading calls is no race
		t.Errorf("%d calls for a loop that ended after one", calls)
	}
}
