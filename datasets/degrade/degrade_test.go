package degrade

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

func newRNG(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// all returns every kind with its default parameters.
func all(t testing.TB) []Degradation {
	t.Helper()
	var out []Degradation
	for _, kind := range Kinds() {
		d, err := New(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.Kind() != kind {
			t.Errorf("kind %q makes %q", kind, d.Kind())
		}
		out = append(out, d)
	}
	return out
}

func photo(t testing.TB, name string) *imageio.Image {
	t.Helper()
	data, err := sample.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	im, err := imageio.Decode(bytes.NewReader(data), name)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func flat(w, h int, v float32) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = v
	}
	return im
}

func psnr(a, b *imageio.Image) float64 {
	x, y := a.Quantize(), b.Quantize()
	var sum float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(x))/sum)
}

// What every degradation promises, on ordinary and on extreme sizes.
func TestContract(t *testing.T) {
	whole := photo(t, sample.TrainImages()[0])
	for _, d := range slices.Concat(all(t), mixtures(t)) {
		for name, im := range map[string]*imageio.Image{
			"patch": whole.Crop(10, 20, 64, 48), "1x1": whole.Crop(0, 0, 1, 1), "1x5000": flat(1, 5000, 0.5), "5000x1": flat(5000, 1, 0.5),
		} {
			before := im.Clone()
			out := d.Apply(im, newRNG(1))
			if !slices.Equal(im.Pix, before.Pix) {
				t.Errorf("%s %s: the input was changed", d.Kind(), name)
			}
			if out.W != im.W || out.H != im.H || len(out.Pix) != len(im.Pix) {
				t.Fatalf("%s %s: size changed", d.Kind(), name)
			}
			for _, v := range out.Pix {
				if v != v || d.Kind() != "noise" && (v < 0 || v > 1) {
					t.Fatalf("%s %s: value %v", d.Kind(), name, v)
				}
			}
			if again := d.Apply(im, newRNG(1)); !slices.Equal(out.Pix, again.Pix) {
				t.Errorf("%s %s: the same seed gives another picture", d.Kind(), name)
			}
			if name == "patch" {
				if slices.Equal(out.Pix, im.Pix) {
					t.Errorf("%s: nothing happened", d.Kind())
				}
				same := slices.Equal(out.Pix, d.Apply(im, newRNG(2)).Pix)
				if nothingRandom := d.Kind() == "demosaick"; same != nothingRandom {
					t.Errorf("%s: another seed gives the same picture: %v", d.Kind(), same)
				}
			}
		}
	}
}

// The defaults are as hard as the benchmarks they name: mean PSNR of the degraded test photos,
// 40 draws; the bands are about 1.5 dB wide on each side of what was measured.
func TestDifficulty(t *testing.T) {
	bands := map[string][2]float64{
		"noise":    {16.5, 20.5}, // sigma 15 is 24.6 dB, 50 is 14.8 dB
		"rain":     {19.5, 24},   // Rain100H 14, Rain100L 27
		"snow":     {19.5, 23.5}, // Snow100K 19 to 25
		"haze":     {12.5, 16.5}, // SOTS outdoor 15.9
		"blur":     {23, 28},     // GoPro 25.6
		"lowlight": {8, 12},      // LOL v1 7.8

		"poisson":   {19.5, 22.5},
		"camera":    {26, 29},
		"defocus":   {23, 26}, // DPDD 23.9
		"jpeg":      {29, 32},
		"demosaick": {30, 33},
		"inpaint":   {13.5, 17},
		"downscale": {27, 30},
	}
	for _, d := range all(t) {
		var sum float64
		n := 0
		for i, name := range sample.TestImages() {
			im := photo(t, name)
			for k := range 5 {
				sum += psnr(d.Apply(im.Crop(60*k, 60*k, 256, 256), newRNG(uint64(10*i+k))), im.Crop(60*k, 60*k, 256, 256))
				n++
			}
		}
		mean, band := sum/float64(n), bands[d.Kind()]
		t.Logf("%s: %.2f dB", d.Kind(), mean)
		if mean < band[0] || mean > band[1] {
			t.Errorf("%s: mean PSNR %.2f dB, want %v", d.Kind(), mean, band)
		}
	}
}

