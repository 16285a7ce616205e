package degrade

import (
	"math"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

// moments returns mean and variance of the values of one channel.
func moments(im *imageio.Image, channel int) (mean, variance float64) {
	n := float64(im.W * im.H)
	for i := channel; i < len(im.Pix); i += 3 {
		mean += float64(im.Pix[i]) / n
	}
	for i := channel; i < len(im.Pix); i += 3 {
		d := float64(im.Pix[i]) - mean
		variance += d * d / n
	}
	return mean, variance
}

// Both algorithms give the counts of the distribution: mean, variance and third central moment are
// all equal to its parameter.
func TestPoissonCounts(t *testing.T) {
	const n = 100000
	for _, mean := range []float64{0.2, 3, 9.99, 10, 35, 400} {
		rng := newRNG(21)
		var m1, m2, m3, middle float64
		for range n {
			k := poisson(mean, rng)
			if k < 0 || k != math.Trunc(k) {
				t.Fatalf("mean %v: count %v", mean, k)
			}
			d := k - mean
			m1, m2, m3 = m1+d/n, m2+d*d/n, m3+d*d*d/n
			if k == math.Floor(mean) {
				middle += 1. / n
			}
		}
		// Five standard errors, of the moments of a normal distribution for the third.
		se := 5 / math.Sqrt(n)
		logFactorial, _ := math.Lgamma(math.Floor(mean) + 1)
		p := math.Exp(math.Floor(mean)*math.Log(mean) - mean - logFactorial)
		if math.Abs(m1) > se*math.Sqrt(mean) || math.Abs(m2-mean) > se*math.Sqrt(2*mean*mean+mean) ||
			math.Abs(m3-mean) > se*math.Sqrt(15*mean*mean*mean+26*mean*mean+mean) || math.Abs(middle-p) > se*math.Sqrt(p*(1-p)) {
			t.Errorf("mean %v: off by %.4f, variance %.3f, third moment %.3f, P(%.0f) = %.4f, want %.4f", mean, m1, m2, m3, math.Floor(mean), middle, p)
		}
	}
	if poisson(0, newRNG(1)) != 0 || poisson(-1, newRNG(1)) != 0 {
		t.Error("no light gives photons")
	}
}

// The variance grows with the brightness: v/peak. 16384 values per channel: 5 standard errors of the
// variance are 5.5 %, of the mean 4 % of the deviation.
func TestPoissonNoiseStatistics(t *testing.T) {
	for _, v := range []float32{0.1, 0.3, 0.6} { // 5 deviations below white: nothing is cut off
		out := PoissonNoise{Peak: Fixed(200)}.Apply(flat(128, 128, v), newRNG(22))
		for c := range 3 {
			mean, variance := moments(out, c)
			want := float64(v) / 200
			if math.Abs(mean-float64(v)) > 0.04*math.Sqrt(want) || math.Abs(variance/want-1) > 0.06 {
				t.Errorf("level %v channel %d: mean %v, variance %v, want %v", v, c, mean, variance, want)
			}
		}
	}
}

// Without noise and mosaic the way to the sensor and back changes nothing, also of values between the
// 8-bit levels (the inverse curve is interpolated there).
func TestCameraPipelineIsInvertible(t *testing.T) {
	im := photo(t, sample.TrainImages()[4]).Crop(0, 0, 96, 96)
	d := DefaultCameraNoise()
	d.Shot, d.Mosaic = Fixed(0), false
	if diff := worst(im, d.Apply(im, newRNG(23))); diff > 1e-5 { // float32
		t.Errorf("8-bit values change by %v", diff)
	}
	for i := range im.Pix {
		im.Pix[i] = 0.02 + 0.96*im.Pix[i]
	}
	if diff := worst(im, d.Apply(im, newRNG(23))); diff > 0.5/255 {
		t.Errorf("values change by %v", diff)
	}
	d.Mosaic = true
	even := flat(32, 32, 0.4)
	if diff := worst(even, d.Apply(even, newRNG(23))); diff > 1e-3 { // 14 bits of linear light
		t.Errorf("an even picture changes by %v", diff)
	}
}

// The noise on the sensor has variance shot*x + read, x without white balance.
func TestCameraNoiseVariance(t *testing.T) {
	d := DefaultCameraNoise()
	d.Shot = Fixed(0.004)
	rng := newRNG(24)
	s := d.drawSensor(rng)
	const n = 40000
	for c := range 3 {
		const v = 0.5
		linear := math.Pow(v, 2.2) // 0.5 is a fixed point of the tone curve
		var sum, sum2 float64
		for range n {
			e := s.expose(v, c, rng) - linear
			sum, sum2 = sum+e/n, sum2+e*e/n
		}
		want := (s.shot*linear/s.gain[c] + s.read) * s.gain[c] * s.gain[c]
		// 5 standard errors; the curve is exact at 8-bit levels only, which 0.5 is not.
		if math.Abs(sum) > 0.025*math.Sqrt(want)+1e-5 || math.Abs((sum2-sum*sum)/want-1) > 0.036 {
			t.Errorf("channel %d: mean error %v, variance %v, want %v", c, sum, sum2, want)
		}
	}
	if s.gain[0] <= s.gain[1] || s.gain[2] <= s.gain[1] {
		t.Errorf("gains %v: red and blue sensors see less light than green", s.gain)
	}
}

// The drawn levels are those of the paper.
func TestCameraNoiseLevels(t *testing.T) {
	d := DefaultCameraNoise()
	rng := newRNG(25)
	lo, hi := math.Log(0.0001), math.Log(0.012)
	const n = 4000
	var mean, residual2 float64
	for range n {
		s := d.drawSensor(rng)
		x := math.Log(s.shot)
		if x < lo-1e-9 || x > hi+1e-9 {
			t.Fatalf("shot %v", s.shot)
		}
		e := math.Log(s.read) - 2.18*x - 1.20
		mean, residual2 = mean+x/n, residual2+e*e/n
	}
	// The mean of a uniform value has a standard error of (hi-lo)/sqrt(12n), a deviation one of 1/sqrt(2n).
	if math.Abs(mean-(lo+hi)/2) > 5*(hi-lo)/math.Sqrt(12*n) || math.Abs(math.Sqrt(residual2)/0.26-1) > 5/math.Sqrt(2*n) {
		t.Errorf("log shot has mean %v, want %v; read noise spreads by %v, want 0.26", mean, (lo+hi)/2, math.Sqrt(residual2))
	}
}
