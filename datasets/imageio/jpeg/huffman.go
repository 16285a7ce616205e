package jpeg

import (
	"encoding/binary"
	"slices"
)

// lookupBits is the length of the codes that are decoded by one look into a table.
const lookupBits = 9

// huffman is a table of codes.
type huffman struct {
	// fast gives for the next lookupBits bits the symbol and, above it, the length of its code; 0 if the
	// code is longer.
	fast [1 << lookupBits]uint16
	// value gives, for AC tables and where run, size and value together fit into lookupBits, all of them:
	// value<<16 | run<<8 | bits; 0 elsewhere.
	value [1 << lookupBits]int32
	// limit[n] is one more than the largest code of length n, moved to 16 bits; offset[n] is what to add to
	// a code of length n to get the place of its symbol.
	limit   [17]uint32
	offset  [17]int32
	symbols []byte
}

func (d *decoder) huffmanTables(body []byte) error {
	for len(body) > 0 {
		class, id := body[0]>>4, body[0]&15
		if class > 1 || id > 3 {
			return FormatError("bad Huffman table")
		}
		if len(body) < 17 {
			return errShort
		}
		counts, n := body[1:17], 0
		for _, c := range counts {
			n += int(c)
		}
		if n > 256 {
			return FormatError("bad Huffman table")
		}
		if len(body) < 17+n {
			return errShort
		}
		h, err := newHuffman(counts, body[17:17+n])
		if err != nil {
			return err
		}
		if class == 0 {
			if slices.ContainsFunc(h.symbols, func(size byte) bool { return size > 15 }) {
				return FormatError("bad Huffman table")
			}
			d.huffDC[id] = h
		} else {
			h.addValues()
			d.huffAC[id] = h
		}
		body = body[17+n:]
	}
	return nil
}

// newHuffman builds the table of counts[i] codes of length i+1, given out in increasing order.
func newHuffman(counts, symbols []byte) (*huffman, error) {
	h := &huffman{symbols: symbols}
	code, k := uint32(0), 0
	for n := 1; n <= 16; n++ {
		h.offset[n] = int32(k) - int32(code)
		for range counts[n-1] {
			if code >= 1<<n {
				return nil, FormatError("bad Huffman table")
			}
			if n <= lookupBits {
				first := code << (lookupBits - n)
				for i := range uint32(1) << (lookupBits - n) {
					h.fast[first+i] = uint16(n)<<8 | uint16(symbols[k])
				}
			}
			code++
			k++
		}
		h.limit[n] = code << (16 - n)
		code <<= 1
	}
	return h, nil
}

// addValues fills h.value.
func (h *huffman) addValues() {
	for i, f := range h.fast {
		length, run, size := int(f>>8), int32(f>>4&15), int(f&15)
		if length == 0 || size == 0 || length+size > lookupBits {
			continue
		}
		bits := int32(i) >> (lookupBits - length - size) & (1<<size - 1)
		h.value[i] = extend(bits, size)<<16 | run<<8 | int32(length+size)
	}
}

// extend gives the value that size bits stand for: those that begin with 0 are negative.
func extend(bits int32, size int) int32 {
	if bits < 1<<size>>1 {
		return bits - 1<<size + 1
	}
	return bits
}

// bitReader reads the entropy-coded bits of a scan, up to a marker. Behind their end it gives zeros, and n
// falls below 0: that is looked at after each block (failed), not at each bit.
type bitReader struct {
	data []byte
	pos  int
	acc  uint64 // the next bits, from the top
	n    int    // how many of them there are
	end  bool   // a marker, or the end of the data, was met
	bad  bool   // an impossible code was met
}

// fill makes at least maxCode bits available, as far as there are any.
func (b *bitReader) fill() {
	if b.end {
		return
	}
	if b.pos+8 <= len(b.data) {
		v := binary.BigEndian.Uint64(b.data[b.pos:])
		const ones, tops = 0x0101010101010101, 0x8080808080808080
		if (^v-ones)&v&tops == 0 { // no byte is 0xff
			b.acc |= v >> b.n
			whole := (63 - b.n) >> 3
			b.pos += whole
			b.n += whole << 3
			return
		}
	}
	for b.n <= 56 {
		if b.pos >= len(b.data) {
			b.end = true
			return
		}
		v := b.data[b.pos]
		if v == 0xff {
			if b.pos+1 >= len(b.data) || b.data[b.pos+1] != 0 {
				b.end = true
				return
			}
			b.pos++
		}
		b.pos++
		b.acc |= uint64(v) << (56 - b.n)
		b.n += 8
	}
}

// maxCode is the largest number of bits of a code (16) and the value behind it (15), with one to spare.
const maxCode = 32

// need fills up for one code and its value.
func (b *bitReader) need() {
	if b.n < maxCode {
		b.fill()
	}
}

// skip goes over n bits that are available.
func (b *bitReader) skip(n int) {
	b.acc <<= n
	b.n -= n
}

// bits returns the next n bits, at most 16, that are available.
func (b *bitReader) bits(n int) int32 {
	v := int32(b.acc >> (64 - n))
	b.skip(n)
	return v
}

// symbol decodes a code that is available.
func (b *bitReader) symbol(h *huffman) byte {
	if f := h.fast[b.acc>>(64-lookupBits)]; f != 0 {
		b.skip(int(f >> 8))
		return byte(f)
	}
	code := uint32(b.acc >> 48)
	for n := lookupBits + 1; n <= 16; n++ {
		if code < h.limit[n] {
			b.skip(n)
			return h.symbols[int32(code>>(16-n))+h.offset[n]]
		}
	}
	b.bad = true
	return 0
}

// failed returns what was wrong with the bits up to here.
func (b *bitReader) failed() error {
	switch {
	case b.n < 0: // what was decoded behind the end says nothing
		return errShort
	case b.bad:
		return FormatError("an impossible code")
	}
	return nil
}

// restart goes behind the marker that ends this part of the scan, which must be want.
func (b *bitReader) restart(want byte) error {
	d := decoder{data: b.data, pos: b.pos}
	marker, ok := d.nextMarker()
	switch {
	case !ok:
		return errShort
	case marker != want:
		return FormatError("a restart marker is missing")
	}
	*b = bitReader{data: b.data, pos: d.pos}
	return nil
}
