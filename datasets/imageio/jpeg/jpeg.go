// Package jpeg decodes JPEG files to exactly the pixels of libjpeg-turbo with its default settings, which
// is what OpenCV, and with it the code behind most published numbers, gives: the accurate integer inverse
// transform, colour planes of lower resolution interpolated ("fancy upsampling"), and the same rounding of
// colours. The standard library's decoder differs by several levels, at coloured edges by dozens, so that
// scores move with it.
//
// Read are sequential and progressive files of 8 bits with Huffman coding: grey, YCbCr, RGB, CMYK and YCCK.
// A file that is cut off is an error, where libjpeg only warns and fills the rest with grey.
//
// One thing is not imitated: a progressive file whose scans leave out the last bits of coefficients (no
// encoder in use writes such files, but one may have been cut between two scans and closed properly) is
// smoothed by libjpeg and shown as it is here.
package jpeg

import (
	"encoding/binary"
	"image"
	"image/color"
	"slices"
)

// FormatError says that the data is no valid JPEG file.
type FormatError string

func (e FormatError) Error() string { return "invalid JPEG data: " + string(e) }

// UnsupportedError says that the file uses a feature of JPEG that is not decoded here.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "unsupported JPEG feature: " + string(e) }

const errShort = FormatError("the data ends too early")

// The markers that are told apart; see table B.1 of ITU-T T.81.
const (
	markerTEM   = 0x01
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
)

// otherFrames names the kinds of coding that are not decoded, by marker.
var otherFrames = map[byte]UnsupportedError{
	0xc3: "lossless coding",
	0xc5: "hierarchical coding", 0xc6: "hierarchical coding", 0xc7: "hierarchical coding",
	0xc9: "arithmetic coding", 0xca: "arithmetic coding", 0xcb: "arithmetic coding", 0xcc: "arithmetic coding",
	0xcd: "arithmetic coding", 0xce: "arithmetic coding", 0xcf: "arithmetic coding",
}

// maxScans bounds the work that a small hostile file can ask for: each scan of a progressive file is a walk
// over the whole picture. Encoders write about ten.
const maxScans = 500

// adobe is the colour transform that an Adobe segment states.
type adobe int

const (
	adobeAbsent adobe = iota - 1
	adobeNone         // RGB or CMYK
	adobeYCbCr
	adobeYCCK
)

type decoder struct {
	data []byte
	pos  int

	width, height int
	progressive   bool
	components    []component // empty until the frame header
	maxH, maxV    int         // largest sampling factors
	mcusX, mcusY  int

	quant           [4]*[64]int32 // in natural order
	huffDC, huffAC  [4]*huffman
	restartInterval int
	scans           int

	jfif  bool
	adobe adobe
}

// component is one plane of samples.
type component struct {
	id     byte
	h, v   int // sampling factors
	tq     byte
	w, ht  int // size in samples, without padding
	bw, bh int // size in blocks of 8x8, of a scan that holds this component alone
	stride int // blocks in a row, with the padding of interleaved scans
	quant  *[64]int32
	coefs  []int16 // of all blocks, in natural order; nil if the file is sequential
	pix    []uint8 // rows of 8*stride samples
	pred   int32   // last DC value of the scan
	seen   bool    // a scan with the DC values has been decoded
}

// DecodeConfig returns the size and colour model (Gray or RGBA) of a file whose beginning is data.
func DecodeConfig(data []byte) (image.Config, error) {
	d := decoder{data: data, adobe: adobeAbsent}
	if err := d.walk(true); err != nil {
		return image.Config{}, err
	}
	model := color.RGBAModel
	if len(d.components) == 1 {
		model = color.GrayModel
	}
	return image.Config{ColorModel: model, Width: d.width, Height: d.height}, nil
}

// Decode decodes a file: grey ones to *image.Gray, all others to an opaque *image.RGBA. CMYK becomes RGB as
// OpenCV converts it, without a colour profile. The memory taken is at most some KiB for each byte of data,
// whatever the header says.
func Decode(data []byte) (image.Image, error) {
	d := decoder{data: data, adobe: adobeAbsent}
	if err := d.walk(false); err != nil {
		return nil, err
	}
	for i := range d.components {
		c := &d.components[i]
		if !c.seen {
			return nil, FormatError("a colour plane is missing")
		}
		if d.progressive {
			c.reconstruct()
		}
	}
	return d.picture(), nil
}

// walk goes through the segments of the file, to its end or only to the frame header.
func (d *decoder) walk(headerOnly bool) error {
	if len(d.data) < 2 || d.data[0] != 0xff || d.data[1] != markerSOI {
		return FormatError("no start marker")
	}
	d.pos = 2
	for {
		marker, ok := d.nextMarker()
		switch {
		case !ok && !d.progressive && d.complete():
			return nil // only the end marker is missing
		case !ok:
			return errShort
		case marker == markerEOI && len(d.components) == 0:
			return FormatError("no frame header")
		case marker == markerEOI:
			return nil
		case marker == markerTEM || marker >= markerRST0 && marker <= markerRST7:
			continue // without content
		case marker == markerSOI:
			return FormatError("a second start marker")
		}
		body, err := d.segment()
		if err != nil {
			return err
		}
		if err := d.interpret(marker, body); err != nil {
			return err
		}
		if headerOnly && len(d.components) > 0 {
			return nil
		}
	}
}

