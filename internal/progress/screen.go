package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gomlx/gomlx/ui/notebooks"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// newScreen returns the screen that fits w and the environment.
func newScreen(w io.Writer) screen {
	f, isFile := w.(*os.File)
	switch {
	case isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb":
		return &terminal{
			w:      f,
			width:  func() int { return terminalWidth(f) },
			colour: os.Getenv("NO_COLOR") == "",
			glyphs: glyphsOf(os.Getenv),
		}
	case (w == os.Stdout || w == os.Stderr) && inNotebook():
		return &notebook{w: f}
	}
	return &lines{w: w}
}

// inNotebook says whether the process runs in a cell of a Jupyter notebook, where a carriage return
// rewrites the line although the output is not a terminal.
func inNotebook() bool {
	return notebooks.IsNotebook() || os.Getenv("GONB_JUPYTER_KERNEL_ID") != ""
}

// terminalWidth returns the columns of the terminal f; 80, the customary width, where it has no size.
func terminalWidth(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// glyphs are the characters a bar is drawn with.
type glyphs struct {
	full, half, empty string
}

var (
	unicodeGlyphs = glyphs{full: "━", half: "╸", empty: "─"}
	asciiGlyphs   = glyphs{full: "=", half: "=", empty: "-"}
)

// glyphsOf returns line-drawing characters unless the locale names another encoding than UTF-8, or
// makes them two columns wide.
func glyphsOf(getenv func(string) string) glyphs {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		locale := strings.ToUpper(getenv(name))
		if locale == "" {
			continue
		}
		if !strings.Contains(locale, "UTF-8") && !strings.Contains(locale, "UTF8") {
			return asciiGlyphs
		}
		break
	}
	if runewidth.StringWidth(unicodeGlyphs.full) != 1 {
		return asciiGlyphs
	}
	return unicodeGlyphs
}

// bar returns the done and the remaining part of a bar of the given width, in columns.
func (g glyphs) bar(fraction float64, width int) (filled, rest string) {
	halves := int(fraction * float64(2*width))
	filled = strings.Repeat(g.full, halves/2)
	if halves%2 == 1 {
		filled += g.half
	}
	return filled, strings.Repeat(g.empty, width-(halves+1)/2)
}

// Attributes of text on a terminal (SGR codes). All come from the basic set, which every colour
// scheme keeps readable.
const (
	plainText = ""
	bold      = "1"
	dim       = "2"
	green     = "32"
	yellow    = "33"
	cyan      = "36"
)

// row is one line of a terminal with its width in columns.
type row struct {
	text  bytes.Buffer
	width int
}

func (r *row) add(text, attribute string, colour bool) {
	r.width += runewidth.StringWidth(text)
	if attribute == plainText || !colour {
		r.text.WriteString(text)
		return
	}
	fmt.Fprintf(&r.text, "\x1b[%sm%s\x1b[0m", attribute, text)
}

// terminal draws a block of lines and redraws it in place.
type terminal struct {
	w      io.Writer
	width  func() int
	colour bool
	glyphs glyphs
	shown  []int // widths of the lines of the block on the screen, nil if there is none
}

func (t *terminal) every() time.Duration { return 200 * time.Millisecond }
func (t *terminal) live() bool           { return true }
func (t *terminal) draw(v view)          { t.paint(nil, v) }
func (t *terminal) note(msg string, v view) {
	above := strings.Split(msg, "\n")
	if v.phase != running {
		fmt.Fprintln(t.w, msg)
		return
	}
	t.paint(above, v)
}

func (t *terminal) end(v view) {
	t.paint(nil, v)
	io.WriteString(t.w, "\n")
	t.shown = nil
}

// paint replaces the block by the lines above, which scroll away, and the block of v. It writes once,
// and erases only behind what it writes, so that nothing flickers.
func (t *terminal) paint(above []string, v view) {
	width := t.width()
	var out bytes.Buffer
	out.WriteString("\r")
	// Most terminals wrap long lines anew when they become narrower: the block may be taller now.
	up := -1
	for _, w := range t.shown {
		up += max(1, (w+width-1)/width)
	}
	if up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", up)
	}
	for _, line := range above {
		out.WriteString(line + "\x1b[K\n")
	}
	t.shown = t.shown[:0]
	for i, r := range t.layout(v, width-1) {
		if i > 0 {
			out.WriteString("\n")
		}
		out.Write(r.text.Bytes())
		out.WriteString("\x1b[K")
		t.shown = append(t.shown, r.width)
	}
	out.WriteString("\x1b[J")
	t.w.Write(out.Bytes())
}

