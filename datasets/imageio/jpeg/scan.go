package jpeg

// scan is one pass over the picture: some planes, and in progressive files some coefficients and bits of
// these.
type scan struct {
	bitReader
	components []*component
	dc, ac     []*huffman // by place in components
	first      int        // the coefficients of the scan, in the order of the file
	last       int
	high, low  uint  // bits that were known before (0: none) and that are not known after this scan
	eobRun     int32 // how many more blocks have no new values
	block      [64]int16
}

// scan reads the header of a scan, and what follows it.
func (d *decoder) scan(header []byte) error {
	if len(d.components) == 0 {
		return FormatError("a scan before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return UnsupportedError("hundreds of scans")
	}
	s, err := d.newScan(header)
	if err != nil {
		return err
	}
	if d.components[0].pix == nil {
		if err := d.allocate(); err != nil {
			return err
		}
	}
	if err := d.decodeScan(s); err != nil {
		return err
	}
	d.pos = s.pos
	return nil
}

func (d *decoder) newScan(header []byte) (*scan, error) {
	bad := FormatError("bad scan header")
	if len(header) < 1 || len(header) < 4+2*int(header[0]) {
		return nil, errShort
	}
	n := int(header[0])
	if n < 1 || n > len(d.components) {
		return nil, bad
	}
	parameters := header[1+2*n:]
	s := &scan{
		bitReader: bitReader{data: d.data, pos: d.pos},
		first:     int(parameters[0]), last: int(parameters[1]),
		high: uint(parameters[2] >> 4), low: uint(parameters[2] & 15),
	}
	if !d.progressive { // what the header says then has no meaning, and is not always right
		s.first, s.last, s.high, s.low = 0, 63, 0, 0
	} else if s.first == 0 && s.last > 0 || s.first > s.last || s.last > 63 || s.first > 0 && n > 1 ||
		s.high > 0 && s.high != s.low+1 || s.low > 13 {
		return nil, bad
	}
	blocks := 0
	for i := range n {
		c := d.component(header[1+2*i])
		if c == nil {
			return nil, FormatError("a scan of a colour plane that is not there")
		}
		for _, o := range s.components {
			if o == c {
				return nil, bad
			}
		}
		if err := d.prepare(s, c, header[2+2*i]); err != nil {
			return nil, err
		}
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return nil, FormatError("more than 10 blocks in a unit of a scan")
	}
	return s, nil
}

func (d *decoder) component(id byte) *component {
	for i := range d.components {
		if d.components[i].id == id {
			return &d.components[i]
		}
	}
	return nil
}

// prepare adds a plane to a scan, with the tables that it takes from now on.
func (d *decoder) prepare(s *scan, c *component, tables byte) error {
	dc, ac := tables>>4, tables&15
	if dc > 3 || ac > 3 {
		return FormatError("bad scan header")
	}
	s.components = append(s.components, c)
	s.dc, s.ac = append(s.dc, d.huffDC[dc]), append(s.ac, d.huffAC[ac])
	needDC, needAC := s.first == 0 && s.high == 0, s.last > 0
	if needDC && d.huffDC[dc] == nil || needAC && d.huffAC[ac] == nil {
		return FormatError("a Huffman table is missing")
	}
	if c.quant == nil {
		c.quant = d.quant[c.tq]
	}
	if c.quant == nil {
		return FormatError("a quantisation table is missing")
	}
	c.seen = c.seen || s.first == 0
	return nil
}

// decodeScan decodes all blocks of a scan. A scan of one plane has its blocks row by row; one of several
// has units of h x v blocks of each of them, and padding up to whole units.
func (d *decoder) decodeScan(s *scan) error {
	if len(s.components) == 1 {
		c := s.components[0]
		return d.eachUnit(s, c.bw, c.bh, func(x, y int) error { return s.decode(d.progressive, 0, x, y) })
	}
	return d.eachUnit(s, d.mcusX, d.mcusY, func(x, y int) error {
		for i, c := range s.components {
			for v := range c.v {
				for h := range c.h {
					if err := s.decode(d.progressive, i, x*c.h+h, y*c.v+v); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// eachUnit calls f for the units of a scan, with the restarts between them.
func (d *decoder) eachUnit(s *scan, width, height int, f func(x, y int) error) error {
	s.reset()
	left, marker := d.restartInterval, byte(markerRST0)
	for y := range height {
		for x := range width {
			if d.restartInterval > 0 {
				if left == 0 {
					if err := s.restart(marker); err != nil {
						return err
					}
					s.reset()
					left, marker = d.restartInterval, markerRST0|(marker+1)&7
				}
				left--
			}
			if err := f(x, y); err != nil {
				return err
			}
		}
	}
	return nil
}

// reset forgets what the coding of a block takes from the blocks before it.
func (s *scan) reset() {
	s.eobRun = 0
	for _, c := range s.components {
		c.pred = 0
	}
}

// decode decodes what the scan holds of the block at (x, y) of its plane number i.
func (s *scan) decode(progressive bool, i, x, y int) error {
	c := s.components[i]
	if !progressive {
		clear(s.block[:])
		s.sequential(c, s.dc[i], s.ac[i])
		c.inverse(&s.block, x, y)
		return s.failed()
	}
	block := c.coefficients(x, y)
	switch {
	case s.first == 0 && s.high == 0:
		s.need()
		block[0] = int16(s.nextDC(c, s.dc[i]) << s.low)
	case s.first == 0:
		s.need()
		block[0] |= int16(s.bits(1) << s.low)
	case s.high == 0:
		s.firstAC(block, s.ac[i])
	default:
		s.refineAC(block, s.ac[i])
	}
	return s.failed()
}

// coefficients is the block at (x, y) of a progressive plane.
func (c *component) coefficients(x, y int) *[64]int16 {
	return (*[64]int16)(c.coefs[(y*c.stride+x)*64:])
}

// nextDC decodes a DC value, which is stored as the difference to the one before.
func (s *scan) nextDC(c *component, h *huffman) int32 {
	size := int(s.symbol(h))
	c.pred += extend(s.bits(size), size)
	return c.pred
}

// sequential decodes a whole block into s.block.
func (s *scan) sequential(c *component, dc, ac *huffman) {
	s.need()
	s.block[0] = int16(s.nextDC(c, dc))
	for k := 1; k < 64; k++ {
		s.need()
		if v := ac.value[s.acc>>(64-lookupBits)]; v != 0 {
			s.skip(int(v & 0xff))
			if k += int(v >> 8 & 15); k > 63 {
				s.bad = true
				return
			}
			s.block[zigzag[k]] = int16(v >> 16)
			continue
		}
		symbol := s.symbol(ac)
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run < 15 {
				return
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			s.bad = true
			return
		}
		s.block[zigzag[k]] = int16(extend(s.bits(size), size))
	}
}

// firstAC decodes the upper bits of AC values.
func (s *scan) firstAC(block *[64]int16, ac *huffman) {
	if s.eobRun > 0 {
		s.eobRun--
		return
	}
	for k := s.first; k <= s.last; k++ {
		s.need()
		symbol := s.symbol(ac)
		run, size := int(symbol>>4), int(symbol&15)
		switch {
		case size > 0:
			if k += run; k > 63 {
				s.bad = true
				return
			}
			block[zigzag[k]] = int16(extend(s.bits(size), size) << s.low)
		case run < 15:
			s.eobRun = 1<<run + s.bits(run) - 1
			return
		default:
			k += 15
		}
	}
}

// refineAC decodes one more bit of AC values: of those that are not 0 so far, and new ones that are 1 or -1
// at this place.
func (s *scan) refineAC(block *[64]int16, ac *huffman) {
	k := s.first
	for s.eobRun == 0 && k <= s.last {
		s.need()
		symbol := s.symbol(ac)
		run, size := int(symbol>>4), symbol&15
		var value int16
		switch {
		case size > 0: // always 1
			value = -1 << s.low
			if s.bits(1) == 1 {
				value = 1 << s.low
			}
		case run < 15:
			s.eobRun = 1<<run + s.bits(run)
			continue
		}
		if k = s.refine(block, k, run); value != 0 && k <= s.last {
			block[zigzag[k]] = value
		}
		k++
	}
	if s.eobRun > 0 {
		s.refine(block, k, 64)
		s.eobRun--
	}
}

// refine reads a bit for each value that is not 0, from k on up to the zero behind `zeros` others, whose
// place it returns.
func (s *scan) refine(block *[64]int16, k, zeros int) int {
	for ; k <= s.last; k++ {
		v := &block[zigzag[k]]
		if *v == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		s.need()
		if s.bits(1) == 0 || *v>>s.low&1 != 0 {
			continue
		}
		if *v > 0 {
			*v += 1 << s.low
		} else {
			*v -= 1 << s.low
		}
	}
	return k
}
