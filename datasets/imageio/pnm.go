package imageio

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

// The formats of the Netpbm programs: PGM (grey) and PPM (colour), as text (P2, P3) or binary (P5, P6), of
// 8 or 16 bits.

var (
	errPNMKind   = errors.New("only P2, P3, P5 and P6, which are PGM and PPM, are read")
	errPNMHeader = errors.New("bad header")
	errPNMValue  = errors.New("a value that is no number, or above the largest one")
)

// pnm is a header.
type pnm struct {
	text     bool
	channels int
	w, h     int
	top      int    // the value of white
	rest     []byte // the values
}

// isPNM reports whether data begins like any file of that family.
func isPNM(d []byte) bool {
	return len(d) > 2 && d[0] == 'P' && d[1] >= '1' && d[1] <= '7' && (isSpace(d[2]) || d[2] == '#')
}

func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

func readPNM(data []byte) (p pnm, err error) {
	switch data[1] {
	case '2', '5':
		p.channels = 1
	case '3', '6':
		p.channels = 3
	default:
		return p, errPNMKind
	}
	p.text = data[1] < '4'
	p.rest = data[2:]
	const most = 1 << 28 // larger than any picture that is decoded
	for _, v := range []*int{&p.w, &p.h, &p.top} {
		if *v, err = p.number(most); err != nil {
			return p, fmt.Errorf("%w: %w", errPNMHeader, err)
		}
	}
	if p.top < 1 || p.top > 65535 {
		return p, errPNMHeader
	}
	if len(p.rest) > 0 {
		p.rest = p.rest[1:] // one space ends the header
	}
	return p, nil
}

// number takes a decimal number of at most top, and the spaces and comments before it.
func (p *pnm) number(top int) (int, error) {
	i := 0
	for comment := false; i < len(p.rest) && (comment || isSpace(p.rest[i]) || p.rest[i] == '#'); i++ {
		comment = (comment || p.rest[i] == '#') && p.rest[i] != '\n'
	}
	if i == len(p.rest) {
		return 0, io.ErrUnexpectedEOF
	}
	v, start := 0, i
	for ; i < len(p.rest) && p.rest[i] >= '0' && p.rest[i] <= '9'; i++ {
		if v = 10*v + int(p.rest[i]-'0'); v > top {
			return 0, errPNMValue
		}
	}
	if i == start {
		return 0, errPNMValue
	}
	p.rest = p.rest[i:]
	return v, nil
}

func configPNM(data []byte) (image.Config, error) {
	p, err := readPNM(data)
	return image.Config{ColorModel: color.RGBA64Model, Width: p.w, Height: p.h}, err
}

// decodePNM returns Gray, RGBA, Gray16 or NRGBA64. The size was checked by the caller.
func decodePNM(data []byte) (image.Image, error) {
	p, err := readPNM(data)
	if err != nil {
		return nil, err
	}
	next, err := p.values()
	if err != nil {
		return nil, err
	}
	full := 255
	if p.top > 255 {
		full = 65535
	}
	var out image.Image
	var put func(i, v int) // the value of channel i%channels of pixel i/channels
	switch rect := image.Rect(0, 0, p.w, p.h); {
	case p.channels == 1 && full == 255:
		im := image.NewGray(rect)
		out, put = im, func(i, v int) { im.Pix[i] = uint8(v) }
	case p.channels == 1:
		im := image.NewGray16(rect)
		out, put = im, func(i, v int) { im.Pix[2*i], im.Pix[2*i+1] = uint8(v>>8), uint8(v) }
	case full == 255:
		im := image.NewRGBA(rect)
		out, put = im, func(i, v int) {
			at := i/3*4 + i%3
			im.Pix[at], im.Pix[i/3*4+3] = uint8(v), 255
		}
	default:
		im := image.NewNRGBA64(rect)
		out, put = im, func(i, v int) {
			at := (i/3*4 + i%3) * 2
			im.Pix[at], im.Pix[at+1] = uint8(v>>8), uint8(v)
			im.Pix[i/3*8+6], im.Pix[i/3*8+7] = 255, 255
		}
	}
	for i := range p.w * p.h * p.channels {
		v, err := next()
		if err != nil {
			return nil, err
		}
		if p.top != full {
			v = (v*full + p.top/2) / p.top
		}
		put(i, v)
	}
	return out, nil
}

// values returns a function that gives the values in turn, if there is data enough for all of them.
func (p *pnm) values() (func() (int, error), error) {
	n, size := p.w*p.h*p.channels, 1
	if p.text || p.top > 255 {
		size = 2 // a digit and a space
	}
	if len(p.rest) < n*size-1 || !p.text && len(p.rest) < n*size {
		return nil, io.ErrUnexpectedEOF
	}
	if p.text {
		return func() (int, error) { return p.number(p.top) }, nil
	}
	at := 0
	return func() (int, error) {
		v := int(p.rest[at])
		if size == 2 {
			v = v<<8 | int(p.rest[at+1])
		}
		at += size
		if v > p.top {
			return 0, errPNMValue
		}
		return v, nil
	}, nil
}
