package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Downscale is low resolution: the picture is made smaller by a factor and brought back to its size,
// both by bicubic interpolation (Keys 1981, a = -0.5), when shrinking with a kernel widened by the
// factor against aliasing. That is the scaling of MATLAB that super-resolution benchmarks are made
// with, here without rounding the small picture to 8 bits and with the reflection of the picture
// beyond its borders. The grid of the small picture begins at the corner of the whole one; a crop has
// the phase of its place. The result is limited to 0..1.
type Downscale struct {
	Factor Range // how many times smaller, 1 or more, drawn per picture
}

// DefaultDownscale has the factors 2 to 4 of the super-resolution benchmarks.
func DefaultDownscale() Downscale { return Downscale{Factor: Range{2, 4}} }

func downscaleParams() ([]param, func() Degradation) {
	d := DefaultDownscale()
	return []param{{"factor", &d.Factor, 1, 16}}, func() Degradation { return d }
}

// Kind returns "downscale".
func (Downscale) Kind() string { return "downscale" }

// Margin implements Margined: two pixels of the small picture there and two back.
func (d Downscale) Margin() int { return int(math.Ceil(4*d.Factor.Max)) + 1 }

// Apply implements Degradation.
func (d Downscale) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed.
func (d Downscale) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	factor := d.Factor.Draw(rng)
	shrinkX, growX := scaling(win.X, im.W, factor)
	shrinkY, growY := scaling(win.Y, im.H, factor)
	p := plane{im.W, im.H, im.Pix}
	p = p.resampleX(shrinkX).resampleY(shrinkY).resampleY(growY).resampleX(growX)
	out := im.Clone()
	for i, v := range p.pix {
		out.Pix[i] = clamp01(v)
	}
	return out
}

// sources are the positions that a resampled position is the weighted sum of.
type sources struct {
	at []int
	w  []float32
}

// take returns empty sources with room for n positions, which it takes from those that s has room for.
func (s *sources) take(n int) sources {
	taken := sources{s.at[:0:n], s.w[:0:n]}
	s.at, s.w = s.at[n:], s.w[n:]
	return taken
}

// scaling returns how n pixels from coordinate first on are made smaller, and how those are made n
// pixels again. Pixel k of the small picture has its centre at (k+0.5)*factor - 0.5.
func scaling(first, n int, factor float64) (shrink, grow []sources) {
	small := func(x int) float64 { return (float64(x)+0.5)/factor - 0.5 }
	from := int(math.Floor(small(first))) - 1
	to := int(math.Floor(small(first+n-1))) + 2
	widest, steps := int(4*factor)+1, to-from+1
	room := widest*steps + 4*n
	free := sources{make([]int, room), make([]float32, room)} // at once: there are many
	shrink, grow = make([]sources, 0, steps), make([]sources, 0, n)
	for k := from; k <= to; k++ {
		centre := (float64(k)+0.5)*factor - 0.5
		s := free.take(widest)
		var sum float64
		for x := int(math.Ceil(centre - 2*factor)); float64(x) < centre+2*factor; x++ {
			w := cubic((float64(x) - centre) / factor)
			s.at, s.w = append(s.at, imageio.Reflect(x-first, n)), append(s.w, float32(w))
			sum += w
		}
		for i := range s.w {
			s.w[i] /= float32(sum)
		}
		shrink = append(shrink, s)
	}
	for x := range n {
		u := small(first + x)
		s := free.take(4)
		for k := int(math.Floor(u)) - 1; k <= int(math.Floor(u))+2; k++ {
			s.at, s.w = append(s.at, k-from), append(s.w, float32(cubic(u-float64(k))))
		}
		grow = append(grow, s)
	}
	return shrink, grow
}

// cubic is the interpolation kernel of Keys with a = -0.5.
func cubic(t float64) float64 {
	t = math.Abs(t)
	switch {
	case t <= 1:
		return (1.5*t-2.5)*t*t + 1
	case t < 2:
		return ((-0.5*t+2.5)*t-4)*t + 2
	}
	return 0
}

// resampleX returns the plane with columns that are sums of columns.
func (p plane) resampleX(columns []sources) plane {
	out := plane{len(columns), p.h, make([]float32, len(columns)*p.h*3)}
	for y := range p.h {
		row := p.pix[y*p.w*3:][:p.w*3]
		for x, s := range columns {
			var r, g, b float32
			for i, at := range s.at {
				px, w := row[at*3:][:3], s.w[i]
				r, g, b = r+w*px[0], g+w*px[1], b+w*px[2]
			}
			px := out.pix[(y*out.w+x)*3:][:3]
			px[0], px[1], px[2] = r, g, b
		}
	}
	return out
}

// resampleY returns the plane with rows that are sums of rows.
func (p plane) resampleY(rows []sources) plane {
	out := plane{p.w, len(rows), make([]float32, p.w*len(rows)*3)}
	for y, s := range rows {
		dst := out.pix[y*p.w*3:][:p.w*3]
		for i, at := range s.at {
			w := s.w[i]
			for x, v := range p.pix[at*p.w*3:][:p.w*3] {
				dst[x] += w * v
			}
		}
	}
	return out
}
