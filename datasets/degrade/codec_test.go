package degrade

import (
	"bytes"
	"image/jpeg"
	"math"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

func TestDrawInt(t *testing.T) {
	seen := map[int]int{}
	rng := newRNG(30)
	for range 600 {
		seen[Range{5, 10}.drawInt(rng)]++
	}
	for v := 5; v <= 10; v++ { // 100 of each expected, deviation 9
		if seen[v] < 60 {
			t.Errorf("%d was drawn %d times in 600", v, seen[v])
		}
	}
	if len(seen) != 6 {
		t.Errorf("drawn %v, want 5 to 10", seen)
	}
}

// The disk has sum 1, the symmetry of the grid, and the spread r²/2 of an ideal disk.
func TestDiskKernel(t *testing.T) {
	for _, radius := range []float64{0, 0.3, 1, 2.5, 5, 10} {
		weights := map[[2]int]float32{}
		var sum, spread float64
		for _, b := range diskBars(radius) {
			for _, dy := range slices.Compact([]int{-b.dy, b.dy}) {
				for dx := -b.half; dx <= b.half; dx++ {
					weights[[2]int{dx, dy}] += b.w
				}
			}
			if m := (Defocus{Fixed(radius)}).Margin(); max(b.half, b.dy) > m {
				t.Errorf("radius %v reaches (%d, %d), Margin says %d", radius, b.half, b.dy, m)
			}
		}
		for at, w := range weights {
			sum += float64(w)
			spread += float64(w) * float64(at[0]*at[0]+at[1]*at[1])
			// The rim is one pixel wide.
			if inside := math.Hypot(float64(at[0]), float64(at[1])) <= radius-0.5; radius >= 1 && inside != (math.Abs(float64(w/weights[[2]int{}])-1) < 1e-5) {
				t.Errorf("radius %v: weight %v at %v, %v in the middle", radius, w, at, weights[[2]int{}])
			}
		}
		if math.Abs(sum-1) > 1e-5 { // float32 weights
			t.Errorf("radius %v: sum %v", radius, sum)
		}
		for at, w := range weights {
			for _, mirrored := range [][2]int{{-at[0], at[1]}, {at[0], -at[1]}, {at[1], at[0]}} {
				if math.Abs(float64(weights[mirrored]-w)) > 1e-6*float64(weights[[2]int{}]) { // sums of other bars
					t.Errorf("radius %v: weight %v at %v, %v at %v", radius, w, at, weights[mirrored], mirrored)
				}
			}
		}
		// The soft rim widens a disk by about 1/(4r²) of its spread.
		if radius >= 2.5 && math.Abs(spread/(radius*radius/2)-1) > 0.06 {
			t.Errorf("radius %v: spread %v, want %v", radius, spread, radius*radius/2)
		}
	}
	sharp := photo(t, sample.TrainImages()[3]).Crop(0, 0, 64, 64)
	if diff := worst(sharp, Defocus{}.Apply(sharp, newRNG(31))); diff > 0.01/255 { // light is counted in steps
		t.Errorf("radius 0 changes the picture by %v", diff)
	}
	for _, im := range []*imageio.Image{flat(40, 30, 0.6), flat(3, 2, 0.6)} {
		if diff := worst(im, DefaultDefocus().Apply(im, newRNG(31))); diff > 1e-5 {
			t.Errorf("an even picture changes by %v", diff)
		}
	}
}

// A point of light becomes the disk: even inside, 0 outside, all its light still there.
func TestDefocusOfAPoint(t *testing.T) {
	const side, at, radius = 31, 15, 6.3
	im := imageio.New(side, side)
	copy(im.Pix[(at*side+at)*3:], []float32{1, 1, 0.5}) // blue has a quarter of the light
	out := Defocus{Fixed(radius)}.Apply(im, newRNG(31))
	var light [3]float64
	middle := out.Pix[(at*side+at)*3]
	for i, v := range out.Pix {
		light[i%3] += float64(v) * float64(v)
		away := math.Hypot(float64(i/3%side-at), float64(i/3/side-at))
		if i%3 == 0 && (away <= radius-0.5 && math.Abs(float64(v-middle)) > 1e-4 || away >= radius+0.5 && v != 0) {
			t.Fatalf("%v from the point: %v, beside it %v", away, v, middle)
		}
	}
	for c, want := range []float64{1, 1, 0.25} {
		if math.Abs(light[c]-want) > 1e-4 { // float32
			t.Errorf("channel %d: light %v, want %v", c, light[c], want)
		}
	}
}

func TestJPEGQuality(t *testing.T) {
	im := photo(t, sample.TrainImages()[1]).Crop(3, 5, 200, 150) // off the blocks of the JPEG that it comes from
	last := 0.0
	for _, q := range []float64{1, 10, 20, 40, 60, 80, 95, 100} {
		p := psnr(JPEG{Quality: Fixed(q)}.Apply(im, newRNG(32)), im)
		if p <= last {
			t.Errorf("quality %v: %.2f dB, less than with less quality: %.2f", q, p, last)
		}
		last = p
	}
	if last < 38 { // what halving the colour resolution leaves of this photo
		t.Errorf("quality 100: %.2f dB", last)
	}
	grey := im.Clone()
	grey.Gray = true
	for i := range grey.Pix {
		grey.Pix[i] = im.Pix[i/3*3+1]
	}
	if out := (JPEG{Quality: Fixed(100)}).Apply(grey, newRNG(32)); !out.Gray || worst(out, grey) > 2.5/255 { // rounding of two transforms
		t.Errorf("grey at quality 100: grey %v, differs by %v", out.Gray, worst(out, grey))
	}
	if got := (JPEG{Quality: Fixed(90), Qualities: []float64{10, 10}}).Apply(im, newRNG(32)); !slices.Equal(got.Pix, JPEG{Quality: Fixed(10)}.Apply(im, newRNG(32)).Pix) {
		t.Error("the quality was not taken from the list")
	}
}

// The result is what reading the written file gives.
func TestJPEGIsTheFile(t *testing.T) {
	im := photo(t, sample.TrainImages()[2]).Crop(3, 5, 101, 67) // no multiple of a block
	var file bytes.Buffer
	if err := jpeg.Encode(&file, imageio.ToStd(im), &jpeg.Options{Quality: 25}); err != nil {
		t.Fatal(err)
	}
	want, err := imageio.Decode(&file, "test")
	if err != nil {
		t.Fatal(err)
	}
	if got := (JPEG{Quality: Fixed(25)}).Apply(im, newRNG(33)); !slices.Equal(got.Pix, want.Pix) {
		t.Errorf("differs by %v", worst(got, want))
	}
}

// A crop larger than its picture shows the reflection of the degraded picture, as the clean crop shows
// that of the clean one.
func TestLargerThanThePicture(t *testing.T) {
	im := photo(t, sample.TrainImages()[5]).Crop(0, 0, 45, 38)
	still := DefaultCameraNoise()
	still.Shot = Fixed(0)
	for _, d := range []Degradation{
		JPEG{Quality: Fixed(20)}, Demosaick{}, Downscale{Fixed(3)}, still, DefaultDefocus(), DefaultMotionBlur(), DefaultHaze(), DefaultSnow(),
		Compose{[]Degradation{DefaultHaze(), DefaultSnow(), DefaultMotionBlur(), JPEG{Quality: Fixed(20)}}},
	} {
		crop := ApplyWindow(d, reflectCrop(im, -15, -17, 80, 80), Window{-15, -17, im.W, im.H}, newRNG(34)).Crop(15, 17, im.W, im.H)
		if diff := worst(crop, d.Apply(im, newRNG(34))); diff > 1e-5 { // other order of sums
			t.Errorf("%s: the picture inside the crop differs by %v", d.Kind(), diff)
		}
	}
	crop := ApplyWindow(JPEG{Quality: Fixed(20)}, reflectCrop(im, -15, -17, 80, 80), Window{-15, -17, im.W, im.H}, newRNG(34))
	if mirrored := reflectCrop(crop.Crop(15, 17, im.W, im.H), -15, -17, 80, 80); !slices.Equal(crop.Pix, mirrored.Pix) {
		t.Error("jpeg: outside is not the reflection")
	}
}

// bayerValues is a mosaic of 7 x 6 values with cases of equal differences in both directions.
var bayerValues = []float32{
	78, 39, 248, 185, 251, 31, 108,
	241, 181, 41, 70, 225, 204, 92,
	230, 130, 90, 100, 90, 240, 132,
	27, 235, 50, 70, 80, 100, 248,
	110, 171, 177, 130, 179, 19, 26,
	116, 251, 171, 123, 155, 6, 61,
}

// What OpenCV 5.0 makes of it with edge-aware demosaicking, RGB; all values are whole, so that nothing
// may differ.
var openCVDemosaicked = map[string][]int{
	"RGGB": {
		162, 85, 181, 162, 85, 181, 169, 41, 126, 170, 143, 70, 171, 225, 137, 145, 159, 204, 145, 159, 204,
		162, 85, 181, 162, 85, 181, 169, 41, 126, 170, 143, 70, 171, 225, 137, 145, 159, 204, 145, 159, 204,
		160, 130, 208, 160, 130, 208, 90, 46, 139, 90, 100, 70, 90, 170, 111, 111, 240, 152, 111, 240, 152,
		152, 39, 235, 152, 39, 235, 134, 50, 153, 134, 65, 70, 135, 80, 85, 107, 164, 100, 107, 164, 100,
		144, 171, 243, 144, 171, 243, 177, 151, 170, 178, 130, 97, 179, 118, 75, 103, 19, 53, 103, 19, 53,
		144, 171, 243, 144, 171, 243, 177, 151, 170, 178, 130, 97, 179, 118, 75, 103, 19, 53, 103, 19, 53,
	},
	"GRBG": {
		85, 181, 141, 85, 181, 141, 114, 126, 41, 143, 70, 133, 139, 137, 225, 136, 204, 159, 136, 204, 159,
		85, 181, 141, 85, 181, 141, 114, 126, 41, 143, 70, 133, 139, 137, 225, 136, 204, 159, 136, 204, 159,
		130, 208, 90, 130, 208, 90, 115, 90, 46, 100, 90, 99, 170, 90, 153, 240, 111, 161, 240, 111, 161,
		151, 235, 39, 151, 235, 39, 133, 134, 50, 115, 70, 65, 122, 85, 80, 130, 100, 164, 130, 100, 164,
		171, 243, 91, 171, 243, 91, 151, 177, 111, 130, 178, 114, 75, 179, 118, 19, 53, 136, 19, 53, 136,
		171, 243, 91, 171, 243, 91, 151, 177, 111, 130, 178, 114, 75, 179, 118, 19, 53, 136, 19, 53, 136,
	},
}

func TestDemosaickEqualsOpenCV(t *testing.T) {
	im := imageio.New(7, 6)
	for i := range im.Pix {
		im.Pix[i] = bayerValues[i/3] / 255
	}
	swapped := map[string]string{"BGGR": "RGGB", "GBRG": "GRBG"} // the same with red and blue exchanged
	for _, pattern := range BayerPatterns() {
		got := Demosaick{pattern}.Apply(im, nil).Quantize()
		for i, v := range got {
			from := i
			name, swap := swapped[pattern]
			if swap {
				from = i/3*3 + 2 - i%3
			} else {
				name = pattern
			}
			if want := openCVDemosaicked[name][from]; int(v) != want {
				t.Errorf("%s: pixel (%d, %d) channel %d is %d, want %d", pattern, i/3%7, i/21, i%3, v, want)
			}
		}
	}
}

// Inside the border the colours that the filter lets through stay as they are, and the phase is that
// of the window.
func TestBayerPositions(t *testing.T) {
	im := photo(t, sample.TrainImages()[0]).Crop(50, 50, 40, 30)
	at := map[string][4]int{"RGGB": {0, 1, 1, 2}, "BGGR": {2, 1, 1, 0}, "GRBG": {1, 0, 2, 1}, "GBRG": {1, 2, 0, 1}}
	for _, pattern := range BayerPatterns() {
		for _, win := range []Window{{0, 0, 40, 30}, {50, 51, 200, 200}, {-3, -2, 37, 27}} {
			out := ApplyWindow(Demosaick{pattern}, im, win, nil)
			changed := 0
			for y := 5; y < 25; y++ {
				for x := 5; x < 33; x++ {
					kept := at[pattern][(win.Y+y+2)%2*2+(win.X+x+4)%2]
					for c := range 3 {
						i := (y*40+x)*3 + c
						if out.Pix[i] == im.Pix[i] {
							continue
						}
						changed++
						if c == kept {
							t.Fatalf("%s %v: channel %d of (%d, %d) changed", pattern, win, c, x, y)
						}
					}
				}
			}
			if changed == 0 {
				t.Errorf("%s %v: nothing was interpolated", pattern, win)
			}
		}
	}
	if even := flat(9, 8, 100./255); worst(even, Demosaick{}.Apply(even, nil)) != 0 {
		t.Error("an even picture changes")
	}
}

// Thickness in rows of a horizontal line, as OpenCV draws it.
func TestLineThickness(t *testing.T) {
	for thickness, rows := range map[int]int{1: 1, 2: 3, 3: 5, 4: 5, 5: 7, 6: 7, 7: 9, 8: 9, 9: 11, 10: 11} {
		m := &holes{60, 60, make([]bool, 60*60)}
		m.line(15, 30, 45, 30, thickness)
		across, along := 0, 0
		for i := range 60 {
			if m.hidden[i*60+30] {
				across++
			}
			if m.hidden[30*60+i] {
				along++
			}
		}
		if across != rows || along != 30+rows { // round ends: half a thickness at each
			t.Errorf("thickness %d: %d rows, %d columns; want %d, %d", thickness, across, along, rows, 30+rows)
		}
		turned := &holes{60, 60, make([]bool, 60*60)}
		turned.line(30, 45, 30, 15, thickness)
		for i, v := range m.hidden {
			if turned.hidden[i%60*60+i/60] != v {
				t.Fatalf("thickness %d: a vertical line differs from a horizontal one", thickness)
			}
		}
	}
}

// Each line more adds a straight line of pixels and takes none away.
func TestInpaintCount(t *testing.T) {
	d := DefaultInpaint()
	d.Thickness = Fixed(1)
	var last []bool
	for n := range 11 {
		d.Count = Fixed(float64(n))
		now := d.drawHoles(300, 200, newRNG(35)).hidden
		var added [][2]float64
		for i, hidden := range now {
			if n > 0 && last[i] && !hidden {
				t.Fatalf("%d lines: one was lost", n)
			}
			if hidden && (n == 0 || !last[i]) {
				added = append(added, [2]float64{float64(i % 300), float64(i / 300)})
			}
		}
		last = now
		if n == 0 {
			if len(added) > 0 {
				t.Error("no line covers something")
			}
			continue
		}
		if len(added) < 3 {
			t.Errorf("line %d adds %d pixels", n, len(added))
			continue
		}
		a, b := added[0], added[len(added)-1]
		for _, p := range added { // the ends are rounded to pixels: off by one at most in the middle
			off := ((p[0]-a[0])*(b[1]-a[1]) - (p[1]-a[1])*(b[0]-a[0])) / math.Hypot(b[0]-a[0], b[1]-a[1])
			if math.Abs(off) > 1.5 {
				t.Fatalf("line %d is not straight: (%v, %v) lies %v off", n, p[0], p[1], off)
			}
		}
	}
}

func TestInpaintCovers(t *testing.T) {
	im := photo(t, sample.TrainImages()[6])
	for _, mask := range Masks() {
		colours := map[float32]int{}
		for seed := range uint64(12) {
			d := DefaultInpaint()
			d.Mask, d.Color = mask, "black"
			hidden := d.drawHoles(im.W, im.H, newRNG(seed)).hidden
			out := d.Apply(im, newRNG(seed))
			covered := 0
			for i, h := range hidden {
				p, was := out.Pix[i*3:][:3], im.Pix[i*3:][:3]
				if h {
					covered++
					was = []float32{0, 0, 0}
				}
				if !slices.Equal(p, was) {
					t.Fatalf("%s: pixel %d is %v, want %v", mask, i, p, was)
				}
			}
			part := float64(covered) / float64(len(hidden))
			// The box is rounded to pixels; 154401 single pixels have a standard error of 0.13 %.
			if lo, hi := 0.19, 0.51; mask == "pixels" || mask == "box" {
				if part < lo || part > hi {
					t.Errorf("%s covers %.2f", mask, part)
				}
			} else if part < 0.01 || part > 0.4 {
				t.Errorf("%s covers %.3f", mask, part)
			}

			d.Color = "random"
			random := d.Apply(im, newRNG(seed))
			for i := range random.Pix {
				if random.Pix[i] != im.Pix[i] {
					colours[random.Pix[i]]++
				}
			}
			d.Color = "white"
			white := d.Apply(im, newRNG(seed))
			if slices.Max(white.Pix) != 1 || slices.Equal(white.Pix, out.Pix) {
				t.Errorf("%s: white is not white", mask)
			}
		}
		if len(colours) != 2 || colours[0] == 0 || colours[1] == 0 {
			t.Errorf("%s: colours %v, want 0 and 1", mask, colours)
		}
	}
}

// row makes a picture whose rows are f(x).
func row(w, h int, f func(x float64) float64) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32(f(float64(i / 3 % w)))
	}
	return im
}

