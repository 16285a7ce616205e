package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Inpaint covers parts of the picture with white or black. It is drawn on the picture handed in, as the
// official code does after cropping: a training crop has as many lines as a whole test picture.
type Inpaint struct {
	// Mask says what is covered, one of Masks: "lines" are straight, between random points (the
	// official data set; "" means the same), "strokes" are bent as drawn by hand, "pixels" are single
	// pixels, "box" is a rectangle.
	Mask string
	// Count is the number of lines or strokes, whole numbers, drawn per picture.
	Count Range
	// Thickness is that of lines and strokes as OpenCV counts it, whole numbers, drawn per picture:
	// 1 pixel for 1, otherwise one or two pixels more than its value, always odd (7 for 5 and 6).
	Thickness Range
	// Missing is the part of the picture that "pixels" and "box" cover, 0..1, drawn per picture.
	Missing Range
	// Color is "white", "black" or "random", one of the two for the whole picture; "" is "random".
	Color string
}

// Masks returns what Inpaint can cover a picture with.
func Masks() []string { return []string{"lines", "strokes", "pixels", "box"} }

// DefaultInpaint is the official data set: 5 to 10 lines, 5 to 10 thick, white or black (parity README,
// section 6). The other masks cover 20 to 50 %.
func DefaultInpaint() Inpaint {
	return Inpaint{Mask: "lines", Count: Range{5, 10}, Thickness: Range{5, 10}, Missing: Range{0.2, 0.5}, Color: "random"}
}

func inpaintParams() ([]param, func() Degradation) {
	d := DefaultInpaint()
	return []param{
		{"mask", word{&d.Mask, Masks()}, 0, 0}, {"count", &d.Count, 0, 1000}, {"thickness", &d.Thickness, 1, 500},
		{"missing", &d.Missing, 0, 1}, {"color", word{&d.Color, []string{"random", "white", "black"}}, 0, 0},
	}, func() Degradation { return d }
}

// Kind returns "inpaint".
func (Inpaint) Kind() string { return "inpaint" }

// Apply implements Degradation.
func (d Inpaint) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	var cover float32
	if d.Color == "white" || d.Color != "black" && rng.IntN(2) == 1 {
		cover = 1
	}
	out := im.Clone()
	for i, hidden := range d.drawHoles(im.W, im.H, rng).hidden {
		if hidden {
			p := out.Pix[i*3:][:3]
			p[0], p[1], p[2] = cover, cover, cover
		}
	}
	return out
}

// holes says which pixels of a picture are covered.
type holes struct {
	w, h   int
	hidden []bool
}

func (d Inpaint) drawHoles(w, h int, rng *rand.Rand) *holes {
	m := &holes{w, h, make([]bool, w*h)}
	count, thickness, missing := d.Count.drawInt(rng), d.Thickness.drawInt(rng), d.Missing.Draw(rng)
	switch d.Mask {
	case "strokes":
		for range count {
			m.stroke(thickness, rng)
		}
	case "pixels":
		for i := range m.hidden {
			m.hidden[i] = rng.Float64() < missing
		}
	case "box":
		m.box(missing, rng)
	default:
		for range count {
			x0, y0 := rng.IntN(w+1), rng.IntN(h+1)
			m.line(float64(x0), float64(y0), float64(rng.IntN(w+1)), float64(rng.IntN(h+1)), thickness)
		}
	}
	return m
}

// line covers what lies near the way from one point to the other, round at the ends.
func (m *holes) line(x0, y0, x1, y1 float64, thickness int) {
	r := 0.5 // a single row
	if thickness > 1 {
		r = float64((thickness+1)/2) + 0.4 // covers as much as OpenCV's line on average, and as many rows
	}
	dx, dy := x1-x0, y1-y0
	length2 := dx*dx + dy*dy
	top, bottom := max(0, int(math.Ceil(min(y0, y1)-r))), min(m.h-1, int(math.Floor(max(y0, y1)+r)))
	for y := top; y <= bottom; y++ {
		fy := float64(y)
		lo, hi := min(x0, x1)-r, max(x0, x1)+r
		if dy*dy > 0.01*length2 { // where this row is nearer to the infinite line than r
			mid, half := x0+(fy-y0)*dx/dy, r*math.Sqrt(length2)/math.Abs(dy)
			lo, hi = max(lo, mid-half), min(hi, mid+half)
		}
		left, right := max(0, int(math.Ceil(lo))), min(m.w-1, int(math.Floor(hi)))
		for x := left; x <= right; x++ {
			px, py := float64(x)-x0, fy-y0
			t := 0.0 // of the nearest point on the way
			if length2 > 0 {
				t = min(max((px*dx+py*dy)/length2, 0), 1)
			}
			ex, ey := px-t*dx, py-t*dy
			if ex*ex+ey*ey <= r*r {
				m.hidden[y*m.w+x] = true
			}
		}
	}
}

// stroke covers 4 to 12 lines one after the other, each up to a quarter of the longer side, that turn
// by about 45 degrees.
func (m *holes) stroke(thickness int, rng *rand.Rand) {
	x, y := rng.Float64()*float64(m.w), rng.Float64()*float64(m.h)
	heading := 2 * math.Pi * rng.Float64()
	for range 4 + rng.IntN(9) {
		heading += rng.NormFloat64() * math.Pi / 4
		step := rng.Float64() * float64(max(m.w, m.h)) / 4
		nx, ny := x+step*math.Cos(heading), y+step*math.Sin(heading)
		m.line(x, y, nx, ny, thickness)
		x, y = nx, ny
	}
}

// box covers a rectangle of the given part of the picture, about as wide as the picture is, somewhere
// inside.
func (m *holes) box(part float64, rng *rand.Rand) {
	width := min(int(math.Round(float64(m.w)*math.Sqrt(part))), m.w)
	height := min(int(math.Round(float64(m.h)*math.Sqrt(part))), m.h)
	x0, y0 := rng.IntN(m.w-width+1), rng.IntN(m.h-height+1)
	for y := y0; y < y0+height; y++ {
		for x := x0; x < x0+width; x++ {
			m.hidden[y*m.w+x] = true
		}
	}
}
