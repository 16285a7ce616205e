package degrade

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// LowLight is a photo taken with too little light: out = Scale * J^Gamma (the curve that synthetic
// low-light training sets use, e.g. MBLLEN, Lv et al., BMVC 2018), plus sensor noise with variance
// Shot*out + Read², where few photons leave it visible.
//
// With Exposure it is what a camera delivers instead, and Gamma and Scale are not used: the photo is
// taken back to light by the inverse of a camera's response, the light is scaled, the sensor adds noise
// of the same variance to it, and the response and 8 bits make a picture of it again. The response is
// that of Brooks et al. (CVPR 2019): the curve of sRGB, then the S-shaped tone curve 3x²-2x³.
type LowLight struct {
	Gamma Range // exponent, 1 or more darkens the shadows most, drawn per picture
	Scale Range // factor of the whole picture, 0..1, drawn per picture
	Shot  Range // shot noise: variance per unit of brightness, drawn per picture
	Read  Range // read noise: standard deviation in 8-bit units, drawn per picture
	// Exposure is the part of the light that is left, 0..1, drawn per picture: 0.125 is three stops too
	// little. 0: the curve of Gamma and Scale.
	Exposure Range
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
		{"exposure", &d.Exposure, 0, 1},
	}, func() Degradation { return d }
}

// Kind returns "lowlight".
func (LowLight) Kind() string { return "lowlight" }

// Apply implements Degradation.
func (d LowLight) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	gamma, scale := d.Gamma.Draw(rng), d.Scale.Draw(rng)
	shot, read := d.Shot.Draw(rng), d.Read.Draw(rng)/255
	light, picture := func(v float64) float64 { return scale * math.Pow(v, gamma) }, func(v float32) float32 { return v }
	if d.Exposure.Max > 0 {
		exposure := d.Exposure.Draw(rng)
		light, picture = func(v float64) float64 { return exposure * inverseResponse(v) }, develop
	}
	curve := newCurve(func(v float64) (level, sigma float64) {
		level = light(v)
		return level, math.Sqrt(shot*level + read*read)
	})
	out := im.Clone()
	for i, v := range im.Pix {
		level, sigma := curve.at(v)
		out.Pix[i] = picture(clamp01(level + sigma*float32(rng.NormFloat64())))
	}
	out.Gray = im.Gray && shot == 0 && read == 0
	return out
}

// response is what a camera makes of light 0..1: a value 0..1.
func response(light float64) float64 {
	v := 12.92 * light
	if light > 0.0031308 {
		v = 1.055*math.Pow(light, 1/2.4) - 0.055
	}
	return v * v * (3 - 2*v)
}

// inverseResponse is the light that response makes v of.
func inverseResponse(v float64) float64 {
	v = 0.5 - math.Sin(math.Asin(1-2*min(v, 1))/3)
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// thresholds are the amounts of light from which on develop gives the levels 1 to 255.
var thresholds = sync.OnceValue(func() *[255]float32 {
	t := new([255]float32)
	for i := range t {
		t[i] = float32(inverseResponse((float64(i) + 0.5) / 255))
	}
	return t
})

// develop is response, rounded to 8 bits.
func develop(light float32) float32 {
	level, _ := slices.BinarySearch(thresholds()[:], light)
	return float32(level) / 255
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
