package contactsheet

import (
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
)

func photo(w, h int) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32(i*7%256) / 255
	}
	return im
}

// The sheet shows all kinds, their presets and the eleven classes of CDD-11, without being told of any.
func TestShowsEverything(t *testing.T) {
	all, err := every()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	want := degrade.Kinds()
	for _, kind := range degrade.Kinds() {
		for _, preset := range degrade.Presets(kind) {
			want = append(want, kind+", "+preset)
		}
	}
	for _, c := range degrade.CDD11() {
		want = append(want, "CDD-11: "+c.Name)
	}
	if len(names) != len(want) {
		t.Errorf("%d tiles, want %d", len(names), len(want))
	}
	for _, name := range want {
		if !slices.Contains(names, name) {
			t.Errorf("no %q in the sheet", name)
		}
	}
}

func TestDegradationsOfASeed(t *testing.T) {
	im := photo(40, 30)
	im.Alpha = make([]float32, 40*30) // a transparent photo is shown opaque
	first, err := Degradations(im, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Degradations(im, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Degradations(im, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first.Pix, again.Pix) || slices.Equal(first.Pix, other.Pix) {
		t.Error("the sheet is not a function of the seed")
	}
	if first.Alpha != nil {
		t.Error("the sheet is transparent")
	}
	if got, want := first.Crop(8, 8, 40, 30), im; !slices.Equal(got.Quantize(), want.Quantize()) { // 8: the gap
		t.Error("the first tile is not the photo")
	}
}

func TestReduce(t *testing.T) {
	for _, c := range []struct{ w, h, wantW, wantH int }{
		{100, 50, 100, 50}, {tileSide, tileSide, tileSide, tileSide}, {2 * tileSide, tileSide, tileSide, tileSide / 2}, {1, 5000, 1, tileSide},
	} {
		if got := reduce(photo(c.w, c.h)); got.W != c.wantW || got.H != c.wantH {
			t.Errorf("%dx%d becomes %dx%d, want %dx%d", c.w, c.h, got.W, got.H, c.wantW, c.wantH)
		}
	}
}