// nextMarker finds the next marker, leaving out what is before it, and goes behind it.
func (d *decoder) nextMarker() (marker byte, ok bool) {
	for ; d.pos+1 < len(d.data); d.pos++ {
		if next := d.data[d.pos+1]; d.data[d.pos] == 0xff && next != 0 && next != 0xff {
			d.pos += 2
			return next, true
		}
	}
	return 0, false
}

// segment returns the content of the segment whose length is next, and goes behind it.
func (d *decoder) segment() ([]byte, error) {
	rest := d.data[d.pos:]
	if len(rest) < 2 {
		return nil, errShort
	}
	size := int(binary.BigEndian.Uint16(rest))
	if size < 2 {
		return nil, FormatError("a segment without length")
	}
	if size > len(rest) {
		return nil, errShort
	}
	d.pos += size
	return rest[2:size], nil
}

func (d *decoder) interpret(marker byte, body []byte) error {
	switch marker {
	case markerSOF0, markerSOF1, markerSOF2:
		return d.frame(body, marker == markerSOF2)
	case markerDHT:
		return d.huffmanTables(body)
	case markerDQT:
		return d.quantTables(body)
	case markerDRI:
		if len(body) < 2 {
			return errShort
		}
		d.restartInterval = int(binary.BigEndian.Uint16(body))
	case markerSOS:
		return d.scan(body)
	case markerAPP0:
		d.jfif = d.jfif || len(body) >= 14 && string(body[:5]) == "JFIF\x00"
	case markerAPP14:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe = adobe(body[11])
		}
	default:
		if err, known := otherFrames[marker]; known {
			return err
		}
	}
	return nil // a comment, application data, or what nobody uses
}

func (d *decoder) complete() bool {
	return len(d.components) > 0 && !slices.ContainsFunc(d.components, func(c component) bool { return !c.seen })
}

// frame reads the frame header.
func (d *decoder) frame(body []byte, progressive bool) error {
	if len(d.components) > 0 {
		return FormatError("a second frame header")
	}
	if len(body) < 6 || len(body) < 6+3*int(body[5]) {
		return errShort
	}
	if body[0] != 8 {
		return UnsupportedError("samples of other than 8 bits")
	}
	n := int(body[5])
	if n != 1 && n != 3 && n != 4 {
		return UnsupportedError("other than 1, 3 or 4 colour planes")
	}
	height, width := int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	if height == 0 || width == 0 {
		return FormatError("the picture has no height or no width")
	}
	components := make([]component, n)
	for i := range components {
		b := body[6+3*i:]
		c := component{id: b[0], h: int(b[1] >> 4), v: int(b[1] & 15), tq: b[2]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return FormatError("bad frame header")
		}
		if slices.ContainsFunc(components[:i], func(o component) bool { return o.id == c.id }) {
			return FormatError("two colour planes of one name")
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
		components[i] = c
	}
	d.width, d.height, d.progressive, d.components = width, height, progressive, components
	return d.layout()
}

// layout computes the sizes of the planes.
func (d *decoder) layout() error {
	d.mcusX, d.mcusY = divideUp(d.width, 8*d.maxH), divideUp(d.height, 8*d.maxV)
	for i := range d.components {
		c := &d.components[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return UnsupportedError("colour planes at a fraction of the resolution other than 1/n")
		}
		c.w, c.ht = divideUp(d.width*c.h, d.maxH), divideUp(d.height*c.v, d.maxV)
		c.bw, c.bh = divideUp(c.w, 8), divideUp(c.ht, 8)
		c.stride = d.mcusX * c.h
	}
	return nil
}

// allocate takes the memory of the planes. A block of a plane needs at least one bit of data (two in
// sequential files), so that a header that asks for more than the data can hold is found out before.
func (d *decoder) allocate() error {
	blocks := 0
	for _, c := range d.components {
		blocks += c.bw * c.bh
	}
	if blocks > 8*len(d.data) {
		return errShort
	}
	for i := range d.components {
		c := &d.components[i]
		n := c.stride * d.mcusY * c.v * 64
		c.pix = make([]uint8, n)
		if d.progressive {
			c.coefs = make([]int16, n)
		}
	}
	return nil
}

func divideUp(a, b int) int { return (a + b - 1) / b }

// zigzag gives the place of a coefficient in natural order (row by row) by its place in the file: along the
// diagonals, by turns downwards and upwards.
var zigzag = func() (order [64]uint8) {
	i := 0
	for sum := range 15 {
		for t := range sum + 1 {
			x, y := t, sum-t
			if sum%2 == 1 {
				x, y = y, x
			}
			if x < 8 && y < 8 {
				order[i] = uint8(8*y + x)
				i++
			}
		}
	}
	return order
}()

func (d *decoder) quantTables(body []byte) error {
	for len(body) > 0 {
		wide, id := body[0]>>4, body[0]&15
		size := 64 * (1 + int(wide))
		if wide > 1 || id > 3 {
			return FormatError("bad quantisation table")
		}
		if body = body[1:]; len(body) < size {
			return errShort
		}
		table := new([64]int32) // planes that have begun keep the table that they began with
		for i, to := range zigzag {
			if wide == 1 {
				table[to] = int32(binary.BigEndian.Uint16(body[2*i:]))
			} else {
				table[to] = int32(body[i])
			}
		}
		d.quant[id] = table
		body = body[size:]
	}
	return nil
}
