package report

import (
	"encoding/base64"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
)

// decode returns the picture of a data URI and its media type.
func decode(t *testing.T, uri string) (image.Image, string) {
	t.Helper()
	kind, data, ok := strings.Cut(strings.TrimPrefix(uri, "data:"), ";base64,")
	if !ok {
		t.Fatalf("not a data URI: %.40q", uri)
	}
	im, _, err := image.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	return im, kind
}

func TestPairStoresPictures(t *testing.T) {
	tests := []struct {
		name          string
		w, h          int
		kind          string
		wantW, wantH  int
		small         bool
		wantInCaption string
	}{
		{"small", 256, 20, "image/png", 256, 20, true, "caption"},
		{"photo", 300, 200, "image/jpeg", 300, 200, false, "caption"},
		{"large", 2800, 70, "image/jpeg", 1400, 35, false, "caption Shown at 50 % of its size."},
		{"a line", 3000, 1, "image/jpeg", 1400, 1, false, "Shown at 46 %"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newPair(Pair{Before: gradient(tt.w, tt.h), After: gradient(tt.w, tt.h), Caption: "caption"})
			if err != nil {
				t.Fatal(err)
			}
			im, kind := decode(t, string(d.After))
			if kind != tt.kind || im.Bounds() != image.Rect(0, 0, tt.wantW, tt.wantH) {
				t.Errorf("%s of %v, want %s of %dx%d", kind, im.Bounds(), tt.kind, tt.wantW, tt.wantH)
			}
			if d.Width != tt.wantW || d.Height != tt.wantH || d.Small != tt.small || !strings.Contains(d.Caption, tt.wantInCaption) {
				t.Errorf("%dx%d, small %v, %q", d.Width, d.Height, d.Small, d.Caption)
			}
			if d.Truth != "" {
				t.Error("a ground truth from nowhere")
			}
		})
	}
}

func TestSmallPicturesAreExact(t *testing.T) {
	d, err := newPair(Pair{Before: gradient(9, 7), After: gradient(9, 7), Truth: gradient(9, 7)})
	if err != nil {
		t.Fatal(err)
	}
	im, _ := decode(t, string(d.Truth))
	for y := range 7 {
		for x := range 9 {
			if got, want := color.RGBAModel.Convert(im.At(x, y)), gradient(9, 7).At(x, y); got != want {
				t.Fatalf("pixel %d,%d = %v, want %v", x, y, got, want)
			}
		}
	}
}

// TestPhotosKeepTheirLook holds JPEG to a mean difference of one level of 255 in a smooth picture, a
// quarter of what begins to be seen when sliding.
func TestPhotosKeepTheirLook(t *testing.T) {
	photo := image.NewGray(image.Rect(0, 0, 300, 300))
	for i := range photo.Pix {
		photo.Pix[i] = uint8(128 + 100*math.Sin(float64(i%300)/40)*math.Cos(float64(i/300)/30))
	}
	d, err := newPair(Pair{Before: photo, After: photo})
	if err != nil {
		t.Fatal(err)
	}
	im, _ := decode(t, string(d.Before))
	sum := 0.0
	for i, want := range photo.Pix {
		got := color.GrayModel.Convert(im.At(i%300, i/300)).(color.Gray).Y
		sum += math.Abs(float64(got) - float64(want))
	}
	if mean := sum / float64(len(photo.Pix)); mean > 1 {
		t.Errorf("mean difference %.2f levels, want at most 1", mean)
	}
}

func TestSideBySide(t *testing.T) {
	left, right := gradient(60, 40), gradient(200, 30)
	part := right.SubImage(image.Rect(100, 10, 200, 30)) // bounds that do not begin at 0
	out, err := SideBySide(Panel{"a label that is wider than its image", left}, Panel{"b", part})
	if err != nil {
		t.Fatal(err)
	}
	// At 13 pixels, the smallest size of labels: gap 7, band of labels 22.
	const gap, band = 7, 22
	if got := out.Bounds().Dy(); got != band+40+gap {
		t.Errorf("height %d, want %d", got, band+40+gap)
	}
	second := out.Bounds().Dx() - gap - 100
	if second < gap+60+gap {
		t.Errorf("the second image begins at %d, over the first", second)
	}
	for _, p := range []struct {
		name string
		got  color.Color
		want color.Color
	}{
		{"corner", out.At(0, 0), paper},
		{"first image, first pixel", out.At(gap, band), left.At(0, 0)},
		{"first image, last pixel", out.At(gap+59, band+39), left.At(59, 39)},
		{"right of the first image", out.At(gap+60, band+20), paper},
		{"second image, first pixel", out.At(second, band), part.At(100, 10)},
		{"second image, last pixel", out.At(second+99, band+19), part.At(199, 29)},
		{"below the second image", out.At(second, band+25), paper},
	} {
		if p.got != p.want {
			t.Errorf("%s: %v, want %v", p.name, p.got, p.want)
		}
	}
	dark := 0
	for y := range band {
		for x := range second - gap {
			if out.RGBAAt(x, y).R < 128 {
				dark++
			}
		}
	}
	if dark < 100 {
		t.Errorf("%d dark pixels above the first image: no label", dark)
	}
}

func TestSideBySideRejects(t *testing.T) {
	for name, im := range map[string]image.Image{"nil": nil, "empty": image.NewGray(image.Rectangle{})} {
		if _, err := SideBySide(Panel{"good", gradient(2, 2)}, Panel{"bad " + name, im}); err == nil || !strings.Contains(err.Error(), "bad "+name) {
			t.Errorf("error = %v, want one that names the image", err)
		}
	}
}
