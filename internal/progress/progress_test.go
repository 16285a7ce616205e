package progress

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"
)

// The tests run in synctest bubbles: time is simulated there, so that sleeping takes none and
// every figure is exact.

// emulator is as much of a terminal as the bar uses.
type emulator struct {
	t *testing.T

	mu     sync.Mutex
	width  int
	screen [][]rune
	x, y   int
	colour bool // an SGR sequence was seen
}

func (e *emulator) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := string(p)
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexAny(rest, "AJKm")
			e.control(rest[:end], rest[end])
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		e.put(r)
	}
	return len(p), nil
}

func (e *emulator) control(arg string, command byte) {
	switch command {
	case 'A':
		n := 0
		fmt.Sscan(arg, &n)
		e.y -= n
		if e.y < 0 {
			e.t.Fatal("the cursor left the screen at the top")
		}
	case 'K':
		e.line()
		e.screen[e.y] = e.screen[e.y][:e.x]
	case 'J':
		e.line()
		e.screen = e.screen[:e.y+1]
		e.screen[e.y] = e.screen[e.y][:e.x]
	case 'm':
		e.colour = true
	}
}

// line makes the line of the cursor at least as long as its column.
func (e *emulator) line() {
	for len(e.screen) <= e.y {
		e.screen = append(e.screen, nil)
	}
	for len(e.screen[e.y]) < e.x {
		e.screen[e.y] = append(e.screen[e.y], ' ')
	}
}

func (e *emulator) put(r rune) {
	switch r {
	case '\r':
		e.x = 0
		return
	case '\n':
		e.x, e.y = 0, e.y+1
		e.line()
		return
	case '\x1b':
		e.t.Fatal("unknown escape sequence")
	}
	e.line()
	e.screen[e.y] = append(e.screen[e.y][:e.x], append([]rune{r}, e.screen[e.y][min(e.x+1, len(e.screen[e.y])):]...)...)
	e.x++
	if e.x >= e.width {
		e.t.Errorf("a line reaches the last column of %d: %q", e.width, string(e.screen[e.y]))
	}
}

// String returns what stands on the screen once the bar has drawn what is due.
func (e *emulator) String() string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var text []string
	for _, l := range e.screen {
		text = append(text, strings.TrimRight(string(l), " "))
	}
	return strings.Join(text, "\n")
}

// resize makes the terminal narrower and wraps its lines anew, as terminals do.
func (e *emulator) resize(width int) {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var screen [][]rune
	for y, l := range e.screen {
		for len(l) > width {
			screen = append(screen, l[:width])
			l = l[width:]
		}
		screen = append(screen, slices.Clone(l))
		if y == e.y {
			e.x = len(l)
		}
	}
	e.width, e.screen, e.y = width, screen, len(screen)-1
}

// newTerminal returns an emulated terminal and the screen that draws on it.
func newTerminal(t *testing.T, width int) (*emulator, *terminal) {
	e := &emulator{t: t, width: width}
	return e, &terminal{w: e, width: func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.width
	}, colour: true, glyphs: unicodeGlyphs}
}

// train plays a stage of 100 steps of a second each behind a compilation of 12.3 s.
func train(b *Bar, from, to int) {
	for n := from; n <= to; n++ {
		if n == 1 {
			time.Sleep(12300 * time.Millisecond)
		} else {
			time.Sleep(time.Second)
		}
		b.Step(n, Field{"loss", fmt.Sprintf("%.4f", 1/float64(n))}, Field{"accuracy", "93.8 %"}, Field{"lr", "2.0e-04"})
	}
}

var stage = Options{Title: "pre-train", Total: 100, Batch: 8, Compiles: true}