// A crop with its margin, at its place, gets exactly what the whole picture gets there. At the border,
// where the margin holds the reflection of the picture, sums may be rounded in another order.
func TestCropEqualsWhole(t *testing.T) {
	im := photo(t, sample.TrainImages()[1])
	for _, d := range all(t) {
		m := Margin(d)
		_, windowed := d.(Windowed)
		if m == 0 && (!windowed || d.Kind() == "rain") {
			continue // draws per pixel: a crop has its own noise or streaks
		}
		if c, ok := d.(CameraNoise); ok {
			c.Shot = Fixed(0) // what is left is the mosaic
			d = c
		}
		whole := d.Apply(im, newRNG(3))
		for _, at := range [][3]int{{100, 80, 64}, {85, 99, 64}, {0, 0, 64}, {im.W - 64, im.H - 64, 64}, {0, 0, 1}, {im.W - 1, im.H - 1, 1}, {51, 67, 3}} {
			x, y, side := at[0], at[1], at[2]
			tolerance := 0.0
			if x == 0 || x == im.W-side {
				tolerance = 1e-5
			}
			crop := ApplyWindow(d, reflectCrop(im, x-m, y-m, side+2*m, side+2*m), Window{x - m, y - m, im.W, im.H}, newRNG(3))
			if diff := worst(whole.Crop(x, y, side, side), crop.Crop(m, m, side, side)); diff > tolerance {
				t.Errorf("%s: the crop at %v differs from the whole picture by %v", d.Kind(), at, diff)
			}
		}
	}
}

// worst returns the largest difference of two pictures of one size.
func worst(a, b *imageio.Image) float64 {
	var out float64
	for i, v := range a.Pix {
		out = max(out, math.Abs(float64(v)-float64(b.Pix[i])))
	}
	return out
}

// reflectCrop is a crop that may lie outside the picture, which its reflection continues.
func reflectCrop(im *imageio.Image, x0, y0, w, h int) *imageio.Image {
	out := imageio.New(w, h)
	for i := range w * h {
		x, y := imageio.Reflect(x0+i%w, im.W), imageio.Reflect(y0+i/w, im.H)
		copy(out.Pix[i*3:][:3], im.Pix[(y*im.W+x)*3:])
	}
	return out
}

func TestNoiseStatistics(t *testing.T) {
	// 49152 samples: the standard error of the deviation is 0.32 %, of the mean 0.11 levels at sigma 25.
	out := GaussianNoise{Sigma: Fixed(25)}.Apply(flat(128, 128, 0.5), newRNG(4))
	var sum, sum2 float64
	for _, v := range out.Pix {
		d := (float64(v) - 0.5) * 255
		sum, sum2 = sum+d, sum2+d*d
	}
	n := float64(len(out.Pix))
	mean, sigma := sum/n, math.Sqrt(sum2/n-sum*sum/n/n)
	if math.Abs(mean) > 0.55 || math.Abs(sigma-25) > 0.4 {
		t.Errorf("mean %.3f, sigma %.3f; want 0, 25", mean, sigma)
	}
	if slices.Max(GaussianNoise{Sigma: Fixed(50)}.Apply(flat(32, 32, 1), newRNG(5)).Pix) <= 1 {
		t.Error("noise was clipped without being asked")
	}
	clipped := GaussianNoise{Sigma: Fixed(50), Clip: true}.Apply(flat(32, 32, 1), newRNG(5))
	if slices.Max(clipped.Pix) != 1 {
		t.Error("Clip does not clip to 1")
	}
	rng := newRNG(6)
	for range 20 { // the only sigmas offered are 0 and 0
		if out := (GaussianNoise{Sigmas: []float64{0, 0}, Sigma: Fixed(99)}).Apply(flat(4, 4, 0.3), rng); out.Pix[0] != 0.3 {
			t.Fatal("sigma was not taken from the list")
		}
	}
}

func TestRainModel(t *testing.T) {
	im := flat(128, 128, 0.2)
	d := DefaultRain()
	d.Brightness = Fixed(0.9)
	out := d.Apply(im, newRNG(7))
	lo, hi := slices.Min(out.Pix), slices.Max(out.Pix)
	if lo < 0.2-1e-6 || hi > 0.9+1e-6 || hi < 0.4 {
		t.Errorf("values %v..%v, want within scene 0.2 and streaks 0.9", lo, hi)
	}
	d.Density, d.Veil = Fixed(0), Fixed(0)
	if dry := d.Apply(im, newRNG(7)); psnr(dry, im) < 48 { // at most one streak is left by rounding up
		t.Errorf("without rain the picture changed: %.1f dB", psnr(dry, im))
	}
	d.Veil = Fixed(0.5)
	d.Alpha = Fixed(0)
	if v := d.Apply(im, newRNG(7)).Pix[0]; math.Abs(float64(v)-0.55) > 1e-6 {
		t.Errorf("veil gives %v, want 0.2*0.5+0.9*0.5", v)
	}
}