// Widths in columns that keep the bar from jumping when a number gets longer or shorter.
const (
	minBar, maxBar = 10, 48
	minTitle       = 8
	statusColumns  = 12
	percentColumns = 48 // a narrower terminal shows no percentage: the bar says it
	gap            = "  "
)

// layout returns the lines of v for a terminal of width columns.
func (t *terminal) layout(v view, width int) []*row {
	return append([]*row{t.head(v, width)}, t.details(v, width)...)
}

// head is the line of the bar: title, bar, percentage, count and status, as much as fits.
func (t *terminal) head(v view, width int) *row {
	r := &row{}
	tail := v.count + gap + v.status
	if v.known && width >= percentColumns {
		tail = v.percent() + gap + tail
	}
	tailWidth := runewidth.StringWidth(tail) + max(0, statusColumns-runewidth.StringWidth(v.status))
	title := v.title
	if title != "" {
		title = runewidth.Truncate(oneLine(title), max(width-tailWidth-len(gap), minTitle), "…") + gap
		r.add(title, bold, t.colour)
	}
	if columns := min(width-r.width-tailWidth-len(gap), maxBar); v.known && columns >= minBar {
		filled, rest := t.glyphs.bar(v.fraction, columns)
		r.add(filled, map[phase]string{running: cyan, finished: green, stopped: yellow}[v.phase], t.colour)
		r.add(rest, dim, t.colour)
		r.add(gap, plainText, t.colour)
	}
	r.add(runewidth.Truncate(tail, max(width-r.width, 0), "…"), plainText, t.colour)
	return r
}

// details are the lines of the fields and the speed, broken between fields.
func (t *terminal) details(v view, width int) []*row {
	var rows []*row
	for _, d := range v.details() {
		name, value := oneLine(d.Name), oneLine(d.Value)
		if name != "" {
			name += " "
		}
		value = runewidth.Truncate(value, max(width-len(gap)-runewidth.StringWidth(name), 1), "…")
		needs := len(gap) + runewidth.StringWidth(name) + runewidth.StringWidth(value)
		if len(rows) == 0 || rows[len(rows)-1].width+needs > width {
			rows = append(rows, &row{})
		}
		r := rows[len(rows)-1]
		r.add(gap, plainText, t.colour)
		r.add(name, dim, t.colour)
		r.add(value, plainText, t.colour)
	}
	return rows
}

// notebookColumns is a width that fits a notebook's output area without a line break.
const notebookColumns = 110

// notebook rewrites one line with a carriage return, the only control character that Jupyter's
// output area obeys everywhere.
type notebook struct {
	w     io.Writer
	shown int // width of the line that stands there
}

// every is a second: each drawing is an output that a notebook file stores.
func (n *notebook) every() time.Duration { return time.Second }
func (n *notebook) live() bool           { return false }

func (n *notebook) draw(v view) {
	text := v.plain()
	if v.known {
		filled, rest := unicodeGlyphs.bar(v.fraction, 16)
		text = filled + rest + " " + text
	}
	n.rewrite(runewidth.Truncate(text, notebookColumns, "…"))
}

func (n *notebook) note(msg string, v view) {
	n.rewrite(msg)
	io.WriteString(n.w, "\n")
	n.shown = 0
	if v.phase == running {
		n.draw(v)
	}
}

func (n *notebook) end(v view) {
	n.draw(v)
	io.WriteString(n.w, "\n")
	n.shown = 0
}

// rewrite puts text in place of the line, blanks over what is left of it.
func (n *notebook) rewrite(text string) {
	width := runewidth.StringWidth(text)
	start := ""
	if n.shown > 0 {
		start = "\r"
	}
	io.WriteString(n.w, start+text+strings.Repeat(" ", max(0, n.shown-width)))
	n.shown = width
}

// lines writes a plain line at a time.
type lines struct {
	w io.Writer
}

func (l *lines) every() time.Duration    { return 10 * time.Second }
func (l *lines) live() bool              { return false }
func (l *lines) draw(v view)             { fmt.Fprintln(l.w, v.plain()) }
func (l *lines) note(msg string, _ view) { fmt.Fprintln(l.w, msg) }
func (l *lines) end(v view)              { l.draw(v) }
