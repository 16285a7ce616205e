package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Snow draws falling flakes of all distances: far ones small and many, near ones few, large, faint and
// out of focus. While the shutter is open each falls by a multiple of its own diameter, so that near
// flakes leave longer streaks. What a flake covers does not change when motion or defocus spreads it: it
// only becomes more transparent. An even veil and a mist that grows with depth stand for the flakes that
// are too far to be told apart, as in CSD (Chen et al., ICCV 2021).
//
// Per pixel: out = T*J + (1-T)*brightness, where T is the product of what the flakes, the veil and the
// mist let through. Flakes have their places in the whole picture: a crop gets those of its place.
type Snow struct {
	Density Range // flakes whose centre lies in 1000 pixels, drawn per picture
	// Size is the diameter of the flakes in pixels. The number of flakes of a diameter falls with its cube,
	// so that every octave of sizes covers the same area: as in a volume of flakes of various sizes.
	Size Range
	// Focus is the diameter in pixels of the flakes as far away as what the camera is focused on. Nearer
	// ones, of a larger diameter D, are blurred by Defocus*(D-Focus) pixels.
	Focus, Defocus float64
	Streak         Range   // how far a flake falls during the exposure, in its own diameters, drawn per picture
	Angle          Range   // of the fall, degrees from vertical, drawn per picture
	Jitter         float64 // standard deviation of a flake's angle around the picture's, degrees
	Brightness     Range   // of the flakes, 0..1, drawn per picture
	Alpha          Range   // opacity of a flake that is in focus and does not move, 0..1, drawn per flake
	Veil           Range   // opacity of an even veil over the picture, 0..1, drawn per picture
	Mist           Range   // the scene passes exp(-Mist*depth), depth 0..1 as in Haze, drawn per picture
}

// DefaultSnow spans the three parts of Snow100K (Liu et al., TIP 2018, input PSNR about 25, 23 and 19
// dB); the presets "small", "medium" and "large" are near one of them each.
func DefaultSnow() Snow {
	return Snow{
		Density:    Range{8, 25},
		Size:       Range{1, 14},
		Focus:      4,
		Defocus:    0.8,
		Streak:     Range{0, 1.5},
		Angle:      Range{-35, 35},
		Jitter:     6,
		Brightness: Range{0.85, 1},
		Alpha:      Range{0.5, 1},
		Veil:       Range{0, 0.05},
		Mist:       Range{0, 0.25},
	}
}

func snowParams() ([]param, func() Degradation) {
	d := DefaultSnow()
	return []param{
		{"density", &d.Density, 0, 100}, {"size", &d.Size, 0.5, 100}, {"focus", &d.Focus, 0, 100}, {"defocus", &d.Defocus, 0, 4},
		{"streak", &d.Streak, 0, 10}, {"angle", &d.Angle, -90, 90}, {"jitter", &d.Jitter, 0, 90},
		{"brightness", &d.Brightness, 0, 1}, {"alpha", &d.Alpha, 0, 1}, {"veil", &d.Veil, 0, 1}, {"mist", &d.Mist, 0, 20},
	}, func() Degradation { return d }
}

// Kind returns "snow".
func (Snow) Kind() string { return "snow" }

// Apply implements Degradation.
func (d Snow) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed.
func (d Snow) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	density, streak, angle := d.Density.Draw(rng), d.Streak.Draw(rng), d.Angle.Draw(rng)
	bright, veil := float32(d.Brightness.Draw(rng)), float32(d.Veil.Draw(rng))
	clear := newMask(im.W, im.H)
	clear.mist(d.Mist, win, rng)
	cells := snowCells{rng.Uint64(), rng.Uint64()}
	reach := d.reach(streak)
	first := func(at int) int { return int(math.Floor((float64(at) - reach) / snowCell)) }
	last := func(at int) int { return int(math.Floor((float64(at) + reach) / snowCell)) }
	for cy := first(win.Y); cy <= last(win.Y+im.H-1) && !clear.opaque(); cy++ {
		for cx := first(win.X); cx <= last(win.X+im.W-1) && !clear.opaque(); cx++ {
			own := cells.rng(cx, cy)
			for range int(density*snowCell*snowCell/1000 + own.Float64()) {
				f := d.drawFlake(angle, streak, own)
				f.x += float64(cx*snowCell - win.X)
				f.y += float64(cy*snowCell - win.Y)
				clear.flake(f)
			}
		}
	}
	return clear.cover(im, bright, veil)
}

// snowCell is the side in pixels of the squares of a picture that have flakes of their own: a crop draws
// those of the squares that reach into it, and no others.
const snowCell = 64