// A vertical streak in the middle covers its length and no more.
func TestStreakShape(t *testing.T) {
	m := newMask(21, 41)
	m.streak(streak{x: 10, y: 20, length: 20, width: 2, alpha: 0.5})
	at := func(x, y int) float32 { return m.t[y*21+x] }
	if at(10, 20) != 0.5 || at(10, 9) != 1 || at(10, 31) != 1 || at(10, 12) >= 1 || at(12, 20) != 1 || at(11, 20) >= 1 || at(11, 20) <= 0.5 {
		t.Errorf("streak: centre %v, above %v, beside %v", at(10, 20), at(10, 9), at(11, 20))
	}
	m = newMask(41, 21)
	m.streak(streak{x: 20, y: 10, angle: math.Pi / 2, length: 20, width: 2, alpha: 0.5})
	if m.t[10*41+20] != 0.5 || m.t[10*41+12] >= 1 || m.t[10*41+31] != 1 || m.t[13*41+20] != 1 {
		t.Error("horizontal streak is not where it should be")
	}
}

func TestHazeModel(t *testing.T) {
	im := photo(t, sample.TrainImages()[2]).Crop(0, 0, 64, 64)
	clear := Haze{Beta: Fixed(0), A: Fixed(0.8)}
	if !slices.Equal(clear.Apply(im, newRNG(8)).Pix, im.Pix) {
		t.Error("beta 0 changes the picture")
	}
	// Depth is 1 everywhere: I = J*t + A*(1-t) with t = exp(-1).
	fog := Haze{Beta: Fixed(1), A: Fixed(0.8), Near: Fixed(1)}
	out := fog.Apply(im, newRNG(8))
	for i, j := range im.Pix {
		want := float64(j)*math.Exp(-1) + 0.8*(1-math.Exp(-1))
		if math.Abs(float64(out.Pix[i])-want) > 1e-6 { // float32 rounding
			t.Fatalf("value %v, want %v", out.Pix[i], want)
		}
	}
	// With everything drawn: of a black and a white scene in the same haze, the difference is t, and what is
	// left of black is A*(1-t). So come out one A for each channel, in its range give or take five times the
	// tint, and one depth for all channels, 0 to 1.
	haze := DefaultHaze()
	for seed := range uint64(5) {
		black, white := haze.Apply(flat(40, 30, 0), newRNG(seed)), haze.Apply(flat(40, 30, 1), newRNG(seed))
		beta := haze.Beta.Draw(newRNG(seed)) // is drawn first
		var air [3]float64
		for i, b := range black.Pix {
			through := float64(white.Pix[i] - b)
			a := float64(b) / (1 - through)
			if i < 3 {
				air[i] = a
			}
			depth := -math.Log(through) / beta
			if math.Abs(a-air[i%3]) > 1e-5 || a < haze.A.Min-5*haze.Tint || a > 1 || depth < -1e-5 || depth > 1+1e-5 { // float32
				t.Fatalf("seed %d, value %d: A %v, %v before; depth %v", seed, i, a, air[i%3], depth)
			}
			if t0 := float64(white.Pix[i/3*3] - black.Pix[i/3*3]); math.Abs(through-t0) > 1e-6 {
				t.Fatalf("seed %d: transmission %v of channel %d, %v of red", seed, through, i%3, t0)
			}
		}
		if air[0] == air[1] && air[1] == air[2] {
			t.Errorf("seed %d: the airlight has no tint", seed)
		}
	}
	grad := Haze{Beta: Fixed(1), A: Fixed(1)}.Apply(flat(4, 64, 0), newRNG(8))
	if grad.Pix[0] <= grad.Pix[32*4*3] || grad.Pix[63*4*3] != 0 {
		t.Errorf("haze at top %v, middle %v, bottom %v: must decrease to 0", grad.Pix[0], grad.Pix[32*4*3], grad.Pix[63*4*3])
	}
}

func TestBlurKernel(t *testing.T) {
	d := DefaultMotionBlur()
	rng := newRNG(9)
	for range 200 {
		var sum, mx, my float64
		reach := 0
		for _, tap := range d.drawPath(rng) {
			sum += float64(tap.w)
			mx, my = mx+float64(tap.w)*float64(tap.dx), my+float64(tap.w)*float64(tap.dy)
			reach = max(reach, tap.dx, -tap.dx, tap.dy, -tap.dy)
		}
		// float32 sums of up to 84 positions
		if math.Abs(sum-1) > 1e-5 || math.Abs(mx) > 1e-4 || math.Abs(my) > 1e-4 {
			t.Fatalf("kernel: sum %v, centre (%v, %v); want 1, (0, 0)", sum, mx, my)
		}
		if reach > d.Margin() {
			t.Fatalf("kernel reaches %d pixels, Margin says %d", reach, d.Margin())
		}
	}
	for _, im := range []*imageio.Image{flat(40, 30, 0.6), flat(3, 2, 0.6)} { // far smaller than the kernel too
		for _, v := range d.Apply(im, rng).Pix {
			if math.Abs(float64(v)-0.6) > 1e-5 {
				t.Fatalf("an even picture became %v", v)
			}
		}
	}
	sharp := photo(t, sample.TrainImages()[3]).Crop(0, 0, 64, 64)
	still := MotionBlur{Length: Fixed(0)}.Apply(sharp, rng)
	if p := psnr(still, sharp); p < 60 { // squaring and its root cost a float32 rounding
		t.Errorf("a path of length 0 changes the picture: %.1f dB", p)
	}
}

