// Package imageio reads and writes photos for training and restoring.
//
// Pixels are float32 in 0..1, row-major, RGB interleaved (HWC), so that they can be handed to a
// network as NHWC without reordering. What a photo carries besides its colours (transparency, bit
// depth, greyness, EXIF, colour profile) is kept beside the pixels and written back by Write where
// the format can hold it.
package imageio

import "image"

// Image is a picture in memory: H rows of W pixels.
type Image struct {
	W, H  int
	Pix   []float32 // H*W*3, row-major, RGB interleaved (HWC), 0..1
	Alpha []float32 // H*W in 0..1, nil if the source has no transparent pixel
	Depth int       // bits per channel of the source, 8 or 16: what Write uses where the format allows
	Gray  bool      // the source was grey: Pix holds three equal channels
	EXIF  []byte    // EXIF block (a TIFF structure without the "Exif" prefix), nil if none
	ICC   []byte    // ICC colour profile, nil if none
}

// New returns a black 8-bit colour image of w x h pixels.
func New(w, h int) *Image {
	return &Image{W: w, H: h, Pix: make([]float32, w*h*3), Depth: 8}
}

// like returns a black image of w x h pixels with the properties and metadata of im. Metadata is
// shared: nothing changes it after reading.
func (im *Image) like(w, h int) *Image {
	out := New(w, h)
	out.Depth, out.Gray, out.EXIF, out.ICC = im.Depth, im.Gray, im.EXIF, im.ICC
	if im.Alpha != nil {
		out.Alpha = make([]float32, w*h)
	}
	return out
}

// Clone returns a copy with its own pixels and alpha.
func (im *Image) Clone() *Image {
	out := im.like(im.W, im.H)
	copy(out.Pix, im.Pix)
	copy(out.Alpha, im.Alpha)
	return out
}

// Crop returns a copy of the w x h pixels whose top left one is (x, y). The rectangle must lie
// inside the image; if it does not, Crop panics like slicing out of range.
func (im *Image) Crop(x, y, w, h int) *Image { return im.Cut(x, y, w, h, Orientation{}) }

// FlipH returns the image mirrored left to right.
func (im *Image) FlipH() *Image { return im.Cut(0, 0, im.W, im.H, Orientation{FlipH: true}) }

// FlipV returns the image mirrored top to bottom.
func (im *Image) FlipV() *Image { return im.Cut(0, 0, im.W, im.H, Orientation{FlipV: true}) }

// Transpose returns the image with rows and columns exchanged: W x H becomes H x W.
func (im *Image) Transpose() *Image { return im.Cut(0, 0, im.W, im.H, Orientation{Transpose: true}) }

// Orientation is how a picture is turned: mirrored, and after that transposed.
type Orientation struct{ FlipH, FlipV, Transpose bool }

// Cut returns a copy of the w x h pixels whose top left one is (x, y), turned: Crop, FlipH, FlipV and
// Transpose in one pass. It panics like Crop.
func (im *Image) Cut(x, y, w, h int, turn Orientation) *Image {
	if x < 0 || y < 0 || w < 0 || h < 0 || x+w > im.W || y+h > im.H {
		panic("imageio: crop outside the image")
	}
	// Pixel numbers in im: of the first one, and how far the next to the right and below are from one.
	from, right, down := y*im.W+x, 1, im.W
	if turn.FlipH {
		from, right = from+w-1, -right
	}
	if turn.FlipV {
		from, down = from+(h-1)*im.W, -down
	}
	if turn.Transpose {
		w, h, right, down = h, w, down, right
	}
	out := im.like(w, h)
	for row := range h {
		copyPixels(out.Pix[row*w*3:(row+1)*w*3], im.Pix, from, right)
		if im.Alpha != nil {
			for column := range w {
				out.Alpha[row*w+column] = im.Alpha[from+column*right]
			}
		}
		from += down
	}
	return out
}

// copyPixels fills dst with RGB pixels of src, beginning at pixel number from, each step after the last.
func copyPixels(dst, src []float32, from, step int) {
	if step == 1 {
		copy(dst, src[from*3:])
		return
	}
	at := from * 3
	for len(dst) >= 3 {
		px := src[at : at+3 : at+3]
		dst[0], dst[1], dst[2] = px[0], px[1], px[2]
		dst, at = dst[3:], at+step*3
	}
}

