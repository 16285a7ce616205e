package report

import (
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

const (
	sheetLabel    = 14 // size of the labels of a sheet in pixels
	sheetBand     = 22 // height of the space for them
	sheetBaseline = 16 // of them, in that space
	sheetGap      = 8  // between the images
)

// Sheet returns a contact sheet: the images on white, pixel for pixel, in rows of a number of columns,
// each above its label. All columns are as wide as the widest image or label, all rows as high as the
// highest image.
func Sheet(columns int, panels ...Panel) (*image.RGBA, error) {
	if columns < 1 || len(panels) == 0 {
		return nil, errors.New("contact sheet: there must be at least one column and one image")
	}
	face, err := labelFace(sheetLabel)
	if err != nil {
		return nil, fmt.Errorf("contact sheet: cannot set the labels: %w", err)
	}
	defer face.Close()
	var cell image.Point
	for _, p := range panels {
		if p.Image == nil || p.Image.Bounds().Empty() {
			return nil, fmt.Errorf("contact sheet: the image %q has no pixels", p.Label)
		}
		b := p.Image.Bounds()
		cell.X = max(cell.X, b.Dx(), font.MeasureString(face, p.Label).Ceil())
		cell.Y = max(cell.Y, b.Dy())
	}
	step := cell.Add(image.Pt(sheetGap, sheetBand+sheetGap))
	columns = min(columns, len(panels))
	rows := (len(panels) + columns - 1) / columns
	out := image.NewRGBA(image.Rect(0, 0, columns*step.X+sheetGap, rows*step.Y+sheetGap))
	draw.Draw(out, out.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	pen := font.Drawer{Dst: out, Src: image.NewUniform(ink), Face: face}
	for i, p := range panels {
		at := image.Pt(sheetGap+i%columns*step.X, sheetGap+i/columns*step.Y)
		b := p.Image.Bounds()
		draw.Draw(out, image.Rectangle{at, at.Add(b.Size())}, p.Image, b.Min, draw.Over)
		pen.Dot = fixed.P(at.X, at.Y+cell.Y+sheetBaseline)
		pen.DrawString(p.Label)
	}
	return out, nil
}
