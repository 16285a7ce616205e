package dcpt

import (
	"fmt"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// TestTime is what the official test protocol can do beside one pass over the whole image (parity
// README, section 7). The zero value is that one pass, with which the published tables are made.
type TestTime struct {
	// SelfEnsemble averages the results for the eight flips and transpositions of the image, each undone.
	SelfEnsemble bool

	// Tile is the side of square tiles, in pixels, that are restored one by one; 0 means the whole image.
	// Each is read with TilePad more pixels on each side, where the image has them, and only its own
	// area is kept: there is no blending, as in the official protocol.
	Tile, TilePad int
}

// Validate reports what is wrong with the settings.
func (t TestTime) Validate() error {
	if t.Tile < 0 || t.TilePad < 0 {
		return fmt.Errorf("tiles of %d with %d more pixels: neither must be negative", t.Tile, t.TilePad)
	}
	if t.TilePad > 0 && t.Tile == 0 {
		return fmt.Errorf("%d pixels around tiles, but no size of tiles: give both", t.TilePad)
	}
	return nil
}

// imageFunc makes an image of the same size.
type imageFunc func(*imageio.Image) (*imageio.Image, error)

// apply runs f as the settings say: tiles within each member of the ensemble.
func (t TestTime) apply(f imageFunc, im *imageio.Image) (*imageio.Image, error) {
	if t.Tile > 0 {
		whole := f
		f = func(im *imageio.Image) (*imageio.Image, error) { return t.inTiles(whole, im) }
	}
	if t.SelfEnsemble {
		return selfEnsemble(f, im)
	}
	return f(im)
}

func (t TestTime) inTiles(f imageFunc, im *imageio.Image) (*imageio.Image, error) {
	out := im.Clone()
	for top := 0; top < im.H; top += t.Tile {
		for left := 0; left < im.W; left += t.Tile {
			bottom, right := min(top+t.Tile, im.H), min(left+t.Tile, im.W)
			fromX, fromY := max(left-t.TilePad, 0), max(top-t.TilePad, 0)
			part, err := f(im.Crop(fromX, fromY, min(right+t.TilePad, im.W)-fromX, min(bottom+t.TilePad, im.H)-fromY))
			if err != nil {
				return nil, fmt.Errorf("tile at %d, %d: %w", left, top, err)
			}
			for y := top; y < bottom; y++ {
				own := part.Pix[((y-fromY)*part.W+left-fromX)*3:]
				copy(out.Pix[(y*im.W+left)*3:(y*im.W+right)*3], own)
			}
		}
	}
	return out, nil
}

func selfEnsemble(f imageFunc, im *imageio.Image) (*imageio.Image, error) {
	sum := make([]float64, len(im.Pix))
	const members = 8
	for member := range members {
		flipX, flipY, transpose := member&1 != 0, member&2 != 0, member&4 != 0
		result, err := f(turned(im, flipX, flipY, transpose))
		if err != nil {
			return nil, err
		}
		for y := range im.H {
			for x := range im.W {
				from := 3 * turnedIndex(im.W, im.H, x, y, flipX, flipY, transpose)
				for c := range 3 {
					sum[(y*im.W+x)*3+c] += float64(result.Pix[from+c])
				}
			}
		}
	}
	out := im.Clone()
	for i, v := range sum {
		out.Pix[i] = float32(v / members)
	}
	return out, nil
}

// turned flips an image and then exchanges its axes.
func turned(im *imageio.Image, flipX, flipY, transpose bool) *imageio.Image {
	w, h := im.W, im.H
	if transpose {
		w, h = h, w
	}
	out := imageio.New(w, h)
	for y := range im.H {
		for x := range im.W {
			to := 3 * turnedIndex(im.W, im.H, x, y, flipX, flipY, transpose)
			copy(out.Pix[to:to+3], im.Pix[(y*im.W+x)*3:])
		}
	}
	return out
}

// turnedIndex is where pixel x, y of a w x h image is in the turned one.
func turnedIndex(w, h, x, y int, flipX, flipY, transpose bool) int {
	if flipX {
		x = w - 1 - x
	}
	if flipY {
		y = h - 1 - y
	}
	if transpose {
		return x*h + y
	}
	return y*w + x
}
