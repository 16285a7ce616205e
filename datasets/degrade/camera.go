package degrade

import (
	"math"
	"math/rand/v2"
	"sync"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// CameraNoise is the noise of a camera as it looks in its photos: strongest in shadows and in red and
// blue, coloured and, after demosaicking, in grains. After Brooks et al., "Unprocessing Images for
// Learned Raw Denoising", CVPR 2019, the picture is taken back to what the sensor saw (inverse of the
// tone curve 3x²-2x³, of the gamma 2.2 and of the white balance), gets normal noise of variance
// shot*x + read and, with Mosaic, loses two colours of each pixel; then white balance, edge-aware
// demosaicking, gamma and tone curve make a photo of it again. Their colour matrices of single cameras
// are left out, so that without noise and mosaic the picture stays what it is.
type CameraNoise struct {
	// Shot is the variance of the noise per unit of light on the sensor, drawn per picture, uniform in
	// its logarithm; 0 is no noise. That of the read noise follows from it: its logarithm is
	// 2.18 log shot + 1.20, with a standard deviation of 0.26.
	Shot   Range
	Red    Range // white balance gain of red, drawn per picture
	Blue   Range // white balance gain of blue, drawn per picture
	Mosaic bool  // with a Bayer filter (RGGB) before the sensor
}

// DefaultCameraNoise has the figures of Brooks et al.: shot 0.0001 to 0.012, red gain 1.9 to 2.4, blue
// gain 1.5 to 1.9, and a mosaic.
func DefaultCameraNoise() CameraNoise {
	return CameraNoise{Shot: Range{0.0001, 0.012}, Red: Range{1.9, 2.4}, Blue: Range{1.5, 1.9}, Mosaic: true}
}

func cameraNoiseParams() ([]param, func() Degradation) {
	d := DefaultCameraNoise()
	return []param{
		{"shot", &d.Shot, 0, 1}, {"red", &d.Red, 1, 10}, {"blue", &d.Blue, 1, 10}, {"mosaic", &d.Mosaic, 0, 0},
	}, func() Degradation { return d }
}

// Kind returns "camera".
func (CameraNoise) Kind() string { return "camera" }

// Margin implements Margined.
func (d CameraNoise) Margin() int {
	if d.Mosaic {
		return mosaicMargin
	}
	return 0
}

// Apply implements Degradation.
func (d CameraNoise) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// rawWhite is the value of white in the mosaic: sensors deliver 10 to 14 bits.
const rawWhite = 1<<14 - 1

// ApplyWindow implements Windowed: the mosaic has the phase of the whole picture.
func (d CameraNoise) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	s := d.drawSensor(rng)
	out := im.Clone()
	if d.Mosaic {
		raw := newMosaic(im.W, im.H, newBayer(""), win)
		for i := range raw.v {
			c := raw.channel(i)
			raw.v[i] = int32(math.Round(s.expose(im.Pix[i*3+c], c, rng) * rawWhite))
		}
		display := rawDisplay()
		for i, v := range raw.demosaick() {
			out.Pix[i] = display[v]
		}
	} else {
		for i, v := range im.Pix {
			out.Pix[i] = toDisplay(s.expose(v, i%3, rng))
		}
	}
	out.Gray = false // the three channels differ now
	return out
}

// sensor is what is drawn for a picture.
type sensor struct {
	shot, read float64 // variances
	gain       [3]float64
	linear     *curve
}

func (d CameraNoise) drawSensor(rng *rand.Rand) sensor {
	var s sensor
	u, spread := rng.Float64(), rng.NormFloat64()
	if d.Shot.Max > 0 {
		// A range from 0 on has no logarithm: its lower end is far below anything visible.
		lo := math.Log(max(d.Shot.Min, 1e-9))
		logShot := lo + u*(math.Log(d.Shot.Max)-lo)
		s.shot, s.read = math.Exp(logShot), math.Exp(2.18*logShot+1.20+0.26*spread)
	}
	// The digital gain of a whole picture is 1/N(0.8, 0.1); four deviations bound it.
	whole := 1 / (0.8 + 0.1*min(max(rng.NormFloat64(), -4), 4))
	s.gain = [3]float64{whole * d.Red.Draw(rng), whole, whole * d.Blue.Draw(rng)}
	s.linear = newCurve(func(v float64) (level, sigma float64) {
		v = 0.5 - math.Sin(math.Asin(1-2*min(v, 1))/3) // inverse of 3v²-2v³
		return math.Pow(v, 2.2), 0
	})
	return s
}

// expose returns what the sensor tells of a value of channel c, white balance applied: linear, limited
// to 0..1.
func (s sensor) expose(v float32, c int, rng *rand.Rand) float64 {
	linear, _ := s.linear.at(v)
	x := float64(linear) / s.gain[c]
	x += rng.NormFloat64() * math.Sqrt(s.shot*x+s.read)
	return min(max(x*s.gain[c], 0), 1)
}

// rawDisplay is toDisplay of all values of the mosaic.
var rawDisplay = sync.OnceValue(func() *[rawWhite + 1]float32 {
	t := new([rawWhite + 1]float32)
	for v := range t {
		t[v] = toDisplay(float64(v) / rawWhite)
	}
	return t
})

// toDisplay applies gamma and tone curve to a value in 0..1.
func toDisplay(linear float64) float32 {
	v := math.Pow(max(linear, 1e-8), 1/2.2)
	return clamp01(float32((3 - 2*v) * v * v))
}
