package degrade

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// JPEG compresses the picture and reads it back: baseline JPEG with the standard tables scaled by a
// quality, colour at half resolution, as OpenCV, libjpeg and the official data set do it. Grey pictures
// become grey JPEGs. A crop has the blocks of the whole picture. The sides of a picture must not exceed
// 65535 pixels, the most that a JPEG file can have; Apply panics then.
type JPEG struct {
	Quality   Range     // 1..100, whole numbers, drawn per picture
	Qualities []float64 // if not empty, the quality (rounded) is chosen from this list instead
}

// DefaultJPEG has quality 10 to 40, the span of the benchmarks on LIVE1 and Classic5 (10, 20, 30, 40;
// Dong et al., ICCV 2015).
func DefaultJPEG() JPEG { return JPEG{Quality: Range{10, 40}} }

func jpegParams() ([]param, func() Degradation) {
	d := DefaultJPEG()
	return []param{
		{"quality", &d.Quality, 1, 100}, {"qualities", &d.Qualities, 1, 100},
	}, func() Degradation { return d }
}

// jpegUnit is the side of the square that is coded together with colour at half resolution: two blocks
// of 8 pixels.
const jpegUnit = 16

// Kind returns "jpeg".
func (JPEG) Kind() string { return "jpeg" }

// Margin implements Margined: a pixel depends on its unit and, by the interpolation of colour, on the
// one beside it.
func (JPEG) Margin() int { return jpegUnit }

// Apply implements Degradation.
func (d JPEG) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed. What lies outside the whole picture is the reflection of the
// compressed picture.
func (d JPEG) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	quality := d.Quality.drawInt(rng)
	if n := len(d.Qualities); n > 0 {
		quality = int(math.Round(d.Qualities[rng.IntN(n)]))
	}

	// The part of the picture that im covers, from the corner of a unit on.
	x0, y0 := max(win.X, 0)&^(jpegUnit-1), max(win.Y, 0)&^(jpegUnit-1)
	x1, y1 := min(win.X+im.W, win.W), min(win.Y+im.H, win.H)
	coded := recode(quality, nearest(x0-win.X, x1-x0), nearest(y0-win.Y, y1-y0), im)

	out := im.Clone()
	columns, rows := reflected(win.X, im.W, win.W, x0, coded.W), reflected(win.Y, im.H, win.H, y0, coded.H)
	for y, row := range rows {
		for x, column := range columns {
			copy(out.Pix[(y*im.W+x)*3:][:3], coded.Pix[(row*coded.W+column)*3:])
		}
	}
	return out
}

// nearest returns n positions from first on, 0 in place of negative ones.
func nearest(first, n int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = max(first+i, 0)
	}
	return at
}

// recode returns a picture of these columns and rows of im after compression.
func recode(quality int, columns, rows []int, im *imageio.Image) *imageio.Image {
	levels := im.Quantize()
	var src image.Image
	w := len(columns)
	if r := image.Rect(0, 0, w, len(rows)); im.Gray {
		grey := image.NewGray(r)
		for i := range grey.Pix {
			grey.Pix[i] = levels[(rows[i/w]*im.W+columns[i%w])*3]
		}
		src = grey
	} else {
		colour := image.NewRGBA(r)
		for y, row := range rows {
			for x, column := range columns {
				p, from := colour.Pix[(y*w+x)*4:][:4], levels[(row*im.W+column)*3:][:3]
				p[0], p[1], p[2], p[3] = from[0], from[1], from[2], 255
			}
		}
		src = colour
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, src, &jpeg.Options{Quality: quality}); err != nil {
		panic(fmt.Sprintf("degrade: %dx%d pixels as JPEG: %v", w, len(rows), err))
	}
	out, err := imageio.Decode(&file, "compressed picture")
	if err != nil {
		panic(fmt.Sprintf("degrade: %v", err)) // what was just written can be read
	}
	return out
}
