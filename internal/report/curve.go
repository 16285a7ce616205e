package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Curve is a diagram of lines.
type Curve struct {
	Title          string
	XLabel, YLabel string
	// LogY gives the vertical axis a logarithmic scale; values that are not positive are left out.
	LogY bool
	// Smooth draws the running mean over so many points on top of the points themselves, which
	// become faint: losses of single batches hide their trend. 0 draws the points only.
	Smooth int
	Series []Series
}

// Series is one line of a curve; X must not decrease. Values that are not finite leave a gap.
type Series struct {
	Name string
	X, Y []float64
}

// curveData is a curve prepared for the template. The drawing is stretched to the size it gets, so
// that texts stay readable on a phone; positions are percentages of it.
type curveData struct {
	Title, XLabel, YLabel string
	Summary               string // for those who cannot see the drawing
	XTicks, YTicks        []tick
	Grid                  string // SVG path
	Lines                 []lineData
	Hover                 hoverData
}

type tick struct {
	At    float64 // percent from the left or from the bottom
	Label string
}

type lineData struct {
	Name, Last string
	Colour     int    // index into the palette
	Path, Dots string // SVG paths; Dots only for few points
	Faint      string // SVG path of the points below a running mean
}

// hoverData is what the page's script needs to name the point below the pointer.
type hoverData struct {
	X      [2]figure     `json:"x"`
	Y      [2]figure     `json:"y"`
	Log    bool          `json:"log"`
	Label  string        `json:"label"`
	Series []hoverSeries `json:"series"`
}

type hoverSeries struct {
	Name   string   `json:"name"`
	Colour int      `json:"colour"`
	X      []figure `json:"x"`
	Y      []figure `json:"y"`
}

// figure is a number that is written with six digits: more cannot be seen.
type figure float64

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(f), 'g', 6, 64), nil
}

const (
	palette    = 8    // colours of lines, defined in page.css
	drawing    = 1000 // width and height of the drawing, stretched by the page
	maxPoints  = 600  // of a line: more than a screen has room for
	dotsUpTo   = 40   // lines of at most so many points show each
	tickTarget = 5
)

func newCurve(c Curve) (curveData, error) {
	d := curveData{Title: c.Title, XLabel: c.XLabel, YLabel: c.YLabel}
	var strong, faint [][]point
	for _, s := range c.Series {
		if len(s.X) != len(s.Y) {
			return d, fmt.Errorf("series %q has %d x and %d y values", s.Name, len(s.X), len(s.Y))
		}
		if !slices.IsSorted(s.X) {
			return d, fmt.Errorf("series %q: x values decrease", s.Name)
		}
		points := clean(s, c.LogY)
		if c.Smooth > 1 && len(points) > c.Smooth {
			faint = append(faint, thin(points))
			strong = append(strong, thin(runningMean(points, c.Smooth)))
		} else {
			faint = append(faint, nil)
			strong = append(strong, thin(points))
		}
	}
	x, y := axes(append(slices.Clone(strong), faint...), c.LogY)
	d.XTicks, d.YTicks = x.ticks(), y.ticks()
	d.Grid = grid(d.XTicks, d.YTicks)
	d.Hover = hoverData{X: x.figures(), Y: y.figures(), Log: c.LogY, Label: c.XLabel}
	var summary []string
	for i, s := range c.Series {
		line := lineData{Name: s.Name, Colour: i % palette, Path: path(strong[i], x, y), Faint: path(faint[i], x, y)}
		hover := hoverSeries{Name: s.Name, Colour: line.Colour}
		for _, p := range strong[i] {
			if !p.gap() {
				hover.X, hover.Y = append(hover.X, figure(p.x)), append(hover.Y, figure(p.y))
				line.Last = short(p.y)
			}
		}
		if len(hover.X) <= dotsUpTo {
			line.Dots = dots(strong[i], x, y)
		}
		d.Lines = append(d.Lines, line)
		d.Hover.Series = append(d.Hover.Series, hover)
		summary = append(summary, fmt.Sprintf("%s ends at %s", s.Name, line.Last))
	}
	d.Summary = fmt.Sprintf("%s over %s: %s", c.Title, c.XLabel, strings.Join(summary, ", "))
	return d, nil
}

