package report

import (
	"image"
	"strings"
	"testing"
)

func TestSheet(t *testing.T) {
	panels := []Panel{{"one", gradient(60, 40)}, {"two", gradient(50, 30)}, {"a label of more than sixty pixels", gradient(10, 10)}, {"four", gradient(60, 40)}}
	out, err := Sheet(3, panels...)
	if err != nil {
		t.Fatal(err)
	}
	b := out.Bounds()
	width := (b.Dx() - 4*sheetGap) / 3 // of a column: the widest label is wider than any image
	if width <= 60 || b.Dy() != 2*(40+sheetBand+sheetGap)+sheetGap {
		t.Fatalf("size %v", b)
	}
	left := func(column int) int { return sheetGap + column*(width+sheetGap) }
	second := sheetGap + 40 + sheetBand + sheetGap // top of the second row
	for _, p := range []struct {
		name string
		at   image.Point
		want any
	}{
		{"first", image.Pt(left(0), sheetGap), panels[0].Image.At(0, 0)},
		{"last pixel of the second", image.Pt(left(1)+49, sheetGap+29), panels[1].Image.At(49, 29)},
		{"right of it", image.Pt(left(1)+50, sheetGap), paper},
		{"the fourth in the next row", image.Pt(left(0)+59, second+39), panels[3].Image.At(59, 39)},
		{"an empty place", image.Pt(left(1), second), paper},
	} {
		if got := out.At(p.at.X, p.at.Y); got != p.want {
			t.Errorf("%s: %v, want %v", p.name, got, p.want)
		}
	}
	dark := 0
	for y := sheetGap + 40; y < sheetGap+40+sheetBand; y++ {
		for x := left(2); x < left(2)+width; x++ {
			if out.RGBAAt(x, y).R < 128 {
				dark++
			}
		}
	}
	if dark < 100 {
		t.Errorf("%d dark pixels under the third image: no label", dark)
	}
	for want, err := range map[string]error{
		"at least one column": func() error { _, err := Sheet(0, panels...); return err }(),
		"one image":           func() error { _, err := Sheet(2); return err }(),
		`"bad" has no pixels`: func() error { _, err := Sheet(2, Panel{"bad", nil}); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
}
