package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Haze is atmospheric scattering (Koschmieder; the model of RESIDE/SOTS): I = J*t + A*(1-t) with
// transmission t = exp(-Beta*d). Photos come without depth d, so a plausible one is drawn: it grows
// from the bottom of the picture (near ground) to the top (horizon, sky), bent by a smooth random
// field. It is anchored to the whole picture: a crop gets the haze of its place. Nothing of the photo
// goes into it: the usual cue, that what is bright and grey is far (Zhu et al., TIP 2015), leaves dark
// things clear at any distance and puts the haze where it is not seen.
type Haze struct {
	Beta  Range   // scattering coefficient, drawn per picture; depth runs from 0 to 1
	A     Range   // brightness of the airlight, 0..1, drawn per picture
	Tint  float64 // standard deviation of the airlight's channels around A
	Near  Range   // depth at the bottom of the picture, 0..1, drawn per picture
	Field float64 // amplitude of the smooth random part of the depth
}

// DefaultHaze has about the parameters of RESIDE's training set (Li et al., TIP 2019: beta 0.6..1.8,
// A 0.7..1) and a nearly grey airlight. The input PSNR is close to that of SOTS outdoor, 15 dB, and
// even the foreground is visibly hazy, so that any crop can be told from a clean one.
func DefaultHaze() Haze {
	return Haze{Beta: Range{0.6, 1.6}, A: Range{0.7, 1}, Tint: 0.015, Near: Range{0.2, 0.4}, Field: 0.3}
}

func hazeParams() ([]param, func() Degradation) {
	d := DefaultHaze()
	return []param{
		{"beta", &d.Beta, 0, 20}, {"a", &d.A, 0, 1}, {"tint", &d.Tint, 0, 1},
		{"near", &d.Near, 0, 1}, {"field", &d.Field, 0, 2},
	}, func() Degradation { return d }
}

// Kind returns "haze".
func (Haze) Kind() string { return "haze" }

// Apply implements Degradation.
func (d Haze) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed.
func (d Haze) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	beta := d.Beta.Draw(rng)
	depth := d.drawDepth(rng)
	var air [3]float32
	a := d.A.Draw(rng)
	for c := range air {
		air[c] = clamp01(float32(a + rng.NormFloat64()*d.Tint))
	}

	out := im.Clone()
	depth.each(im.W, im.H, win, func(i int, depth float64) {
		t := float32(math.Exp(-beta * depth))
		p := out.Pix[i*3:][:3]
		for c := range p {
			p[c] = clamp01(p[c]*t + air[c]*(1-t))
		}
	})
	out.Gray = im.Gray && d.Tint == 0
	return out
}

// depthField is a drawn depth: near + (1-near)*height^bend + the sum of a few plane waves.
type depthField struct {
	near, bend float64
	waves      [4]wave
}

// wave is amp*sin(kx*u + ky*v + phase), u and v in units of the longer side.
type wave struct{ amp, kx, ky, phase float64 }

func (d Haze) drawDepth(rng *rand.Rand) depthField {
	f := depthField{near: d.Near.Draw(rng), bend: 2.2 * math.Exp(rng.NormFloat64()*0.4)}
	for i := range f.waves {
		// One half to two and a half periods over the picture, weaker when faster.
		freq := 0.5 + 2*rng.Float64()
		dir := 2 * math.Pi * rng.Float64()
		f.waves[i] = wave{
			amp: d.Field / float64(len(f.waves)) / freq,
			kx:  2 * math.Pi * freq * math.Cos(dir), ky: 2 * math.Pi * freq * math.Sin(dir),
			phase: 2 * math.Pi * rng.Float64(),
		}
	}
	return f
}

// each calls do with the depth, 0..1, of each of the w x h pixels from win.X, win.Y on, numbered row by row.
// The sine of a sum is split, so that no sine is taken per pixel.
func (f depthField) each(w, h int, win Window, do func(i int, depth float64)) {
	scale := 1 / float64(max(win.W, win.H))
	sin, cos := make([]float64, len(f.waves)*w), make([]float64, len(f.waves)*w)
	for i, k := range f.waves {
		for x := range w {
			sin[i*w+x], cos[i*w+x] = math.Sincos(k.kx * float64(win.X+x) * scale)
		}
	}
	for y := range h {
		v := float64(win.Y + y)
		height := 1 - v/float64(max(win.H-1, 1)) // 1 at the top of the picture, 0 at the bottom
		base := f.near + (1-f.near)*math.Pow(min(max(height, 0), 1), f.bend)
		var s, c [4]float64
		for i, k := range f.waves {
			s[i], c[i] = math.Sincos(k.ky*(v*scale) + k.phase)
			s[i], c[i] = s[i]*k.amp, c[i]*k.amp
		}
		for x := range w {
			d := base
			for i := range s {
				d += s[i]*cos[i*w+x] + c[i]*sin[i*w+x]
			}
			do(y*w+x, min(max(d, 0), 1))
		}
	}
}