func TestTerminal(t *testing.T) {
	tests := []struct {
		width           int
		compiling, half string
		done            string
	}{
		{
			width: 100,
			compiling: `
pre-train  ────────────────────────────────────────────────    0%    0/100  compiling 0:05`,
			half: `
pre-train: compiled in 12.3 s
pre-train  ━━━━━━━━━━━━━━━━━━━━━━━━────────────────────────   50%   50/100  0:50 left
  loss 0.0200  accuracy 93.8 %  lr 2.0e-04  8 images/s`,
			done: `
pre-train: compiled in 12.3 s
pre-train  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  100%  100/100  took 1:51
  loss 0.0100  accuracy 93.8 %  lr 2.0e-04  8 images/s`,
		},
		{
			width: 60,
			compiling: `
pre-train  ─────────────────    0%    0/100  compiling 0:05`,
			half: `
pre-train: compiled in 12.3 s
pre-train  ━━━━━━━━━╸─────────   50%   50/100  0:50 left
  loss 0.0200  accuracy 93.8 %  lr 2.0e-04  8 images/s`,
			done: `
pre-train: compiled in 12.3 s
pre-train  ━━━━━━━━━━━━━━━━━━━  100%  100/100  took 1:51
  loss 0.0100  accuracy 93.8 %  lr 2.0e-04  8 images/s`,
		},
		{
			width: 32,
			compiling: `
pre-tra…    0/100  compiling 0…`,
			half: `
pre-train: compiled in 12.3 s
pre-tra…   50/100  0:50 left
  loss 0.0200  accuracy 93.8 %
  lr 2.0e-04  8 images/s`,
			done: `
pre-train: compiled in 12.3 s
pre-tra…  100/100  took 1:51
  loss 0.0100  accuracy 93.8 %
  lr 2.0e-04  8 images/s`,
		},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.width), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, s := newTerminal(t, tt.width)
				b := start(s, stage)
				time.Sleep(5500 * time.Millisecond)
				compare(t, "compiling", e.String(), tt.compiling)
				b.Stop()

				e, s = newTerminal(t, tt.width)
				b = start(s, stage)
				train(b, 1, 50)
				time.Sleep(300 * time.Millisecond)
				compare(t, "half", e.String(), tt.half)
				time.Sleep(700 * time.Millisecond)
				train(b, 52, 100)
				b.Finish()
				compare(t, "done", e.String(), tt.done+"\n")
				if !e.colour {
					t.Error("no colour on a terminal")
				}
			})
		})
	}
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

func TestTerminalRedrawsInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newTerminal(t, 80)
		b := start(s, stage)
		train(b, 1, 3)
		b.Note("saved checkpoint 3\nbest so far")
		e.resize(40)
		train(b, 4, 6)
		b.Stop()
		if got := strings.Count(e.String(), "/100"); got != 1 {
			t.Errorf("the bar stands %d times on the screen, want once:\n%s", got, e)
		}
		b.Note("the end")
		if !strings.HasSuffix(e.String(), "\nthe end\n") {
			t.Errorf("a note after the end is not a plain line:\n%s", e)
		}
	})
}

func TestNoColour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newTerminal(t, 80)
		s.colour = false
		b := start(s, stage)
		train(b, 1, 3)
		b.Finish()
		if e.colour {
			t.Error("colour although it is off")
		}
	})
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := New(&out, stage)
		train(b, 1, 30)
		b.Note("saved")
		b.Stop()
		compare(t, "lines", out.String(), `
pre-train: compiled in 12.3 s
pre-train:   8/100 (8%)  loss 0.1250  accuracy 93.8 %  lr 2.0e-04  8 images/s  1:31 left
pre-train:  18/100 (18%)  loss 0.0556  accuracy 93.8 %  lr 2.0e-04  8 images/s  1:21 left
pre-train:  28/100 (28%)  loss 0.0357  accuracy 93.8 %  lr 2.0e-04  8 images/s  1:11 left
saved
pre-train:  30/100 (30%)  loss 0.0333  accuracy 93.8 %  lr 2.0e-04  8 images/s  stopped after 0:41
`)
	})
}

func TestNotebook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := start(&notebook{w: &out}, Options{Title: "restore", Total: 4, Unit: "images"})
		time.Sleep(1500 * time.Millisecond)
		b.Step(1, Field{"file", strings.Repeat("x", 40)})
		time.Sleep(1500 * time.Millisecond)
		b.Step(2, Field{"file", "y"})
		b.Note("wrote two")
		time.Sleep(1500 * time.Millisecond)
		b.Step(4)
		b.Finish()
		text := out.String()
		if strings.Contains(text, "\x1b") {
			t.Error("escape sequence in a notebook")
		}
		// What is read after the carriage returns took effect.
		var shown []string
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			e := &emulator{t: t, width: 200}
			io.WriteString(e, line)
			shown = append(shown, e.String())
		}
		compare(t, "notebook", strings.Join(shown, "\n"), `
wrote two
━━━━━━━━━━━━━━━━ restore: 4/4 images (100%)  0.889 images/s  took 0:05`)
	})
}

func TestRedrawsAtMostEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &counter{}
		b := start(&terminal{w: w, width: func() int { return 80 }, glyphs: asciiGlyphs}, Options{Total: 10000})
		for n := 1; n <= 10000; n++ {
			time.Sleep(time.Millisecond)
			b.Step(n)
		}
		b.Finish()
		if w.writes > 55 { // 5 per second for 10 s, the first, the last, and the line break
			t.Errorf("%d writes in 10 s, want at most 5 per second", w.writes)
		}
	})
}

