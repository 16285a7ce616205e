package imageio

import (
	"image"
	"image/color"
)

// JPEG and WebP store colour at half resolution. The standard library repeats each colour value over
// 2x2 pixels; libjpeg, and with it every reader that benchmarks were made with, interpolates. The
// difference reaches 27 of 255 levels at coloured edges, so it is done here as libjpeg does it:
// weights 3/4 and 1/4 in each halved direction, with its rounding.

// fillYCbCr converts a picture with interpolated colour.
func (im *Image) fillYCbCr(s *image.YCbCr) {
	cb, cr := newChroma(s, s.Cb), newChroma(s, s.Cr)
	b := s.Bounds()
	im.rows(func(y int, row []float32) {
		us, vs := cb.row(y), cr.row(y)
		for x := range im.W {
			r, g, bl := color.YCbCrToRGB(s.Y[s.YOffset(b.Min.X+x, b.Min.Y+y)], us[x], vs[x])
			row[x*3], row[x*3+1], row[x*3+2] = byteLevel[r], byteLevel[g], byteLevel[bl]
		}
	})
}

// chroma gives full-resolution rows of one colour plane.
type chroma struct {
	src  *image.YCbCr
	pix  []uint8
	w, h int     // of the plane
	sum  []int32 // vertically interpolated row, times 4
	out  []uint8 // one more than the picture's width, for odd widths
}

func newChroma(s *image.YCbCr, pix []uint8) *chroma {
	return &chroma{
		src: s, pix: pix, w: (s.Rect.Dx() + 1) / 2, h: (s.Rect.Dy() + 1) / 2,
		sum: make([]int32, (s.Rect.Dx()+1)/2), out: make([]uint8, s.Rect.Dx()+1),
	}
}

// row returns row y; the slice is valid until the next call.
func (c *chroma) row(y int) []uint8 {
	switch c.src.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		near, far := y/2, y/2-1+y%2*2 // odd rows lie nearer to the next one
		a, b := c.line(near), c.line(min(max(far, 0), c.h-1))
		for x := range c.sum {
			c.sum[x] = 3*int32(a[x]) + int32(b[x])
		}
		c.widen(2, 8, 7)
	case image.YCbCrSubsampleRatio422:
		for x, v := range c.line(y)[:c.w] {
			c.sum[x] = int32(v)
		}
		c.widen(0, 1, 2)
	default: // full resolution, or a rare layout that is repeated as it is
		b := c.src.Bounds()
		for x := range c.src.Rect.Dx() {
			c.out[x] = c.pix[c.src.COffset(b.Min.X+x, b.Min.Y+y)]
		}
	}
	return c.out
}

func (c *chroma) line(y int) []uint8 { return c.pix[y*c.src.CStride:] }

// widen doubles sum, whose values are scaled by 2^bits, horizontally into out, rounding left and
// right values differently so that the errors do not add up.
func (c *chroma) widen(bits, roundLeft, roundRight int32) {
	last := c.w - 1
	for x, v := range c.sum {
		left, right := c.sum[max(x-1, 0)], c.sum[min(x+1, last)]
		c.out[2*x] = uint8((3*v + left + roundLeft) >> (bits + 2))
		c.out[2*x+1] = uint8((3*v + right + roundRight) >> (bits + 2))
	}
}