func TestLowLightCurve(t *testing.T) {
	im := imageio.New(256, 1)
	for i := range im.Pix {
		im.Pix[i] = float32(i/3) / 255
	}
	im.Gray = true
	out := LowLight{Gamma: Fixed(1.7), Scale: Fixed(0.3)}.Apply(im, newRNG(10))
	for i, v := range im.Pix {
		want := 0.3 * math.Pow(float64(v), 1.7)
		if math.Abs(float64(out.Pix[i])-want) > 1e-6 { // nodes of the table, float32
			t.Fatalf("value %v becomes %v, want %v", v, out.Pix[i], want)
		}
	}
	if !out.Gray {
		t.Error("without noise grey stays grey")
	}
	// Variance of the noise: shot*level + read²; 49152 samples, relative error of sigma 0.3 %.
	d := LowLight{Gamma: Fixed(1), Scale: Fixed(0.5), Shot: Fixed(0.001), Read: Fixed(2)}
	var sum2 float64
	noisy := d.Apply(flat(128, 128, 0.8), newRNG(11))
	for _, v := range noisy.Pix {
		sum2 += (float64(v) - 0.4) * (float64(v) - 0.4)
	}
	sigma, want := math.Sqrt(sum2/float64(len(noisy.Pix))), math.Sqrt(0.001*0.4+4./255/255)
	if math.Abs(sigma/want-1) > 0.015 {
		t.Errorf("noise sigma %v, want %v", sigma, want)
	}
}

func TestNew(t *testing.T) {
	d, err := New("noise", map[string]any{"sigma": []any{uint64(10), 20.5}, "clip": true})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.(GaussianNoise); n.Sigma != (Range{10, 20.5}) || !n.Clip || n.Sigmas != nil {
		t.Errorf("got %+v", n)
	}
	d, err = New("haze", map[string]any{"a": 1, "field": int64(0)})
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultHaze()
	want.A, want.Field = Fixed(1), 0
	if d != Degradation(want) {
		t.Errorf("got %+v, want %+v", d, want)
	}
	d, err = New("noise", map[string]any{"sigmas": []float64{15, 25}})
	if err != nil || !slices.Equal(d.(GaussianNoise).Sigmas, []float64{15, 25}) {
		t.Errorf("got %+v, %v", d, err)
	}
	d, err = New("demosaick", map[string]any{"pattern": "GBRG"})
	if err != nil || d != Degradation(Demosaick{"GBRG"}) {
		t.Errorf("got %+v, %v", d, err)
	}

	for _, c := range []struct {
		kind   string
		params map[string]any
		want   string
	}{
		{"nois", nil, `did you mean "noise"`},
		{"fire", nil, "noise, rain, snow, haze, blur, lowlight"},
		{"noise", map[string]any{"sigm": 3}, `did you mean "sigma"`},
		{"rain", map[string]any{"sigma": 3}, "density, length, width"},
		{"noise", map[string]any{"sigma": 256}, "must lie in 0..255"},
		{"noise", map[string]any{"sigma": "25"}, "must be a number"},
		{"noise", map[string]any{"sigma": []any{50, 15}}, "min <= max"},
		{"noise", map[string]any{"sigma": []any{1, 2, 3}}, "[min, max]"},
		{"noise", map[string]any{"sigma": []any{}}, "empty list"},
		{"noise", map[string]any{"sigma": math.NaN()}, "must lie in"},
		{"noise", map[string]any{"clip": 1}, "true or false"},
		{"haze", map[string]any{"tint": []any{0, 1}}, "must be a number"},
		{"demosaick", map[string]any{"pattern": "RGBG"}, "is RGBG, must be one of RGGB, BGGR, GRBG, GBRG"},
		{"inpaint", map[string]any{"mask": 3}, "must be one of lines, strokes, pixels, box"},
	} {
		_, err := New(c.kind, c.params)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %v): error %v, want it to say %q", c.kind, c.params, err, c.want)
		}
	}
}

// One 64x64 training crop with its margin, as the synthetic data set makes it.
func BenchmarkCrop64(b *testing.B) {
	im := photo(b, sample.TrainImages()[0])
	for _, d := range all(b) {
		m := Margin(d)
		crop := im.Crop(60, 60, 64+2*m, 64+2*m)
		b.Run(d.Kind(), func(b *testing.B) {
			rng := newRNG(1)
			for b.Loop() {
				ApplyWindow(d, crop, Window{60, 60, im.W, im.H}, rng)
			}
		})
	}
}