type point struct{ x, y float64 }

// gap says that the line is interrupted here.
func (p point) gap() bool { return math.IsNaN(p.y) }

// clean returns the points of s, with gaps for values that cannot be shown.
func clean(s Series, logY bool) []point {
	var points []point
	for i, x := range s.X {
		y := s.Y[i]
		if math.IsInf(y, 0) || logY && y <= 0 {
			y = math.NaN()
		}
		if !math.IsInf(x, 0) && !math.IsNaN(x) {
			points = append(points, point{x, y})
		}
	}
	return points
}

// runningMean replaces every value by the mean of the last n, leaving out gaps.
func runningMean(points []point, n int) []point {
	mean := make([]point, len(points))
	for i, p := range points {
		sum, count := 0.0, 0
		for _, q := range points[max(0, i-n+1) : i+1] {
			if !q.gap() {
				sum, count = sum+q.y, count+1
			}
		}
		mean[i] = point{p.x, math.NaN()}
		if count > 0 && !p.gap() {
			mean[i].y = sum / float64(count)
		}
	}
	return mean
}

// thin keeps the lowest and the highest point of every stretch, so that no spike is lost, and the
// last point. Gaps in a line that is thinned close.
func thin(points []point) []point {
	if len(points) <= maxPoints {
		return points
	}
	solid := slices.DeleteFunc(slices.Clone(points), point.gap)
	stretches := maxPoints / 2
	var kept []point
	for i := range stretches {
		stretch := solid[i*len(solid)/stretches : (i+1)*len(solid)/stretches]
		if len(stretch) == 0 {
			continue
		}
		low, high := 0, 0
		for j, p := range stretch {
			if p.y < stretch[low].y {
				low = j
			}
			if p.y > stretch[high].y {
				high = j
			}
		}
		kept = append(kept, stretch[min(low, high)])
		if low != high {
			kept = append(kept, stretch[max(low, high)])
		}
	}
	if n := len(solid); n > 0 && kept[len(kept)-1] != solid[n-1] {
		kept = append(kept, solid[n-1])
	}
	return kept
}

// axis maps values to positions from 0 to 1.
type axis struct {
	from, to float64
	log      bool
}

// axes returns the axes that show all lines: the horizontal one exactly, the vertical one with some
// room above and below, but not below zero for values that are not.
func axes(lines [][]point, logY bool) (x, y axis) {
	x, y = axis{math.Inf(1), math.Inf(-1), false}, axis{math.Inf(1), math.Inf(-1), logY}
	for _, p := range slices.Concat(lines...) {
		if !p.gap() {
			x.from, x.to = min(x.from, p.x), max(x.to, p.x)
			y.from, y.to = min(y.from, p.y), max(y.to, p.y)
		}
	}
	if x.from > x.to {
		return axis{0, 1, false}, axis{1, 10, logY}
	}
	if x.from == x.to {
		x.from, x.to = x.from-1, x.to+1
	}
	const room = 0.06
	switch {
	case logY && y.from == y.to:
		y.from, y.to = y.from/2, y.to*2
	case logY:
		factor := math.Pow(y.to/y.from, room)
		y.from, y.to = y.from/factor, y.to*factor
	case y.from == y.to:
		half := max(math.Abs(y.from)*0.1, 1e-6)
		y.from, y.to = y.from-half, y.to+half
	default:
		pad, positive := room*(y.to-y.from), y.from >= 0
		y.from, y.to = y.from-pad, y.to+pad
		if positive {
			y.from = max(y.from, 0)
		}
	}
	return x, y
}

