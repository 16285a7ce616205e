package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Rain draws streaks of falling drops: bright, semi-transparent lines of one common direction with
// some scatter, thin and soft at the edges, fading at both ends. Heavy rain also has layers of streaks
// far away, and accumulates: drops too far to be told apart veil the scene, the more the farther it is
// (Yang et al., CVPR 2017; Li, Cheong and Tan, CVPR 2019).
//
// Per pixel: out = T*J + (1-T)*brightness, where T is the product of what the streaks that cross it, the
// veil and the mist let through.
type Rain struct {
	Density    Range   // streaks whose centre lies in 1000 pixels
	Length     Range   // pixels, drawn per streak
	Width      Range   // full width at half opacity in pixels, drawn per streak
	Angle      Range   // degrees from vertical, drawn per picture
	Jitter     float64 // standard deviation of a streak's angle around the picture's, degrees
	Brightness Range   // of the streaks, 0..1, drawn per picture
	Alpha      Range   // opacity in the middle of a streak, 0..1, drawn per streak
	Veil       Range   // opacity of an even veil over the picture, 0..1, drawn per picture
	// Far is the number of distant streaks per 1000 pixels, drawn per picture: half of them at twice, half
	// at four times the distance, where they are as many times shorter, thinner and, once thinner than a
	// pixel, fainter.
	Far Range
	// Mist is rain accumulation: the scene passes exp(-Mist*depth), depth 0..1 as in Haze, drawn per
	// picture.
	Mist Range
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
		{"alpha", &d.Alpha, 0, 1}, {"veil", &d.Veil, 0, 1}, {"far", &d.Far, 0, 200}, {"mist", &d.Mist, 0, 20},
	}, func() Degradation { return d }
}

// Kind returns "rain".
func (Rain) Kind() string { return "rain" }

// Apply implements Degradation.
func (d Rain) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed: the mist depends on the place. Streaks do not, each crop has its own.
func (d Rain) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	angle := d.Angle.Draw(rng)
	bright := float32(d.Brightness.Draw(rng))
	veil := float32(d.Veil.Draw(rng))
	density := d.Density.Draw(rng)
	clear := newMask(im.W, im.H)
	clear.mist(d.Mist, win, rng)
	d.streaks(clear, density, angle, 1, rng)
	if d.Far.Max > 0 {
		far := d.Far.Draw(rng)
		for _, distance := range []float64{2, 4} {
			d.streaks(clear, far/2, angle, distance, rng)
		}
	}
	return clear.cover(im, bright, veil)
}

// thinnest is the width in pixels below which streaks become fainter instead of thinner: the pixels
// would miss them.
const thinnest = 0.8

// streaks draws density streaks per 1000 pixels as seen from a distance.
func (d Rain) streaks(clear *mask, density, angle, distance float64, rng *rand.Rand) {
	// Centres also lie outside, as far as a streak reaches in.
	reach := d.Length.Max/2 + d.Width.Max
	w, h := float64(clear.w)+2*reach, float64(clear.h)+2*reach
	for range int(density*w*h/1000 + rng.Float64()) {
		s := streak{
			x: rng.Float64()*w - reach, y: rng.Float64()*h - reach,
			angle:  (angle + rng.NormFloat64()*d.Jitter) * math.Pi / 180,
			length: d.Length.Draw(rng), width: d.Width.Draw(rng), alpha: d.Alpha.Draw(rng),
		}
		if distance > 1 {
			s.length /= distance
			s.alpha *= min(s.width/distance/thinnest, 1)
			s.width = max(s.width/distance, thinnest)
		}
		clear.streak(s)
	}
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
