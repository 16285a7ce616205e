package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// MotionBlur is camera shake: the picture averaged along a random 2D path of the camera (a walk
// with inertia, after Boracchi and Foi, TIP 2012), with some defocus. Light adds linearly, so the
// average is taken over squared values, a close and cheap stand-in for the sRGB curve. Outside the
// picture its reflection continues it.
type MotionBlur struct {
	Length  Range   // length of the path in pixels, drawn per picture
	Shake   float64 // how fast the path turns: standard deviation of the total turn, in radians
	Defocus Range   // standard deviation of the Gaussian defocus in pixels, drawn per picture
}

// DefaultMotionBlur has paths of 5 to 21 pixels, about the blur of GoPro (Nah et al., CVPR 2017,
// input PSNR about 25.6 dB), turning by a right angle now and then.
func DefaultMotionBlur() MotionBlur {
	return MotionBlur{Length: Range{5, 21}, Shake: 1.2, Defocus: Range{0, 0.8}}
}

func motionBlurParams() ([]param, func() Degradation) {
	d := DefaultMotionBlur()
	return []param{
		{"length", &d.Length, 0, 200}, {"shake", &d.Shake, 0, 20}, {"defocus", &d.Defocus, 0, 20},
	}, func() Degradation { return d }
}

// Kind returns "blur".
func (MotionBlur) Kind() string { return "blur" }

// Margin implements Margined: the farthest pixel that reaches into a crop.
func (d MotionBlur) Margin() int { return pathRadius(d.Length.Max) + defocusRadius(d.Defocus.Max) }

// pathRadius bounds the reach of a path of the given length around its centre of mass: no point of
// a curve is farther from it than half the length. One more pixel takes the spreading of positions.
func pathRadius(length float64) int { return int(math.Ceil(length/2)) + 1 }

// Apply implements Degradation.
func (d MotionBlur) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	taps := d.drawPath(rng)
	sigma := d.Defocus.Draw(rng)
	linear := newPlane(im)
	if r := defocusRadius(sigma); r > 0 {
		row, column := gaussianTaps(sigma, r)
		linear = linear.convolve(row).convolve(column)
	}
	return linear.convolve(taps).display(im)
}

// tap is one weight of a sparse kernel at an integer offset.
type tap struct {
	dx, dy int
	w      float32
}

// drawPath returns the kernel of a random camera path: positions along a curve of the drawn length,
// each spread over its four neighbouring pixels, centred so that the picture does not move.
func (d MotionBlur) drawPath(rng *rand.Rand) []tap {
	length := d.Length.Draw(rng)
	n := max(2, int(4*length)) // four positions per pixel leave no gaps
	xs, ys := make([]float64, n), make([]float64, n)
	heading := 2 * math.Pi * rng.Float64()
	turn := rng.NormFloat64() * d.Shake / float64(n)
	var x, y, mx, my float64
	for i := range n {
		xs[i], ys[i] = x, y
		mx, my = mx+x/float64(n), my+y/float64(n)
		x += math.Cos(heading) * length / float64(n)
		y += math.Sin(heading) * length / float64(n)
		heading += turn
		turn = 0.97*turn + rng.NormFloat64()*d.Shake*0.5/float64(n)
	}

	r := pathRadius(length)
	side := 2*r + 1
	grid := make([]float32, side*side)
	for i := range n {
		fx, fy := xs[i]-mx+float64(r), ys[i]-my+float64(r)
		x0, y0 := int(fx), int(fy)
		ax, ay := float32(fx)-float32(x0), float32(fy)-float32(y0)
		at := y0*side + x0
		grid[at] += (1 - ax) * (1 - ay) / float32(n)
		grid[at+1] += ax * (1 - ay) / float32(n)
		grid[at+side] += (1 - ax) * ay / float32(n)
		grid[at+side+1] += ax * ay / float32(n)
	}
	var taps []tap
	for i, w := range grid {
		if w > 0 {
			taps = append(taps, tap{i%side - r, i/side - r, w})
		}
	}
	return taps
}

// defocusRadius is the reach of a Gaussian of the given sigma; below a quarter pixel it is nothing.
func defocusRadius(sigma float64) int {
	if sigma < 0.25 {
		return 0
	}
	return int(math.Ceil(2.5 * sigma))
}

func gaussianTaps(sigma float64, r int) (row, column []tap) {
	var sum float64
	for i := -r; i <= r; i++ {
		sum += math.Exp(-float64(i*i) / (2 * sigma * sigma))
	}
	for i := -r; i <= r; i++ {
		w := float32(math.Exp(-float64(i*i)/(2*sigma*sigma)) / sum)
		row = append(row, tap{i, 0, w})
		column = append(column, tap{0, i, w})
	}
	return row, column
}

// plane is a picture in linear light (squared values), HWC.
type plane struct {
	w, h int
	pix  []float32
}

func newPlane(im *imageio.Image) plane {
	p := plane{im.W, im.H, make([]float32, len(im.Pix))}
	for i, v := range im.Pix {
		p.pix[i] = v * v
	}
	return p
}

// display returns im with the pixels of p, brought back from linear light.
func (p plane) display(im *imageio.Image) *imageio.Image {
	out := im.Clone()
	for i, v := range p.pix {
		out.Pix[i] = clamp01(float32(math.Sqrt(float64(v))))
	}
	return out
}

// convolve returns the weighted sum of shifted copies, reflecting at the borders.
func (p plane) convolve(taps []tap) plane {
	var rx, ry int
	for _, t := range taps {
		rx, ry = max(rx, t.dx, -t.dx), max(ry, t.dy, -t.dy)
	}
	padded := p.reflect(rx, ry)
	out := plane{p.w, p.h, make([]float32, len(p.pix))}
	for y := range p.h {
		dst := out.pix[y*p.w*3 : (y+1)*p.w*3]
		shifted := func(t tap) []float32 {
			from := ((y+ry+t.dy)*padded.w + rx + t.dx) * 3
			return padded.pix[from : from+len(dst)]
		}
		rest := taps
		for ; len(rest) >= 4; rest = rest[4:] { // four at a time: the sum is loaded and stored less often
			a, b, c, d := shifted(rest[0]), shifted(rest[1]), shifted(rest[2]), shifted(rest[3])
			wa, wb, wc, wd := rest[0].w, rest[1].w, rest[2].w, rest[3].w
			b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
			sum := dst[:len(a)]
			for i, v := range a {
				sum[i] += wa*v + wb*b[i] + wc*c[i] + wd*d[i]
			}
		}
		for _, t := range rest {
			for i, v := range shifted(t) {
				dst[i] += t.w * v
			}
		}
	}
	return out
}

// reflect pads by rx columns and ry rows on each side, without repeating the edge pixel.
func (p plane) reflect(rx, ry int) plane {
	out := plane{w: p.w + 2*rx, h: p.h + 2*ry}
	out.pix = make([]float32, out.w*out.h*3)
	for y := range out.h {
		src := p.pix[imageio.Reflect(y-ry, p.h)*p.w*3:][:p.w*3]
		dst := out.pix[y*out.w*3:][:out.w*3]
		copy(dst[rx*3:], src)
		for x := range rx {
			copy(dst[x*3:x*3+3], src[imageio.Reflect(x-rx, p.w)*3:])
			right := rx + p.w + x
			copy(dst[right*3:right*3+3], src[imageio.Reflect(p.w+x, p.w)*3:])
		}
	}
	return out
}
