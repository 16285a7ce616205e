package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// PoissonNoise is photon shot noise: each channel of each pixel counts photons, v becomes
// Poisson(Peak*v)/Peak with variance v/Peak, so that bright parts have more noise than dark ones.
// White is where the sensor saturates: the result is limited to 0..1.
type PoissonNoise struct {
	Peak Range // photons that make white, above 0, drawn per picture
}

// DefaultPoissonNoise has 10 to 100 photons, within the peaks of the usual Poisson benchmarks (1 to
// 120; Mäkitalo and Foi, TIP 2011). In mid grey that is Gaussian noise of sigma 57 to 18.
func DefaultPoissonNoise() PoissonNoise { return PoissonNoise{Peak: Range{10, 100}} }

func poissonNoiseParams() ([]param, func() Degradation) {
	d := DefaultPoissonNoise()
	return []param{{"peak", &d.Peak, 0.1, 1e6}}, func() Degradation { return d }
}

// Kind returns "poisson".
func (PoissonNoise) Kind() string { return "poisson" }

// Apply implements Degradation.
func (d PoissonNoise) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	peak := d.Peak.Draw(rng)
	out := im.Clone()
	for i, v := range im.Pix {
		out.Pix[i] = clamp01(float32(poisson(float64(v)*peak, rng) / peak))
	}
	out.Gray = false // the three channels differ now
	return out
}

// poisson draws a count of the given mean; a mean of 0 or less gives 0.
func poisson(mean float64, rng *rand.Rand) float64 {
	switch {
	case !(mean > 0):
		return 0
	case mean < 10:
		// Arrivals in a unit of time: uniform factors until their product falls below exp(-mean).
		limit, k := math.Exp(-mean), 0.0
		for p := rng.Float64(); p > limit; p *= rng.Float64() {
			k++
		}
		return k
	}
	// Transformed rejection, algorithm PTRS of Hörmann (1993).
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	invAlpha := 1.1239 + 1.1328/(b-3.4)
	accept := 0.9277 - 3.6224/(b-2)
	for {
		u := rng.Float64() - 0.5
		v := 1 - rng.Float64() // not 0, whose logarithm is taken
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= accept {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		logFactorial, _ := math.Lgamma(k + 1)
		if math.Log(v*invAlpha/(a/(us*us)+b)) <= k*math.Log(mean)-mean-logFactorial {
			return k
		}
	}
}