func (a axis) at(v float64) float64 {
	if a.log {
		return math.Log(v/a.from) / math.Log(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

func (a axis) figures() [2]figure { return [2]figure{figure(a.from), figure(a.to)} }

// ticks returns about tickTarget marks at round numbers.
func (a axis) ticks() []tick {
	if a.log {
		if t := a.logTicks(); len(t) >= 2 {
			return t
		}
	}
	step := niceStep((a.to - a.from) / tickTarget)
	var ticks []tick
	for i := math.Ceil(a.from/step - 1e-9); i*step <= a.to+step*1e-9; i++ {
		ticks = append(ticks, tick{round(100*a.at(i*step), 2), tickLabel(i*step, step, max(math.Abs(a.from), math.Abs(a.to)))})
	}
	return ticks
}

// logTicks marks powers of ten, and 2 and 5 times them if those are few.
func (a axis) logTicks() []tick {
	if t := a.powers(1); len(t) >= 3 {
		return t
	}
	return a.powers(1, 2, 5)
}

// powers marks the multiples of powers of ten by the factors.
func (a axis) powers(factors ...float64) []tick {
	first, last := int(math.Floor(math.Log10(a.from))), int(math.Ceil(math.Log10(a.to)))
	every := max(1, (last-first)/6)
	var ticks []tick
	for e := first; e <= last; e += every {
		for _, f := range factors {
			if v := f * math.Pow10(e); v >= a.from && v <= a.to {
				ticks = append(ticks, tick{round(100*a.at(v), 2), short(v)})
			}
		}
	}
	return ticks
}

// niceStep rounds a distance to 1, 2 or 5 times a power of ten.
func niceStep(raw float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	switch f := raw / power; {
	case f < 1.5:
		return power
	case f < 3.5:
		return 2 * power
	case f < 7.5:
		return 5 * power
	}
	return 10 * power
}

// tickLabel formats a mark of an axis that reaches to largest, in thousands, millions or a power of
// ten where that is shorter, with the decimals that tell marks apart which are step apart.
func tickLabel(v, step, largest float64) string {
	if math.Abs(v) < step/2 {
		return "0"
	}
	unit, suffix := 1.0, ""
	switch {
	case largest < 1e-3 || largest >= 1e10:
		e := int(math.Floor(math.Log10(largest)))
		unit, suffix = math.Pow10(e), "e"+strconv.Itoa(e)
	case largest >= 1e7:
		unit, suffix = 1e6, "M"
	case largest >= 1e4:
		unit, suffix = 1e3, "k"
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step/unit)-1e-9)))
	return strings.Replace(strconv.FormatFloat(v/unit, 'f', decimals, 64), "-", "−", 1) + suffix
}

// short formats a value with four digits.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'g', 4, 64)
	for _, sign := range []string{"e-0", "e+0", "e+"} {
		s = strings.Replace(s, sign, strings.TrimRight(sign, "+0"), 1)
	}
	return s
}

// position returns where a point is in the drawing, whose origin is at the top.
func position(p point, x, y axis) string {
	return number(drawing*x.at(p.x)) + " " + number(drawing*(1-y.at(p.y)))
}

func path(points []point, x, y axis) string {
	var b strings.Builder
	pen := "M"
	for _, p := range points {
		if p.gap() {
			pen = "M"
			continue
		}
		b.WriteString(pen + position(p, x, y))
		pen = "L"
	}
	return b.String()
}

// dots draws every point as a line of no length, whose round ends the page's stretching leaves round.
func dots(points []point, x, y axis) string {
	var b strings.Builder
	for _, p := range points {
		if !p.gap() {
			b.WriteString("M" + position(p, x, y) + "h0")
		}
	}
	return b.String()
}

func grid(xTicks, yTicks []tick) string {
	var b strings.Builder
	for _, t := range xTicks {
		fmt.Fprintf(&b, "M%s 0V%d", number(drawing*t.At/100), drawing)
	}
	for _, t := range yTicks {
		fmt.Fprintf(&b, "M0 %sH%d", number(drawing*(1-t.At/100)), drawing)
	}
	return b.String()
}

// number formats a coordinate.
func number(v float64) string { return strconv.FormatFloat(round(v, 1), 'g', -1, 64) }

func round(v float64, decimals int) float64 {
	f := math.Pow10(decimals)
	return math.Round(v*f) / f
}