func TestDownscale(t *testing.T) {
	swing := func(period float64) *imageio.Image {
		return row(240, 40, func(x float64) float64 { return 0.5 + 0.4*math.Cos(2*math.Pi*x/period) })
	}
	inner := func(im *imageio.Image) *imageio.Image { return im.Crop(40, 10, 160, 20) } // away from the border
	for _, factor := range []float64{1, 2, 2.7, 3, 4} {
		d := Downscale{Fixed(factor)}
		for _, im := range []*imageio.Image{flat(50, 40, 0.6), flat(3, 2, 0.6)} {
			if diff := worst(im, d.Apply(im, newRNG(36))); diff > 1e-6 {
				t.Errorf("factor %v: an even picture changes by %v", factor, diff)
			}
		}
		// Interpolation that is exact for parabolas keeps a ramp; the widened kernel, of which the pixels
		// are no symmetric samples when the factor is broken, nearly so.
		ramp := row(240, 40, func(x float64) float64 { return x / 240 })
		if diff := worst(inner(ramp), inner(d.Apply(ramp, newRNG(36)))); diff > 1e-4 {
			t.Errorf("factor %v: a ramp changes by %v", factor, diff)
		}
		if diff := worst(inner(swing(80)), inner(d.Apply(swing(80), newRNG(36)))); diff > 0.01 {
			t.Errorf("factor %v: a swing of 80 pixels changes by %v", factor, diff)
		}
		// Far beyond what the small picture can hold (2*factor pixels), less than 5 % of the contrast
		// of 0.8 is left.
		if factor >= 2.7 {
			if left := worst(flat(160, 20, 0.5), inner(d.Apply(swing(2.2), newRNG(36)))); left > 0.02 {
				t.Errorf("factor %v: %v is left of a swing of 2.2 pixels", factor, left)
			}
		}
	}
	im := photo(t, sample.TrainImages()[1]).Crop(0, 0, 60, 50)
	if diff := worst(im, Downscale{Fixed(1)}.Apply(im, newRNG(36))); diff > 1e-6 {
		t.Errorf("factor 1 changes the picture by %v", diff)
	}
}
