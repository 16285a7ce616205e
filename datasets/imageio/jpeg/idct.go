package jpeg

// The inverse transform is the one of Loeffler, Ligtenberg and Moschytz (1989) in fixed-point numbers, with
// the precision that libjpeg calls accurate ("islow"): constants of 13 bits, two more bits kept between the
// passes. Its rounding is what makes the result equal to libjpeg's.

const (
	constBits = 13
	passBits  = 2
)

// The constants of the algorithm, times 2^constBits: cosines of k*pi/16 and sums of these.
const (
	c0298 = 2446  // 0.298631336
	c0390 = 3196  // 0.390180644
	c0541 = 4433  // 0.541196100
	c0765 = 6270  // 0.765366865
	c0899 = 7373  // 0.899976223
	c1175 = 9633  // 1.175875602
	c1501 = 12299 // 1.501321110
	c1847 = 15137 // 1.847759065
	c1961 = 16069 // 1.961570560
	c2053 = 16819 // 2.053119869
	c2562 = 20995 // 2.562915447
	c3072 = 25172 // 3.072711026
)

// inverse8 is the transform of 8 values, times 2^constBits * sqrt(8).
func inverse8(x0, x1, x2, x3, x4, x5, x6, x7 int32) (y0, y1, y2, y3, y4, y5, y6, y7 int32) {
	// even part
	r := (x2 + x6) * c0541
	e2, e3 := r-x6*c1847, r+x2*c0765
	e0, e1 := (x0+x4)<<constBits, (x0-x4)<<constBits
	a0, a3, a1, a2 := e0+e3, e0-e3, e1+e2, e1-e2

	// odd part
	s17, s35, s37, s15 := (x7+x1)*c0899, (x5+x3)*c2562, x7+x3, x5+x1
	t := (s37 + s15) * c1175
	s37, s15 = t-s37*c1961, t-s15*c0390
	b7 := x7*c0298 - s17 + s37
	b5 := x5*c2053 - s35 + s15
	b3 := x3*c3072 - s35 + s37
	b1 := x1*c1501 - s17 + s15

	return a0 + b1, a1 + b3, a2 + b5, a3 + b7, a3 - b7, a2 - b5, a1 - b3, a0 - b1
}

// inverse writes the samples of a block at (x, y) of the plane, in blocks.
func (c *component) inverse(block *[64]int16, x, y int) {
	var work [64]int32
	q := c.quant
	for i := range 8 {
		if block[i+8]|block[i+16]|block[i+24]|block[i+32]|block[i+40]|block[i+48]|block[i+56] == 0 {
			v := int32(block[i]) * q[i] << passBits
			work[i], work[i+8], work[i+16], work[i+24] = v, v, v, v
			work[i+32], work[i+40], work[i+48], work[i+56] = v, v, v, v
			continue
		}
		y0, y1, y2, y3, y4, y5, y6, y7 := inverse8(
			int32(block[i])*q[i], int32(block[i+8])*q[i+8], int32(block[i+16])*q[i+16], int32(block[i+24])*q[i+24],
			int32(block[i+32])*q[i+32], int32(block[i+40])*q[i+40], int32(block[i+48])*q[i+48], int32(block[i+56])*q[i+56])
		const shift, half = constBits - passBits, 1 << (constBits - passBits - 1)
		work[i], work[i+8], work[i+16], work[i+24] = (y0+half)>>shift, (y1+half)>>shift, (y2+half)>>shift, (y3+half)>>shift
		work[i+32], work[i+40], work[i+48], work[i+56] = (y4+half)>>shift, (y5+half)>>shift, (y6+half)>>shift, (y7+half)>>shift
	}
	stride := 8 * c.stride
	for i := range 8 {
		w := (*[8]int32)(work[8*i:])
		out := (*[8]uint8)(c.pix[(8*y+i)*stride+8*x:])
		if w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7] == 0 {
			v := sample(w[0] << constBits)
			*out = [8]uint8{v, v, v, v, v, v, v, v}
			continue
		}
		y0, y1, y2, y3, y4, y5, y6, y7 := inverse8(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		*out = [8]uint8{sample(y0), sample(y1), sample(y2), sample(y3), sample(y4), sample(y5), sample(y6), sample(y7)}
	}
}

// sample rounds a value of the second pass and moves it into 0..255.
func sample(v int32) uint8 {
	const shift = constBits + passBits + 3 // 3: the factor sqrt(8) of both passes
	return clamp((v+1<<(shift-1))>>shift + 128)
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^v >> 31) // 0 below, 255 above
	}
	return uint8(v)
}

// reconstruct computes the samples of a progressive plane when all scans are decoded.
func (c *component) reconstruct() {
	for y := range c.bh {
		for x := range c.bw {
			c.inverse(c.coefficients(x, y), x, y)
		}
	}
}
