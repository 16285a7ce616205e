package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// GaussianNoise adds independent normal noise of one standard deviation to all pixels and channels.
// The official training draws it from a generator seeded with the sample's index, so that a picture
// has the same noise pattern in every epoch; here each epoch has its own.
type GaussianNoise struct {
	Sigma  Range     // standard deviation in 8-bit units (0..255), drawn per picture
	Sigmas []float64 // if not empty, sigma is chosen from this list instead of from Sigma
	// Clip limits the result to 0..1. The official data set does not clip (parity case data_protocol).
	Clip bool
	// Protocol draws the noise of the official denoising test, the same for every picture of a size:
	// see ProtocolNoise. For test sets only.
	Protocol bool
}

// DefaultGaussianNoise has sigma 15..50, the span of the denoising benchmarks (15, 25, 50), not
// clipped.
func DefaultGaussianNoise() GaussianNoise { return GaussianNoise{Sigma: Range{15, 50}} }

func gaussianNoiseParams() ([]param, func() Degradation) {
	d := DefaultGaussianNoise()
	return []param{
		{"sigma", &d.Sigma, 0, 255}, {"sigmas", &d.Sigmas, 0, 255}, {"clip", &d.Clip, 0, 0}, {"protocol", &d.Protocol, 0, 0},
	}, func() Degradation { return d }
}

// Kind returns "noise".
func (GaussianNoise) Kind() string { return "noise" }

// Apply implements Degradation.
func (d GaussianNoise) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	sigma := d.Sigma.Draw(rng)
	if len(d.Sigmas) > 0 {
		sigma = d.Sigmas[rng.IntN(len(d.Sigmas))]
	}
	var out *imageio.Image
	if d.Protocol {
		out = ProtocolNoise(im, sigma, protocolSeed)
	} else {
		out = im.Clone()
		for i, v := range out.Pix {
			out.Pix[i] = float32(float64(v) + rng.NormFloat64()*sigma/255)
		}
	}
	if d.Clip {
		for i, v := range out.Pix {
			out.Pix[i] = clamp01(v)
		}
	}
	out.Gray = false // the three channels differ now
	return out
}

// protocolSeed is the seed of every test image (parity README, section 6).
const protocolSeed = 0

// ProtocolNoise adds the noise of the official denoising test: NumPy's legacy generator (MT19937
// and the polar method) seeded with seed, 0 for every test image, normals drawn in HWC order, sigma
// in 8-bit units, added in float64, neither clipped nor rounded (parity case data_protocol).
func ProtocolNoise(im *imageio.Image, sigma float64, seed uint32) *imageio.Image {
	g := newLegacyNormal(seed)
	out := im.Clone()
	for i, v := range out.Pix {
		out.Pix[i] = float32(float64(v) + g.next()*sigma/255)
	}
	out.Gray = false
	return out
}

// legacyNormal is numpy.random.RandomState(seed).standard_normal: Mersenne Twister MT19937
// (Matsumoto and Nishimura 1998) and Marsaglia's polar method.
type legacyNormal struct {
	state [624]uint32
	at    int
	spare float64 // second value of the pair that the polar method yields
	has   bool
}

func newLegacyNormal(seed uint32) *legacyNormal {
	g := &legacyNormal{at: 624}
	g.state[0] = seed
	for i := 1; i < 624; i++ {
		prev := g.state[i-1]
		g.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return g
}

func (g *legacyNormal) twist() {
	for i := range g.state {
		y := g.state[i]&0x80000000 | g.state[(i+1)%624]&0x7fffffff
		v := g.state[(i+397)%624] ^ y>>1
		if y&1 == 1 {
			v ^= 0x9908b0df
		}
		g.state[i] = v
	}
	g.at = 0
}

func (g *legacyNormal) uint32() uint32 {
	if g.at == 624 {
		g.twist()
	}
	y := g.state[g.at]
	g.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// float64 is uniform in [0,1) with 53 random bits.
func (g *legacyNormal) float64() float64 {
	a, b := g.uint32()>>5, g.uint32()>>6
	return (float64(a)*67108864 + float64(b)) / 9007199254740992
}

func (g *legacyNormal) next() float64 {
	if g.has {
		g.has = false
		return g.spare
	}
	for {
		x, y := 2*g.float64()-1, 2*g.float64()-1
		if r2 := x*x + y*y; r2 < 1 && r2 != 0 {
			f := math.Sqrt(-2 * math.Log(r2) / r2)
			g.spare, g.has = f*x, true
			return f * y
		}
	}
}
