package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Rain draws streaks of falling drops: bright, semi-transparent lines of one common direction with
// some scatter, thin and soft at the edges, fading at both ends; dense rain may veil the scene.
// Per pixel: out = (1-a)*J + a*brightness, with a the opacity of all streaks that cross it, then
// the veil the same way.
type Rain struct {
	Density    Range   // streaks whose centre lies in 1000 pixels
	Length     Range   // pixels, drawn per streak
	Width      Range   // full width at half opacity in pixels, drawn per streak
	Angle      Range   // degrees from vertical, drawn per picture
	Jitter     float64 // standard deviation of a streak's angle around the picture's, degrees
	Brightness Range   // of the streaks, 0..1, drawn per picture
	Alpha      Range   // opacity in the middle of a streak, 0..1, drawn per streak
	Veil       Range   // opacity of the mist of far drops (rain accumulation), 0..1, drawn per picture
}

// DefaultRain spans light rain of one direction, as in Rain100L (input PSNR about 27 dB), up to
// the dense streaks of Rain100H (Yang et al., CVPR 2017), with the slight veil that heavy rain has.
func DefaultRain() Rain {
	return Rain{
		Density:    Range{1, 5},
		Length:     Range{12, 44},
		Width:      Range{1, 2.4},
		Angle:      Range{-30, 30},
		Jitter:     2.5,
		Brightness: Range{0.75, 1},
		Alpha:      Range{0.25, 0.75},
		Veil:       Range{0, 0.08},
	}
}

func rainParams() ([]param, func() Degradation) {
	d := DefaultRain()
	return []param{
		{"density", &d.Density, 0, 100}, {"length", &d.Length, 1, 500}, {"width", &d.Width, 0.5, 50},
		{"angle", &d.Angle, -90, 90}, {"jitter", &d.Jitter, 0, 90}, {"brightness", &d.Brightness, 0, 1},
		{"alpha", &d.Alpha, 0, 1}, {"veil", &d.Veil, 0, 1},
	}, func() Degradation { return d }
}

// Kind returns "rain".
func (Rain) Kind() string { return "rain" }

// Apply implements Degradation.
func (d Rain) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	angle := d.Angle.Draw(rng)
	bright := float32(d.Brightness.Draw(rng))
	veil := float32(d.Veil.Draw(rng))
	density := d.Density.Draw(rng)

	// Centres also lie outside, as far as a streak reaches in.
	reach := d.Length.Max/2 + d.Width.Max
	w, h := float64(im.W)+2*reach, float64(im.H)+2*reach
	clear := newMask(im.W, im.H)
	for range int(density*w*h/1000 + rng.Float64()) {
		clear.streak(streak{
			x: rng.Float64()*w - reach, y: rng.Float64()*h - reach,
			angle:  (angle + rng.NormFloat64()*d.Jitter) * math.Pi / 180,
			length: d.Length.Draw(rng), width: d.Width.Draw(rng), alpha: d.Alpha.Draw(rng),
		})
	}

	out := im.Clone()
	for i, t := range clear.t {
		t *= 1 - veil
		for c := range 3 {
			v := &out.Pix[i*3+c]
			*v = clamp01(*v*t + bright*(1-t))
		}
	}
	return out
}

// mask holds for each pixel which part of the light of the scene passes the streaks, 0..1.
type mask struct {
	w, h int
	t    []float32
}

func newMask(w, h int) *mask {
	m := &mask{w, h, make([]float32, w*h)}
	for i := range m.t {
		m.t[i] = 1
	}
	return m
}

// streak is a line of given length around (x, y); angle is measured from vertical, in radians.
type streak struct{ x, y, angle, length, width, alpha float64 }

// streak multiplies the mask by what one streak lets through. The profile is (1-u²)² across
// (u = distance / width, half opacity at 0.54 width) and (1-v⁴) along.
func (m *mask) streak(s streak) {
	dx, dy := math.Sin(s.angle), math.Cos(s.angle)
	half := s.length / 2
	ex, ey := math.Abs(dx)*half+s.width*math.Abs(dy), math.Abs(dy)*half+s.width*math.Abs(dx)
	y0, y1 := max(0, int(math.Ceil(s.y-ey))), min(m.h-1, int(math.Floor(s.y+ey)))
	for y := y0; y <= y1; y++ {
		// The part of this row within the streak's width: |across| < width.
		ry := float64(y) - s.y
		lo, hi := s.x-ex, s.x+ex
		if dy > 0.1 {
			mid := s.x + ry*dx/dy
			lo, hi = max(lo, mid-s.width/dy), min(hi, mid+s.width/dy)
		}
		x0, x1 := max(0, int(math.Ceil(lo))), min(m.w-1, int(math.Floor(hi)))
		for x := x0; x <= x1; x++ {
			rx := float64(x) - s.x
			u := (rx*dy - ry*dx) / s.width
			v := (rx*dx + ry*dy) / half
			u2, v2 := u*u, v*v
			if u2 >= 1 || v2 >= 1 {
				continue
			}
			m.t[y*m.w+x] *= float32(1 - s.alpha*(1-u2)*(1-u2)*(1-v2*v2))
		}
	}
}
