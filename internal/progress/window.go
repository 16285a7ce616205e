package progress

import "time"

const (
	windowTime    = 30 * time.Second       // speed is measured over this long
	windowSamples = 8                      // ... and over at least this many samples, for slow steps
	windowSpacing = 100 * time.Millisecond // samples closer than this are not kept
)

// sample is a count at a time.
type sample struct {
	at time.Time
	n  int
}

// window measures a speed over the last samples.
type window struct {
	origin  sample   // where measuring began
	samples []sample // the last ones, oldest first, at least one
	last    sample
}

// restart forgets everything before n at now.
func (w *window) restart(now time.Time, n int) {
	w.last = sample{now, n}
	w.origin = w.last
	w.samples = append(w.samples[:0], w.last)
}

// add records the count n at now and forgets what is too old.
func (w *window) add(now time.Time, n int) {
	w.last = sample{now, n}
	if now.Sub(w.samples[len(w.samples)-1].at) < windowSpacing {
		return
	}
	w.samples = append(w.samples, w.last)
	old := 0
	for len(w.samples)-old > windowSamples && now.Sub(w.samples[old].at) > windowTime {
		old++
	}
	w.samples = append(w.samples[:0], w.samples[old:]...)
}

// shift takes a pause out of the measurement by moving the past forward.
func (w *window) shift(d time.Duration) {
	for i := range w.samples {
		w.samples[i].at = w.samples[i].at.Add(d)
	}
	w.origin.at = w.origin.at.Add(d)
	w.last.at = w.last.at.Add(d)
}

// rate returns units per second over the last samples, 0 while not known.
func (w *window) rate() float64 { return speed(w.samples[0], w.last) }

// mean returns units per second over all, 0 while not known.
func (w *window) mean() float64 { return speed(w.origin, w.last) }

func speed(from, to sample) float64 {
	seconds := to.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(to.n-from.n) / seconds
}
