package degrade

import (
	"math"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

// covered is the mean opacity of what hides a black picture behind white.
func covered(im *imageio.Image) float64 {
	var sum float64
	for _, v := range im.Pix {
		sum += float64(v)
	}
	return sum / float64(len(im.Pix))
}

// Heavy rain adds streaks and a mist to what the rain with the same numbers draws without them, and
// nothing else changes.
func TestRainOptions(t *testing.T) {
	im := flat(96, 96, 0)
	d := DefaultRain()
	d.Brightness, d.Veil, d.Jitter = Fixed(1), Fixed(0), 0
	plain := d.Apply(im, newRNG(20))
	d.Far = Fixed(20)
	far := d.Apply(im, newRNG(20))
	if a, b := covered(plain), covered(far); b < a+0.01 {
		t.Errorf("distant rain covers %.3f, without it is %.3f", b, a)
	}
	for i, v := range far.Pix {
		if v < plain.Pix[i] {
			t.Fatal("distant rain removed something")
		}
	}

	// Accumulation alone: 1 - exp(-mist*depth), thicker at the top, where the scene is far, and recovered
	// from the depth that a haze of the same numbers has.
	dry := Rain{Brightness: Fixed(1), Length: Fixed(1), Width: Fixed(1), Mist: Fixed(0.8)}
	out := dry.Apply(im, newRNG(21))
	rng := newRNG(21)
	for range 5 { // angle, brightness, veil, density, mist
		rng.Float64()
	}
	DefaultHaze().drawDepth(rng).each(im.W, im.H, Window{W: im.W, H: im.H}, func(i int, depth float64) {
		if got := -math.Log(1-float64(out.Pix[i*3])) / 0.8; math.Abs(got-depth) > 1e-5 { // float32 rounding
			t.Fatalf("pixel %d: depth %v, want %v", i, got, depth)
		}
	})
	if top, bottom := covered(out.Crop(0, 0, 96, 10)), covered(out.Crop(0, 86, 96, 10)); top <= bottom {
		t.Errorf("mist covers %.3f at the top, %.3f at the bottom", top, bottom)
	}
}

// What flakes cover grows with their density as the product of independent flakes says: the mean
// transmission is exp(-area of flakes per pixel), with their mean area 2*ln(max/min)/(min^-2-max^-2)*pi/4.
func TestSnowCoverage(t *testing.T) {
	im := flat(512, 512, 0)
	for _, density := range []float64{2, 10, 40} {
		for _, streak := range []float64{0, 2} {
			d := Snow{Density: Fixed(density), Size: Range{2, 8}, Focus: 4, Defocus: 1, Streak: Fixed(streak), Brightness: Fixed(1), Alpha: Fixed(0.5)}
			area := math.Pi / 4 * 2 * math.Log(8/2.) / (1/4. - 1/64.)
			want := 1 - math.Exp(-density/1000*area*0.5)
			// The rim of a disk holds a little more than its middle line, and places and sizes are random:
			// 524 flakes at the lowest density, whose area varies by 100 %, leave 4 %.
			if got := covered(d.Apply(im, newRNG(22))); math.Abs(got/want-1) > 0.12 {
				t.Errorf("density %v, streak %v: %.4f is covered, want %.4f", density, streak, got, want)
			}
		}
	}
}

func TestFlakeShape(t *testing.T) {
	sum := func(f flake) (total, peak float64) {
		m := newMask(101, 101)
		f.x, f.y = 50, 50
		m.flake(f)
		for i, v := range m.t {
			total += 1 - float64(v)
			peak = max(peak, 1-float64(v))
			if x, y := float64(i%101-50), float64(i/101-50); v < 1 && math.Hypot(x, y) > f.reach() {
				t.Fatalf("a flake reaches (%v, %v), reach says %v", x, y, f.reach())
			}
		}
		return total, peak
	}
	sharp := flake{size: 10, cos: 1, alpha: 0.8}
	area, peak := sum(sharp)
	if want := 0.8 * math.Pi * 25; math.Abs(area/want-1) > 0.03 || math.Abs(peak-0.8) > 1e-6 {
		t.Errorf("in focus: covers %.1f, want %.1f; peak %.3f", area, want, peak)
	}
	for name, f := range map[string]flake{
		"blurred":        {size: 10, blur: 12, cos: 1, alpha: 0.8},
		"falling":        {size: 10, fall: 25, cos: 1, alpha: 0.8},
		"falling aslant": {size: 10, fall: 25, sin: 0.6, cos: 0.8, alpha: 0.8},
		"both":           {size: 10, blur: 6, fall: 25, sin: -0.6, cos: 0.8, alpha: 0.8},
		"hardly blurred": {size: 10, blur: 1, cos: 1, alpha: 0.8},
	} {
		got, fainter := sum(f)
		if math.Abs(got/area-1) > 0.12 || fainter >= peak { // soft rims of wide disks hold some per cent more
			t.Errorf("%s: covers %.1f with peak %.2f; sharp it is %.1f with peak %.2f", name, got, fainter, area, peak)
		}
	}
	// Straight down is down.
	m := newMask(41, 41)
	m.flake(flake{x: 20, y: 20, size: 4, fall: 20, cos: 1, alpha: 1})
	if m.t[12*41+20] == 1 || m.t[20*41+12] != 1 {
		t.Error("a flake that falls straight down is not drawn as a vertical streak")
	}
}

// Every octave of sizes covers the same area.
func TestFlakeSizes(t *testing.T) {
	d := Snow{Size: Range{1, 16}}
	rng := newRNG(23)
	var octaves [4]float64
	for range 400000 {
		size := d.drawFlake(0, 0, rng).size
		if size < 1 || size > 16 {
			t.Fatalf("size %v", size)
		}
		octaves[min(int(math.Log2(size)), 3)] += size * size
	}
	for i, area := range octaves { // 1500 flakes in the last octave, of areas of 64 to 256: 3 % deviation
		if math.Abs(area/octaves[0]-1) > 0.12 {
			t.Errorf("octave %d covers %.3f times what the first does", i, area/octaves[0])
		}
	}
}

// The camera's response is a curve from 0 to 1 with its inverse, and develop is that curve in 8 bits.
func TestCameraResponse(t *testing.T) {
	if response(0) != 0 || math.Abs(response(1)-1) > 1e-12 {
		t.Errorf("response runs from %v to %v", response(0), response(1))
	}
	last := -1.0
	for i := range 1001 {
		light := float64(i) / 1000
		v := response(light)
		if v <= last {
			t.Fatalf("response falls at %v", light)
		}
		last = v
		if math.Abs(inverseResponse(v)-light) > 1e-9 {
			t.Errorf("the inverse of response(%v) is %v", light, inverseResponse(v))
		}
		if got := develop(float32(light)); math.Abs(float64(got)-v) > 0.5/255+1e-6 || float64(got) != float64(float32(math.Round(float64(got)*255))/255) {
			t.Errorf("develop(%v) = %v, want the 8-bit level next to %v", light, got, v)
		}
	}
}

func TestLowLightExposure(t *testing.T) {
	ramp := imageio.New(256, 1)
	for i := range ramp.Pix {
		ramp.Pix[i] = float32(i/3) / 255
	}
	if same := (LowLight{Exposure: Fixed(1)}).Apply(ramp, newRNG(24)); !slices.Equal(same.Pix, ramp.Pix) {
		t.Error("without less light and without noise an 8-bit picture changes")
	}
	last := ramp
	for _, exposure := range []float64{0.5, 0.125, 0.02} {
		out := (LowLight{Exposure: Fixed(exposure)}).Apply(ramp, newRNG(24))
		if !slices.IsSorted(out.Pix) {
			t.Errorf("exposure %v: the curve falls", exposure)
		}
		for i, v := range out.Pix {
			if v > last.Pix[i] {
				t.Fatalf("exposure %v: less light, brighter pixel %d", exposure, i)
			}
			if want := response(exposure * inverseResponse(float64(ramp.Pix[i]))); math.Abs(float64(v)-want) > 0.51/255 {
				t.Fatalf("exposure %v: %v became %v, want %v", exposure, ramp.Pix[i], v, want)
			}
		}
		last = out
	}
	// The noise is that of the light: taken back through the response, its variance is shot*light + read².
	// 8 bits add a twelfth of a level's variance.
	const shot, read = 0.0004, 1.5
	noisy := (LowLight{Exposure: Fixed(0.25), Shot: Fixed(shot), Read: Fixed(read)}).Apply(flat(128, 128, 0.8), newRNG(25))
	light := 0.25 * inverseResponse(0.8)
	var sum, sum2 float64
	for _, v := range noisy.Pix {
		d := inverseResponse(float64(v)) - light
		sum, sum2 = sum+d, sum2+d*d
	}
	n := float64(len(noisy.Pix))
	sigma, want := math.Sqrt(sum2/n-sum*sum/n/n), math.Sqrt(shot*light+read*read/255/255)
	if math.Abs(sigma/want-1) > 0.04 || math.Abs(sum/n) > 0.05*want {
		t.Errorf("noise of the light: mean %.5f, sigma %.5f; want 0, %.5f", sum/n, sigma, want)
	}
}

// The presets are as hard as the benchmarks they name: mean PSNR of the degraded test photos, two draws
// each; measured with these seeds, with 1.5 dB on each side.
func TestPresets(t *testing.T) {
	bands := map[string]float64{
		"rain heavy":      13.9, // Rain100H 13.5
		"snow small":      24.1, // Snow100K-S 25.1
		"snow medium":     22.6, // -M 22.9
		"snow large":      18.3, // -L 18.7
		"lowlight camera": 7.6,  // LOL v1 7.8
	}
	for _, kind := range Kinds() {
		for _, preset := range Presets(kind) {
			d, err := New(kind, map[string]any{"preset": preset})
			if err != nil {
				t.Fatal(err)
			}
			var sum float64
			n := 0
			for i, name := range sample.TestImages() {
				im := photo(t, name)
				for k := range uint64(2) {
					sum += psnr(d.Apply(im, newRNG(uint64(i)*7+k)), im)
					n++
				}
			}
			name := kind + " " + preset
			mean, want := sum/float64(n), bands[name]
			t.Logf("%s: %.2f dB", name, mean)
			if math.Abs(mean-want) > 1.5 {
				t.Errorf("%s: mean PSNR %.2f dB, want about %.1f", name, mean, want)
			}
		}
	}
}
