// Package progress shows how far a long job is: a training stage, a folder of photos, a download.
//
// One [Bar] adapts to where it writes. On a terminal it redraws a small block (bar, count, time
// left; below it losses and speed). In a Jupyter notebook it rewrites one short line. Anywhere
// else (a log file, a CI job) it writes a plain line now and then.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Bytes is the [Options.Unit] of downloads: counts are shown in kB, MB or GB.
const Bytes = "bytes"

// Field is a named value shown beside the bar, such as a loss or the learning rate, already
// formatted for reading.
type Field struct {
	Name, Value string
}

// Options configure a [Bar]. The zero value counts steps towards an unknown total.
type Options struct {
	// Title names the job in a word or two.
	Title string
	// Total is the count at which the job is complete; 0 if unknown.
	Total int
	// Start is the count already done when the bar starts: the step a resumed run goes on from.
	Start int
	// Every is the least time between two drawings; 0 means 0.2 s on a terminal, 1 s in a
	// notebook and 10 s for plain lines.
	Every time.Duration
	// Unit says what is counted, in the plural: "images", [Bytes]; empty means steps.
	Unit string
	// Batch is the number of images per step, so that speed is given in images/s; 0 gives it
	// in units/s.
	Batch int
	// Compiles says that the first step contains a compilation, as the first call of an XLA
	// graph does: its time is reported apart and left out of speed and time left.
	Compiles bool
}

// Bar shows the progress of one job. Its methods may be called from several goroutines. Nothing it
// does can fail: output that cannot be written is dropped, because a job must not stop over it.
type Bar struct {
	opts   Options
	screen screen
	stop   chan struct{}
	done   sync.WaitGroup

	// drawing orders what is written; it is taken before state. Step takes only state, so that a
	// slow terminal cannot hold up the job.
	drawing sync.Mutex

	state   sync.Mutex
	n       int
	fields  []Field
	phase   phase
	stepped bool // Step was called
	dirty   bool // something changed since the last drawing
	started time.Time
	drawn   time.Time
	busy    string    // what a pause is about
	paused  time.Time // when the pause began
	speeds  window
}

// phase says where a bar is in its life.
type phase int

const (
	running phase = iota
	finished
	stopped
)

// screen is one way of showing a bar. All its methods are called with Bar.drawing held.
type screen interface {
	// every returns the least time between two drawings.
	every() time.Duration
	// live says whether the picture is kept up to date while nothing happens.
	live() bool
	// draw shows v, in place of what was shown before where the medium can do that.
	draw(v view)
	// note writes a message above the bar, which goes on as v.
	note(msg string, v view)
	// end shows v for the last time and leaves the output at the start of a new line.
	end(v view)
}

// New starts a bar that writes to w. End it with [Bar.Finish] or [Bar.Stop].
func New(w io.Writer, opts Options) *Bar {
	return start(newScreen(w), opts)
}

func start(s screen, opts Options) *Bar {
	if opts.Unit == "" {
		opts.Unit = "steps"
	}
	if opts.Every <= 0 {
		opts.Every = s.every()
	}
	now := time.Now()
	b := &Bar{opts: opts, screen: s, stop: make(chan struct{}), n: opts.Start, started: now}
	b.speeds.restart(now, opts.Start)
	if s.live() {
		b.redraw()
	}
	b.done.Go(b.tick)
	return b
}

// tick draws what changed, until the bar ends.
func (b *Bar) tick() {
	ticker := time.NewTicker(b.opts.Every)
	defer ticker.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-ticker.C:
			b.redraw()
		}
	}
}

// Step reports that n units are done in all, counted from zero and not from [Options.Start], and
// replaces the fields shown.
func (b *Bar) Step(n int, fields ...Field) {
	compiled, first := b.step(n, fields)
	if first && b.opts.Compiles {
		b.Note(fmt.Sprintf("%scompiled in %.1f s", titlePrefix(b.opts.Title), compiled.Seconds()))
	}
}

// step records a step. It returns the time since the last one and whether it is the first.
func (b *Bar) step(n int, fields []Field) (took time.Duration, first bool) {
	b.state.Lock()
	defer b.state.Unlock()
	if b.phase != running {
		return 0, false
	}
	now := time.Now()
	took = now.Sub(b.speeds.last.at) // without pauses before the first step
	first, b.stepped = !b.stepped, true
	if first && b.opts.Compiles || n < b.n {
		b.speeds.restart(now, n)
	} else {
		b.speeds.add(now, n)
	}
	b.n, b.fields, b.dirty = n, append(b.fields[:0], fields...), true
	return took, first
}

