package jpeg

import "image"

// picture puts the planes together.
func (d *decoder) picture() image.Image {
	rect := image.Rect(0, 0, d.width, d.height)
	if len(d.components) == 1 {
		c := &d.components[0]
		return &image.Gray{Pix: c.pix, Stride: 8 * c.stride, Rect: rect}
	}
	out := image.NewRGBA(rect)
	planes := make([]upsampler, len(d.components))
	for i := range planes {
		planes[i] = d.newUpsampler(&d.components[i])
	}
	var rows [4][]uint8
	convert := d.conversion()
	for y := range d.height {
		for i := range planes {
			rows[i] = planes[i].row(y)[:d.width]
		}
		convert(out.Pix[y*out.Stride:][:4*d.width], rows)
	}
	return out
}

// conversion chooses how samples become RGB: by the markers of JFIF and Adobe, and where neither is there
// by the names of the planes, as libjpeg guesses.
func (d *decoder) conversion() func(out []uint8, rows [4][]uint8) {
	c := d.components
	switch {
	case len(c) == 4 && (d.adobe == adobeAbsent || d.adobe == adobeNone):
		return fromCMYK
	case len(c) == 4:
		return fromYCCK
	case d.jfif:
		return fromYCbCr
	case d.adobe == adobeNone, d.adobe == adobeAbsent && c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return fromRGB
	}
	return fromYCbCr
}

// What the two colour differences add to red, green and blue, with 16 bits behind the point where they are
// not rounded yet.
var crRed, cbBlue, crGreen, cbGreen = func() (r, b, rg, bg [256]int32) {
	const half = 1 << 15
	for i := range r {
		x := int32(i) - 128
		r[i] = (91881*x + half) >> 16  // 1.40200
		b[i] = (116130*x + half) >> 16 // 1.77200
		rg[i] = -46802 * x             // 0.71414
		bg[i] = -22554*x + half        // 0.34414
	}
	return
}()

func fromYCbCr(out []uint8, rows [4][]uint8) {
	luma := rows[0]
	us, vs := rows[1][:len(luma)], rows[2][:len(luma)]
	for x, l := range luma {
		u, v, px := us[x], vs[x], (*[4]uint8)(out[4*x:])
		px[0] = clamp(int32(l) + crRed[v])
		px[1] = clamp(int32(l) + (cbGreen[u]+crGreen[v])>>16)
		px[2] = clamp(int32(l) + cbBlue[u])
		px[3] = 255
	}
}

func fromRGB(out []uint8, rows [4][]uint8) {
	for x, red := range rows[0] {
		*(*[4]uint8)(out[4*x:]) = [4]uint8{red, rows[1][x], rows[2][x], 255}
	}
}

// fromCMYK converts values that are stored inverted, as Adobe does, with OpenCV's formula.
func fromCMYK(out []uint8, rows [4][]uint8) {
	for x, k := range rows[3] {
		*(*[4]uint8)(out[4*x:]) = [4]uint8{ink(rows[0][x], k), ink(rows[1][x], k), ink(rows[2][x], k), 255}
	}
}

func ink(v, k uint8) uint8 { return k - uint8((255-int32(v))*int32(k)>>8) }

func fromYCCK(out []uint8, rows [4][]uint8) {
	fromYCbCr(out, rows) // which are the complements of C, M and Y
	for x, k := range rows[3] {
		px := (*[4]uint8)(out[4*x:])
		px[0], px[1], px[2] = ink(255-px[0], k), ink(255-px[1], k), ink(255-px[2], k)
	}
}

// upsampler gives rows of a plane at full resolution. Where a plane has half the resolution, a sample is
// interpolated: 3/4 of the nearer and 1/4 of the farther one in each halved direction, with roundings that
// differ between neighbours so that they do not add up. Other fractions, and planes of at most two columns,
// are repeated, as libjpeg does.
type upsampler struct {
	*component
	scaleX, scaleY int
	smooth         bool
	out            []uint8
}

func (d *decoder) newUpsampler(c *component) upsampler {
	u := upsampler{component: c, scaleX: d.maxH / c.h, scaleY: d.maxV / c.v}
	u.smooth = u.scaleX == 2 && u.scaleY <= 2 && c.w > 2 || u.scaleX == 1 && u.scaleY == 2
	if u.scaleX > 1 || u.smooth {
		u.out = make([]uint8, c.w*u.scaleX)
	}
	return u
}

// line is row y of the plane itself.
func (c *component) line(y int) []uint8 { return c.pix[8*c.stride*y:][:c.w] }

// row returns row y at full resolution; it is valid until the next call.
func (u *upsampler) row(y int) []uint8 {
	near := u.line(y / u.scaleY)
	far := near
	if u.smooth && u.scaleY == 2 { // odd rows lie nearer to the next one
		far = u.line(min(max(y/2-1+y%2*2, 0), u.ht-1))
	}
	switch {
	case u.scaleX == 1 && !u.smooth:
		return near
	case u.scaleX == 1:
		u.between(near, far, 1+int32(y%2))
	case u.smooth && u.scaleY == 2:
		u.widenBoth(near, far)
	case u.smooth:
		u.widen(near)
	default:
		for x, v := range near {
			for i := range u.scaleX {
				u.out[x*u.scaleX+i] = v
			}
		}
	}
	return u.out
}

// between interpolates in the vertical direction.
func (u *upsampler) between(near, far []uint8, round int32) {
	for x, v := range near {
		u.out[x] = uint8((3*int32(v) + int32(far[x]) + round) >> 2)
	}
}

// widen doubles the width of a row.
func (u *upsampler) widen(row []uint8) {
	left := int32(row[0])
	this := left
	for x := range row {
		right := int32(row[min(x+1, len(row)-1)])
		u.out[2*x] = uint8((3*this + left + 1) >> 2)
		u.out[2*x+1] = uint8((3*this + right + 2) >> 2)
		left, this = this, right
	}
}

// widenBoth doubles the width of a row that lies between two.
func (u *upsampler) widenBoth(near, far []uint8) {
	far = far[:len(near)]
	left := 3*int32(near[0]) + int32(far[0])
	this := left
	for x := range near {
		next := min(x+1, len(near)-1)
		right := 3*int32(near[next]) + int32(far[next])
		u.out[2*x] = uint8((3*this + left + 8) >> 4)
		u.out[2*x+1] = uint8((3*this + right + 7) >> 4)
		left, this = this, right
	}
}