// Quantize returns the pixels as 8-bit values (H*W*3) with the rounding of the official test
// protocol: clamp to [0,1], times 255 in float32, round half to even. NaN becomes 0.
func (im *Image) Quantize() []uint8 {
	out := make([]uint8, len(im.Pix))
	for i, v := range im.Pix {
		out[i] = uint8(level(v, 255))
	}
	return out
}

// Bytes returns the pixels as 8-bit values (H*W*3), as training and scoring see them: those that OpenCV's
// IMREAD_COLOR gives, with which the official code reads. Alpha is dropped, grey is three equal channels, and
// of 16 bits the upper 8 are kept, not the nearest value as in Quantize. (Of 16-bit colour in a TIFF file OpenCV
// takes the nearest value, one level more at half of the pixels.)
func (im *Image) Bytes() []uint8 {
	if im.Depth != 16 {
		return im.Quantize()
	}
	out := make([]uint8, len(im.Pix))
	for i, v := range im.Pix {
		out[i] = uint8(level(v, 65535) >> 8)
	}
	return out
}

// level maps v in [0,1] to 0..top, rounding half to even; values outside are clamped, NaN is 0.
func level(v, top float32) uint16 {
	switch {
	case !(v > 0):
		return 0
	case v >= 1:
		return uint16(top)
	}
	// In float32 no fraction is left next to 2^23: adding it rounds. The conversion keeps the product from
	// being fused with the sum.
	const whole = 1 << 23
	return uint16(float32(v*top) + whole - whole)
}

// ToStd converts to an image of the standard library, rounded like Quantize: Gray or RGBA, NRGBA
// with transparency, and the 16-bit forms of these if Depth is 16. Grey with transparency becomes
// NRGBA, since the standard library has no such type.
func ToStd(im *Image) image.Image {
	r := image.Rect(0, 0, im.W, im.H)
	if im.Depth == 16 {
		return toStd16(im, r)
	}
	alpha := func(i int) uint8 {
		if im.Alpha == nil {
			return 255
		}
		return uint8(level(im.Alpha[i], 255))
	}
	switch {
	case im.Gray && im.Alpha == nil:
		out := image.NewGray(r)
		for i := range out.Pix {
			out.Pix[i] = uint8(level(im.Pix[i*3], 255))
		}
		return out
	case im.Alpha == nil:
		out := image.NewRGBA(r)
		fill8(out.Pix, im, alpha)
		return out
	default:
		out := image.NewNRGBA(r)
		fill8(out.Pix, im, alpha)
		return out
	}
}

func fill8(dst []uint8, im *Image, alpha func(i int) uint8) {
	for i := range im.W * im.H {
		for c := range 3 {
			dst[i*4+c] = uint8(level(im.Pix[i*3+c], 255))
		}
		dst[i*4+3] = alpha(i)
	}
}

func toStd16(im *Image, r image.Rectangle) image.Image {
	put := func(dst []uint8, v float32) {
		u := level(v, 65535)
		dst[0], dst[1] = uint8(u>>8), uint8(u)
	}
	if im.Gray && im.Alpha == nil {
		out := image.NewGray16(r)
		for i := range im.W * im.H {
			put(out.Pix[i*2:], im.Pix[i*3])
		}
		return out
	}
	// NRGBA64 and RGBA64 agree where the picture is opaque; encoders store opaque pictures without alpha.
	out := image.NewNRGBA64(r)
	for i := range im.W * im.H {
		for c := range 3 {
			put(out.Pix[i*8+c*2:], im.Pix[i*3+c])
		}
		a := float32(1)
		if im.Alpha != nil {
			a = im.Alpha[i]
		}
		put(out.Pix[i*8+6:], a)
	}
	return out
}

// Reflect maps a coordinate i outside 0..n-1 into it by reflection at the edges, without repeating
// the edge value, as often as needed; with n = 1 everything is 0.
func Reflect(i, n int) int {
	if i >= 0 && i < n {
		return i
	}
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i %= period
	if i < 0 {
		i += period
	}
	return min(i, period-i)
}