type counter struct{ writes int }

func (c *counter) Write(p []byte) (int, error) { c.writes++; return len(p), nil }

func TestPauseIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newTerminal(t, 90)
		b := start(s, stage)
		train(b, 1, 10)
		resume := b.Pause("validating")
		time.Sleep(20300 * time.Millisecond)
		if !strings.Contains(e.String(), "validating 0:20") {
			t.Errorf("the pause is not shown:\n%s", e)
		}
		resume()
		resume()
		train(b, 11, 12)
		b.Stop()
		if !strings.Contains(e.String(), "  8 images/s") {
			t.Errorf("the pause counts for the speed:\n%s", e)
		}
	})
}

func TestPauseBeforeTheFirstStepIsNoCompilation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := New(&out, stage)
		resume := b.Pause("validating")
		time.Sleep(time.Minute)
		resume()
		train(b, 1, 1)
		b.Finish()
		if !strings.Contains(out.String(), "compiled in 12.3 s") {
			t.Errorf("wrong time of the compilation: %s", &out)
		}
	})
}

func TestResumedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newTerminal(t, 90)
		b := start(s, Options{Title: "XLA plugin", Total: 63e6, Start: 20e6, Unit: Bytes})
		for n := 21_000_000; n <= 40_000_000; n += 1_000_000 {
			time.Sleep(475 * time.Millisecond)
			b.Step(n)
		}
		time.Sleep(300 * time.Millisecond)
		compare(t, "download", e.String(), `
XLA plugin  ━━━━━━━━━━━━━━━━━━━━━━━──────────────   63%  40.0 MB of 63.0 MB  0:11 left
  2.1 MB/s`)
		b.Stop()
	})
}

func TestControlCharactersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newTerminal(t, 90)
		s.colour = false
		b := start(s, Options{Title: "a\x1b[2Jb", Total: 2, Unit: "images"})
		b.Step(1, Field{"file\r", "\x1b]0;title\x07.png\nsecond"})
		b.Note("c\x1b[1Ad")
		b.Finish()
		if strings.ContainsAny(e.String(), "\x1b\r\x07") || e.colour {
			t.Errorf("control characters got through: %q", e)
		}
	})
}

func TestWideCharactersFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := newTerminal(t, 50)
		v := view{title: strings.Repeat("夜", 40), count: "1/2", known: true, fraction: 0.5, status: "0:01 left",
			fields: []Field{{"file", strings.Repeat("景", 60)}}}
		for _, r := range s.layout(v, 49) {
			if got := runewidth.StringWidth(r.text.String()); r.width > 49 || got < r.width {
				t.Errorf("line of %d columns (text %d), want at most 49", r.width, got)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := New(&out, Options{Title: "restore", Total: 800, Unit: "images", Every: time.Millisecond})
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for n := range 100 {
					time.Sleep(time.Millisecond)
					b.Step(worker*100+n, Field{"file", "x"})
					b.Note("n")
				}
			})
		}
		all.Wait()
		all.Go(b.Finish)
		all.Go(b.Stop)
		all.Wait()
		if strings.Count(out.String(), "took")+strings.Count(out.String(), "stopped") != 1 {
			t.Error("the bar did not end exactly once")
		}
	})
}

func TestGlyphs(t *testing.T) {
	tests := []struct {
		env  map[string]string
		want glyphs
	}{
		{nil, unicodeGlyphs},
		{map[string]string{"LANG": "C.UTF-8"}, unicodeGlyphs},
		{map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"}, asciiGlyphs},
		{map[string]string{"LC_CTYPE": "de_DE.utf8", "LANG": "C"}, unicodeGlyphs},
	}
	for _, tt := range tests {
		if got := glyphsOf(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.env, got, tt.want)
		}
	}
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"0:07":      clock(7 * time.Second),
		"59:59":     clock(time.Hour - time.Second),
		"2:00:05":   clock(2*time.Hour + 5*time.Second),
		"3d 04h":    clock(76*time.Hour + time.Minute),
		"512 B":     size(512),
		"63.0 MB":   size(63e6),
		"1.2 GB":    size(1.24e9),
		"0.889":     decimal(0.8888),
		"41.2":      decimal(41.23),
		"1235":      decimal(1234.6),
		"17 steps":  count(17, 0, "steps"),
		"   7/3000": count(7, 3000, "steps"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
