package imageio

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Where the formats keep EXIF and ICC: JPEG in APP1 and APP2 segments, PNG in eXIf and iCCP chunks,
// WebP in EXIF and ICCP chunks. A TIFF file is itself built like an EXIF block.

const (
	exifPrefix = "Exif\x00\x00"
	iccPrefix  = "ICC_PROFILE\x00"
	// maxICC bounds the decompressed profile: real ones are below 4 MiB.
	maxICC = 16 << 20
	// maxSegment is the largest payload of a JPEG segment (its 16-bit length counts itself).
	maxSegment = 65533
)

// metadata returns the EXIF block (without prefix) and the ICC profile of a file, nil where absent
// or damaged: metadata never makes a readable picture unreadable.
func metadata(data []byte, format string) (exif, icc []byte) {
	switch format {
	case "JPEG":
		return jpegMetadata(data)
	case "PNG":
		eachChunk(data[8:], binary.BigEndian, 4, func(kind string, body []byte) {
			switch kind {
			case "eXIf":
				exif = body
			case "iCCP":
				icc = inflateICC(body)
			}
		})
	case "WebP":
		eachChunk(data[12:], binary.LittleEndian, 0, func(kind string, body []byte) {
			switch kind {
			case "EXIF":
				exif = bytes.TrimPrefix(body, []byte(exifPrefix))
			case "ICCP":
				icc = bytes.Clone(body)
			}
		})
	case "TIFF":
		return data, nil
	}
	return exif, icc
}

// eachChunk walks PNG chunks (length, kind, body, checksum of `trailer` bytes) or RIFF chunks
// (kind, length, body padded to even).
func eachChunk(data []byte, order binary.ByteOrder, trailer int, f func(kind string, body []byte)) {
	riff := trailer == 0
	for len(data) >= 8 {
		kind, size := string(data[4:8]), uint64(order.Uint32(data))
		if riff {
			kind, size = string(data[:4]), uint64(order.Uint32(data[4:]))
		}
		if uint64(len(data)-8) < size {
			return
		}
		f(kind, data[8:8+size])
		next := 8 + size + uint64(trailer)
		if riff {
			next += size & 1
		}
		data = data[min(next, uint64(len(data))):]
	}
}

func jpegMetadata(data []byte) (exif, icc []byte) {
	for data = data[2:]; len(data) >= 4 && data[0] == 0xff; {
		marker, size := data[1], int(binary.BigEndian.Uint16(data[2:]))
		if marker == 0xff { // fill byte
			data = data[1:]
			continue
		}
		if marker == 0xda || size < 2 || size+2 > len(data) { // start of the scan: no more metadata
			break
		}
		body := data[4 : size+2]
		switch {
		case marker == 0xe1 && exif == nil && bytes.HasPrefix(body, []byte(exifPrefix)):
			exif = body[len(exifPrefix):]
		case marker == 0xe2 && bytes.HasPrefix(body, []byte(iccPrefix)) && len(body) > len(iccPrefix)+2:
			icc = append(icc, body[len(iccPrefix)+2:]...) // parts come in order
		}
		data = data[size+2:]
	}
	return exif, icc
}

func inflateICC(body []byte) []byte {
	name := bytes.IndexByte(body, 0)
	if name < 0 || name+2 > len(body) || body[name+1] != 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(body[name+2:]))
	if err != nil {
		return nil
	}
	icc, err := io.ReadAll(io.LimitReader(z, maxICC+1))
	if err != nil || len(icc) > maxICC {
		return nil
	}
	return icc
}

// iccFits reports whether a profile describes pixels of this kind. The profile of a CMYK file does
// not describe the RGB values it was converted to.
func iccFits(icc []byte, grey bool) bool {
	if len(icc) < 128 {
		return false
	}
	space := string(icc[16:20])
	return space == "GRAY" && grey || space == "RGB " && !grey
}

// pngIsGrey reports whether the colour type in the header chunk is grey or grey with alpha.
func pngIsGrey(data []byte) bool {
	return len(data) > 25 && (data[25] == 0 || data[25] == 4)
}

// orientationTag is the EXIF and TIFF tag of the orientation, a 16-bit number from 1 (upright) to 8.
const orientationTag = 0x0112

// findOrientation returns the offset of the orientation's value in an EXIF block, or -1.
func findOrientation(exif []byte) (at int, order binary.ByteOrder) {
	if len(exif) < 8 || !isTIFF(exif) {
		return -1, nil
	}
	order = binary.ByteOrder(binary.LittleEndian)
	if exif[0] == 'M' {
		order = binary.BigEndian
	}
	dir := uint64(order.Uint32(exif[4:]))
	if dir+2 > uint64(len(exif)) {
		return -1, nil
	}
	n := uint64(order.Uint16(exif[dir:]))
	for entry := dir + 2; n > 0 && entry+12 <= uint64(len(exif)); n, entry = n-1, entry+12 {
		if order.Uint16(exif[entry:]) == orientationTag && order.Uint16(exif[entry+2:]) == 3 {
			return int(entry) + 8, order
		}
	}
	return -1, nil
}

// upright is the orientation of pictures that are stored as they are to be seen.
const upright = 1

// orientation returns the orientation stored in an EXIF block, upright if none or out of range.
func orientation(exif []byte) int {
	at, order := findOrientation(exif)
	if at < 0 {
		return upright
	}
	if o := int(order.Uint16(exif[at:])); o >= 1 && o <= 8 {
		return o
	}
	return upright
}

// resetOrientation returns a copy of the block that says "upright".
func resetOrientation(exif []byte) []byte {
	if exif == nil {
		return nil
	}
	exif = bytes.Clone(exif)
	if at, order := findOrientation(exif); at >= 0 {
		order.PutUint16(exif[at:], 1)
	}
	return exif
}

// upright turns the pixels as an EXIF orientation asks.
func (im *Image) upright(orientation int) *Image {
	if orientation >= 5 {
		im = im.Transpose()
	}
	switch orientation {
	case 2, 6:
		return im.FlipH()
	case 3, 7:
		return im.FlipH().FlipV()
	case 4, 8:
		return im.FlipV()
	}
	return im
}

// jpegSegments returns the APP1 and APP2 segments for the metadata. An EXIF block that does not fit
// one segment (it can only come from another format) is left out.
func jpegSegments(exif, icc []byte) []byte {
	var out []byte
	segment := func(marker byte, parts ...[]byte) {
		body := bytes.Join(parts, nil)
		out = append(out, 0xff, marker)
		out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
		out = append(out, body...)
	}
	if exif != nil && len(exifPrefix)+len(exif) <= maxSegment {
		segment(0xe1, []byte(exifPrefix), exif)
	}
	const part = maxSegment - len(iccPrefix) - 2
	total := (len(icc) + part - 1) / part
	for i := 1; i <= total && total < 256; i++ {
		segment(0xe2, []byte(iccPrefix), []byte{byte(i), byte(total)}, icc[(i-1)*part:min(i*part, len(icc))])
	}
	return out
}

// pngChunks returns the iCCP and eXIf chunks for the metadata.
func pngChunks(exif, icc []byte) ([]byte, error) {
	var out []byte
	chunk := func(kind string, body []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
		start := len(out)
		out = append(append(out, kind...), body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
	}
	if icc != nil {
		body := bytes.NewBufferString("ICC profile\x00\x00")
		z := zlib.NewWriter(body)
		if _, err := z.Write(icc); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		chunk("iCCP", body.Bytes())
	}
	if exif != nil {
		chunk("eXIf", exif)
	}
	return out, nil
}