// Note writes a message above the bar. Line breaks are kept, other control characters are not.
func (b *Bar) Note(msg string) {
	b.drawing.Lock()
	defer b.drawing.Unlock()
	b.screen.note(printable(msg), b.view())
}

// Pause says that the job does something else for a while, such as a validation: reason is shown
// ("validating") and the time until resume is called does not count for the speed. Pauses do not
// nest.
func (b *Bar) Pause(reason string) (resume func()) {
	b.state.Lock()
	b.busy, b.paused, b.dirty = reason, time.Now(), true
	b.state.Unlock()
	return sync.OnceFunc(func() {
		b.state.Lock()
		defer b.state.Unlock()
		away := time.Since(b.paused)
		b.speeds.shift(away)
		b.busy, b.paused, b.dirty = "", time.Time{}, true
	})
}

// Finish ends the bar of a job that is complete.
func (b *Bar) Finish() { b.end(finished) }

// Stop ends the bar of a job that was cut short. After Finish it does nothing, so that it can be
// deferred.
func (b *Bar) Stop() { b.end(stopped) }

func (b *Bar) end(p phase) {
	if b.enter(p) {
		close(b.stop)
	}
	b.done.Wait()
}

// enter takes the bar into its last phase and shows it. It returns false if it was there already.
func (b *Bar) enter(p phase) bool {
	b.drawing.Lock()
	defer b.drawing.Unlock()
	b.state.Lock()
	already := b.phase != running
	if !already {
		b.phase = p
	}
	b.state.Unlock()
	if already {
		return false
	}
	b.screen.end(b.view())
	return true
}

// redraw shows the present state if it changed, and on a live screen at least once a second so
// that the clock is seen to run.
func (b *Bar) redraw() {
	b.drawing.Lock()
	defer b.drawing.Unlock()
	b.state.Lock()
	now := time.Now()
	due := b.phase == running && (b.dirty || b.screen.live() && now.Sub(b.drawn) >= time.Second)
	if due {
		b.dirty, b.drawn = false, now
	}
	b.state.Unlock()
	if due {
		b.screen.draw(b.view())
	}
}

// view returns what there is to show now.
func (b *Bar) view() view {
	b.state.Lock()
	defer b.state.Unlock()
	now := time.Now()
	v := view{
		title:  printable(b.opts.Title),
		count:  count(b.n, b.opts.Total, b.opts.Unit),
		phase:  b.phase,
		status: b.status(now),
	}
	if b.opts.Total > 0 {
		v.fraction, v.known = min(max(float64(b.n)/float64(b.opts.Total), 0), 1), true
	}
	for _, f := range b.fields {
		v.fields = append(v.fields, Field{printable(f.Name), printable(f.Value)})
	}
	v.rate = b.rate()
	return v
}

// status says in a few words how long it takes, or took, or what keeps it.
func (b *Bar) status(now time.Time) string {
	elapsed := clock(now.Sub(b.started))
	switch {
	case b.phase == finished:
		return "took " + elapsed
	case b.phase == stopped:
		return "stopped after " + elapsed
	case b.busy != "":
		return printable(b.busy) + " " + clock(now.Sub(b.paused))
	case !b.stepped && b.opts.Compiles:
		return "compiling " + clock(now.Sub(b.speeds.last.at))
	}
	perSecond := b.speeds.rate()
	if perSecond <= 0 || b.opts.Total <= 0 {
		return elapsed
	}
	left := time.Duration(float64(b.opts.Total-b.n) / perSecond * float64(time.Second))
	return clock(max(left-now.Sub(b.speeds.last.at), 0)) + " left"
}

// rate formats the speed: over the last seconds while running, over all when done.
func (b *Bar) rate() string {
	perSecond := b.speeds.rate()
	if b.phase != running {
		perSecond = b.speeds.mean()
	}
	switch {
	case perSecond <= 0:
		return ""
	case b.opts.Unit == Bytes:
		return size(perSecond) + "/s"
	case b.opts.Batch > 0:
		return decimal(perSecond*float64(b.opts.Batch)) + " images/s"
	}
	return decimal(perSecond) + " " + b.opts.Unit + "/s"
}

// titlePrefix returns the title as the beginning of a line.
func titlePrefix(title string) string {
	if title == "" {
		return ""
	}
	return title + ": "
}

// printable replaces control characters other than the line break: a file's name must not be able
// to move the cursor or recolour the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '?'
		}
		return r
	}, s)
}
