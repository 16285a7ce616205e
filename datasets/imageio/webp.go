package imageio

import "image"

// Lossy WebP stores colour at half resolution, and luma from 16 to 235. The standard library's image.YCbCr,
// which the decoder returns, knows neither: it repeats colours, and takes luma for 0 to 255, so that
// pictures come out up to 21 levels too pale. Here both are done as libwebp, and with it OpenCV, does them.

// fillWebP converts the planes of a lossy WebP picture.
func (im *Image) fillWebP(s *image.YCbCr) {
	us, vs := make([]uint8, im.W), make([]uint8, im.W)
	im.rows(func(y int, row []float32) {
		widenWebP(us, s, s.Cb, y)
		widenWebP(vs, s, s.Cr, y)
		for x, luma := range s.Y[y*s.YStride:][:im.W] {
			r, g, b := webpRGB(int(luma), int(us[x]), int(vs[x]))
			row[x*3], row[x*3+1], row[x*3+2] = byteLevel[r], byteLevel[g], byteLevel[b]
		}
	})
}

// widenWebP writes row y of a colour plane at full resolution: a sample is 3/4 of the nearer and 1/4 of the
// farther one, in each direction.
func widenWebP(out []uint8, s *image.YCbCr, pix []uint8, y int) {
	w, h := (s.Rect.Dx()+1)/2, (s.Rect.Dy()+1)/2
	line := func(y int) []uint8 { return pix[y*s.CStride:][:w] }
	near := line(y / 2)
	far := line(min(max(y/2-1+y%2*2, 0), h-1)) // odd rows lie nearer to the next one
	for x := range out {
		n, f := x/2, min(max(x/2-1+x%2*2, 0), w-1)
		out[x] = uint8((3*(3*int(near[n])+int(far[n])) + 3*int(near[f]) + int(far[f]) + 8) >> 4)
	}
}

// webpRGB is libwebp's conversion (ITU-R BT.601) in its fixed-point numbers.
func webpRGB(y, u, v int) (r, g, b uint8) {
	luma := y * 19077 >> 8
	clip := func(v int) uint8 { return uint8(min(max(v>>6, 0), 255)) }
	return clip(luma + v*26149>>8 - 14234),
		clip(luma - u*6419>>8 - v*13320>>8 + 8708),
		clip(luma + u*33050>>8 - 17685)
}