// snowCells is the seed of a picture's squares.
type snowCells [2]uint64

// rng returns the generator of a square. The odd factors (of splitmix64) keep neighbours apart.
func (s snowCells) rng(cx, cy int) *rand.Rand {
	return rand.New(rand.NewPCG(s[0]+uint64(cx)*0x9e3779b97f4a7c15, s[1]+uint64(cy)*0xbf58476d1ce4e5b9))
}

// reach bounds how far from its centre a flake covers pixels.
func (d Snow) reach(streak float64) float64 {
	return flake{size: d.Size.Max, blur: d.blur(d.Size.Max), fall: streak * d.Size.Max}.reach()
}

// blur is the diameter of the disk that the lens makes of a point at the distance of a flake.
func (d Snow) blur(size float64) float64 { return d.Defocus * max(size-d.Focus, 0) }

// drawFlake draws a flake in the square whose top left corner is (0, 0).
func (d Snow) drawFlake(angle, streak float64, rng *rand.Rand) flake {
	far, near := 1/(d.Size.Min*d.Size.Min), 1/(d.Size.Max*d.Size.Max)
	size := 1 / math.Sqrt(far+(near-far)*rng.Float64()) // density falling with the cube, inverted
	f := flake{
		x: rng.Float64() * snowCell, y: rng.Float64() * snowCell,
		size: size, blur: d.blur(size), fall: streak * size,
		alpha: d.Alpha.Draw(rng),
		two:   rng.Float64() * 2 * math.Pi, three: rng.Float64() * 2 * math.Pi,
	}
	f.sin, f.cos = math.Sincos((angle + rng.NormFloat64()*d.Jitter) * math.Pi / 180)
	return f
}

// flake is a flake of snow around (x, y), in pixels: its diameter, that of the disk which defocus makes of
// a point, and how far it falls, in a direction of given sine and cosine. alpha is its opacity in focus
// and at rest; two and three turn the bulges of its outline.
type flake struct{ x, y, size, blur, fall, sin, cos, alpha, two, three float64 }

// smallest is the diameter in pixels below which flakes become fainter instead of smaller.
const smallest = 1.5

// bulge is how much the outline of a flake in focus deviates from a circle, as a part of its radius.
const bulge = 0.22

// radius is that of the image of the flake across its fall, and edge half the width of its soft rim.
func (f flake) radius() (radius, edge float64) {
	radius = max(f.size+f.blur, smallest) / 2
	return radius, min(0.5+0.6*f.blur, radius)
}

func (f flake) reach() float64 {
	radius, edge := f.radius()
	return radius*(1+bulge) + edge + f.fall/2
}

// flake multiplies the mask by what one flake lets through: nothing like a hard disk, but a disk or, in
// motion, a stadium whose rim is soft.
func (m *mask) flake(f flake) {
	radius, edge := f.radius()
	half := f.fall / 2
	// What it covers is the same as in focus and at rest.
	alpha := f.alpha * (math.Pi * f.size * f.size / 4) / (math.Pi*radius*radius + 2*radius*f.fall)
	alpha = min(alpha, f.alpha)
	out := bulge * f.size / (f.size + f.blur) // defocus rounds the outline
	if radius < 1.5 {
		out = 0 // too small to have one
	}
	sin2, cos2 := math.Sincos(f.two)
	sin3, cos3 := math.Sincos(f.three)

	pad := radius*(1+out) + edge
	ex, ey := math.Abs(f.sin)*half+pad, math.Abs(f.cos)*half+pad
	x0, x1 := max(0, int(math.Ceil(f.x-ex))), min(m.w-1, int(math.Floor(f.x+ex)))
	y0, y1 := max(0, int(math.Ceil(f.y-ey))), min(m.h-1, int(math.Floor(f.y+ey)))
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			rx, ry := float64(x)-f.x, float64(y)-f.y
			across, along := rx*f.cos-ry*f.sin, rx*f.sin+ry*f.cos
			along -= max(-half, min(half, along)) // from the nearest point of its way
			r := math.Sqrt(across*across + along*along)
			if r >= pad {
				continue
			}
			rim := radius
			if out > 0 && r > 0 {
				c, s := across/r, along/r
				rim *= 1 + out*0.5*((c*c-s*s)*cos2+2*c*s*sin2+(4*c*c*c-3*c)*cos3+(3*s-4*s*s*s)*sin3)
			}
			u := (rim + edge - r) / (2 * edge) // 0 outside, 1 inside of the rim
			if u <= 0 {
				continue
			}
			u = min(u, 1)
			m.t[y*m.w+x] *= float32(1 - alpha*u*u*(3-2*u))
		}
	}
}
