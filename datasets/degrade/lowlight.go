package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// LowLight is a photo taken with too little light: out = Scale * J^Gamma (the curve that synthetic
// low-light training sets use, e.g. MBLLEN, Lv et al., BMVC 2018), plus sensor noise with variance
// Shot*out + Read², where few photons leave it visible.
type LowLight struct {
	Gamma Range // exponent, 1 or more darkens the shadows most, drawn per picture
	Scale Range // factor of the whole picture, 0..1, drawn per picture
	Shot  Range // shot noise: variance per unit of brightness, drawn per picture
	Read  Range // read noise: standard deviation in 8-bit units, drawn per picture
}

// DefaultLowLight resembles LOL (Wei et al., BMVC 2018): the dark picture lies 8 to 12 dB from the
// well-lit one and is noisy when brightened.
func DefaultLowLight() LowLight {
	return LowLight{Gamma: Range{1.2, 2}, Scale: Range{0.15, 0.45}, Shot: Range{0.0002, 0.001}, Read: Range{0.5, 2}}
}

func lowLightParams() ([]param, func() Degradation) {
	d := DefaultLowLight()
	return []param{
		{"gamma", &d.Gamma, 0.2, 10}, {"scale", &d.Scale, 0, 1}, {"shot", &d.Shot, 0, 1}, {"read", &d.Read, 0, 255},
	}, func() Degradation { return d }
}

// Kind returns "lowlight".
func (LowLight) Kind() string { return "lowlight" }

// Apply implements Degradation.
func (d LowLight) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	gamma, scale := d.Gamma.Draw(rng), d.Scale.Draw(rng)
	shot, read := d.Shot.Draw(rng), d.Read.Draw(rng)/255
	curve := newCurve(func(v float64) (level, sigma float64) {
		level = scale * math.Pow(v, gamma)
		return level, math.Sqrt(shot*level + read*read)
	})
	out := im.Clone()
	for i, v := range im.Pix {
		level, sigma := curve.at(v)
		out.Pix[i] = clamp01(level + sigma*float32(rng.NormFloat64()))
	}
	out.Gray = im.Gray && shot == 0 && read == 0
	return out
}

// curve tabulates two functions of a value in 0..1, read with linear interpolation: a power per
// pixel would cost more than everything else.
type curve struct{ level, sigma [curveSteps + 2]float32 }

const curveSteps = 255 // 8-bit inputs hit the nodes exactly

func newCurve(f func(v float64) (level, sigma float64)) *curve {
	c := new(curve)
	for i := range c.level {
		level, sigma := f(float64(i) / curveSteps)
		c.level[i], c.sigma[i] = float32(level), float32(sigma)
	}
	return c
}

func (c *curve) at(v float32) (level, sigma float32) {
	x := clamp01(v) * curveSteps
	i := int(x)
	f := x - float32(i)
	return c.level[i] + f*(c.level[i+1]-c.level[i]), c.sigma[i] + f*(c.sigma[i+1]-c.sigma[i])
}
