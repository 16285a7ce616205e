// Package contactsheet shows what every degradation makes of a photo, in one picture.
package contactsheet

import (
	"fmt"
	"image"
	"math/rand/v2"

	"golang.org/x/image/draw"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/report"
)

const (
	// tileSide is the longest side of the photos in the sheet, in pixels. Larger photos are reduced before
	// they are degraded: afterwards, noise and rain would be lost.
	tileSide = 192
	columns  = 6
)

// Degradations returns a sheet of the photo, its degraded twins of all kinds with their defaults, of all
// presets, and of the eleven classes of CDD-11. Each is drawn from the seed anew, so that the sheet of a
// kind does not depend on the others.
func Degradations(photo *imageio.Image, seed uint64) (*imageio.Image, error) {
	all, err := every()
	if err != nil {
		return nil, err
	}
	small := reduce(photo)
	panels := []report.Panel{{Label: "the photo", Image: imageio.ToStd(small)}}
	for _, d := range all {
		degraded := d.Apply(small, rand.New(rand.NewPCG(seed, 0)))
		panels = append(panels, report.Panel{Label: d.Name, Image: imageio.ToStd(degraded)})
	}
	sheet, err := report.Sheet(columns, panels...)
	if err != nil {
		return nil, err
	}
	return fromRGBA(sheet), nil
}

// every returns what the sheet shows, with the labels.
func every() ([]degrade.Class, error) {
	var all []degrade.Class
	add := func(label, kind string, params map[string]any) error {
		d, err := degrade.New(kind, params)
		all = append(all, degrade.Class{Name: label, Degradation: d})
		return err
	}
	for _, kind := range degrade.Kinds() {
		if err := add(kind, kind, nil); err != nil {
			return nil, err
		}
		for _, preset := range degrade.Presets(kind) {
			if err := add(kind+", "+preset, kind, map[string]any{"preset": preset}); err != nil {
				return nil, err
			}
		}
	}
	for _, class := range degrade.CDD11() {
		all = append(all, degrade.Class{Name: fmt.Sprintf("CDD-11: %s", class.Name), Degradation: class.Degradation})
	}
	return all, nil
}

// reduce returns the photo as an opaque 8-bit picture whose longest side is at most tileSide.
func reduce(photo *imageio.Image) *imageio.Image {
	opaque := *photo
	opaque.Alpha, opaque.Depth = nil, 8
	long := max(photo.W, photo.H)
	if long <= tileSide {
		return opaque.Clone()
	}
	small := image.NewRGBA(image.Rect(0, 0, max(1, photo.W*tileSide/long), max(1, photo.H*tileSide/long)))
	full := imageio.ToStd(&opaque)
	draw.CatmullRom.Scale(small, small.Bounds(), full, full.Bounds(), draw.Src, nil)
	return fromRGBA(small)
}

// fromRGBA converts an opaque picture.
func fromRGBA(src *image.RGBA) *imageio.Image {
	out := imageio.New(src.Bounds().Dx(), src.Bounds().Dy())
	for i := range out.Pix {
		out.Pix[i] = float32(src.Pix[i/3*4+i%3]) / 255
	}
	return out
}
