package imageio

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// ramp returns a w x h colour picture whose pixels all differ.
func ramp(w, h, depth int) *Image {
	im := New(w, h)
	im.Depth = depth
	top := float32(int(1)<<depth - 1)
	for i := range im.Pix {
		im.Pix[i] = float32((i*37+i*i*11)%(int(top)+1)) / top
	}
	return im
}

func grey(im *Image) *Image {
	im.Gray = true
	for i := 0; i < len(im.Pix); i += 3 {
		setGrey(im.Pix[i:], im.Pix[i])
	}
	return im
}

func withAlpha(im *Image) *Image {
	im.Alpha = make([]float32, im.W*im.H)
	top := float32(int(1)<<im.Depth - 1)
	for i := range im.Alpha {
		im.Alpha[i] = float32(1+i%int(top)) / top // 0 is left out: encoders may drop invisible colours
	}
	return im
}

func encodePNG(t *testing.T, im image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Lossless formats return exactly what was written, in every kind the format can hold.
func TestWriteReadRoundTrip(t *testing.T) {
	for _, ext := range []string{".png", ".tif", ".TIFF"} {
		for name, im := range map[string]*Image{
			"colour":       ramp(7, 5, 8),
			"colour16":     ramp(7, 5, 16),
			"grey":         grey(ramp(7, 5, 8)),
			"grey16":       grey(ramp(7, 5, 16)),
			"alpha":        withAlpha(ramp(7, 5, 8)),
			"alpha16":      withAlpha(ramp(7, 5, 16)),
			"1x1":          ramp(1, 1, 8),
			"1x5000":       ramp(1, 5000, 8),
			"5000x1":       ramp(5000, 1, 8),
			"out of range": {W: 2, H: 1, Depth: 8, Pix: []float32{-1, 0, 2, 1, 0.2, 0.4}},
		} {
			t.Run(name+ext, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x"+ext)
				if err := Write(path, im); err != nil {
					t.Fatal(err)
				}
				got, err := Read(path)
				if err != nil {
					t.Fatal(err)
				}
				want := im.Clone()
				for i, v := range want.Pix {
					want.Pix[i] = min(max(v, 0), 1)
				}
				if got.W != want.W || got.H != want.H || got.Depth != want.Depth || got.Gray != want.Gray {
					t.Errorf("got %dx%d depth %d grey %v, want %dx%d depth %d grey %v", got.W, got.H, got.Depth, got.Gray, want.W, want.H, want.Depth, want.Gray)
				}
				if !slices.Equal(got.Pix, want.Pix) || !slices.Equal(got.Alpha, want.Alpha) {
					t.Error("pixels or alpha differ")
				}
			})
		}
	}
}

// JPEG loses little at our quality: 2 levels on average on a smooth picture.
func TestWriteJPEG(t *testing.T) {
	for name, isGrey := range map[string]bool{"colour.jpg": false, "grey.JPEG": true} {
		im := New(33, 17)
		for i := range im.Pix {
			im.Pix[i] = float32(i/3%33) / 33
		}
		im.Gray, im.Depth = isGrey, 16
		path := filepath.Join(t.TempDir(), name)
		if err := Write(path, im); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for i := range got.Pix {
			sum += math.Abs(float64(got.Pix[i] - im.Pix[i]))
		}
		if mean := sum / float64(len(got.Pix)) * 255; mean > 2 {
			t.Errorf("%s: mean error %.2f levels", name, mean)
		}
		if got.Gray != isGrey || got.Depth != 8 {
			t.Errorf("%s: grey %v depth %d", name, got.Gray, got.Depth)
		}
	}
}

func TestDecodeKinds(t *testing.T) {
	rgb := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	rgb.Set(0, 0, color.NRGBA{200, 100, 50, 255})
	rgb.Set(1, 0, color.NRGBA{200, 100, 50, 128})
	opaque := image.NewRGBA(image.Rect(0, 0, 1, 1))
	opaque.Set(0, 0, color.RGBA{200, 100, 50, 255})
	paletted := image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.RGBA{200, 100, 50, 255}})
	greys := image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Gray{100}})
	encode := func(f func(*bytes.Buffer) error) []byte {
		var b bytes.Buffer
		if err := f(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	webp := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const v200, v100, v50 = float32(200) / 255, float32(100) / 255, float32(50) / 255
	for _, c := range []struct {
		name  string
		data  []byte
		first []float32 // first pixel, nil: not compared
		alpha []float32
		grey  bool
	}{
		{"PNG with alpha is not premultiplied", encodePNG(t, rgb), []float32{v200, v100, v50}, []float32{1, float32(128) / 255}, false},
		{"PNG without alpha", encodePNG(t, opaque), []float32{v200, v100, v50}, nil, false},
		{"PNG palette", encodePNG(t, paletted), []float32{v200, v100, v50}, nil, false},
		{"PNG grey palette", encodePNG(t, greys), []float32{v100, v100, v100}, nil, true},
		{"PNG grey with alpha", greyAlphaPNG(t, 100, 128), []float32{v100, v100, v100}, []float32{float32(128) / 255}, true},
		{"BMP", encode(func(b *bytes.Buffer) error { return bmp.Encode(b, opaque) }), []float32{v200, v100, v50}, nil, false},
		{"TIFF premultiplied", encode(func(b *bytes.Buffer) error { return tiff.Encode(b, opaque, nil) }), []float32{v200, v100, v50}, nil, false},
		{"JPEG CMYK", cmykJPEG(), []float32{v65, v65, v65}, nil, false},
		{"WebP lossy", webp("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAgA0JaQAA3AA/vuUAAA="), nil, nil, false},
		{"WebP lossless", webp("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="), nil, []float32{0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, err := Decode(bytes.NewReader(c.data), "x")
			if err != nil {
				t.Fatal(err)
			}
			if c.first != nil && !slices.Equal(im.Pix[:3], c.first) {
				t.Errorf("first pixel %v, want %v", im.Pix[:3], c.first)
			}
			if !slices.Equal(im.Alpha, c.alpha) || im.Gray != c.grey {
				t.Errorf("alpha %v grey %v, want %v %v", im.Alpha, im.Gray, c.alpha, c.grey)
			}
			w, h, err := Size(bytes.NewReader(c.data), "x")
			if err != nil || w != im.W || h != im.H {
				t.Errorf("Size = %d, %d, %v; picture has %dx%d", w, h, err, im.W, im.H)
			}
		})
	}
}

// rawPNG builds a PNG of the chunks given as kind, body pairs.
func rawPNG(chunks ...string) []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	for i := 0; i < len(chunks); i += 2 {
		body := chunks[i] + chunks[i+1]
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunks[i+1])))
		out = append(out, body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(body)))
	}
	return out
}

func ihdr(w, h uint32, depth, colour byte) string {
	b := binary.BigEndian.AppendUint32(nil, w)
	b = binary.BigEndian.AppendUint32(b, h)
	return string(append(b, depth, colour, 0, 0, 0))
}

// greyAlphaPNG is a 1x1 PNG of colour type 4, which the standard library cannot write.
func greyAlphaPNG(t *testing.T, grey, alpha byte) []byte {
	t.Helper()
	chunks, err := pngChunks(nil, []byte{0, grey, alpha}) // borrows its zlib stream: filter 0, grey, alpha
	if err != nil {
		t.Fatal(err)
	}
	idat := chunks[8+len("ICC profile\x00\x00") : len(chunks)-4]
	return rawPNG("IHDR", ihdr(1, 1, 8, 4), "IDAT", string(idat), "IEND", "")
}

// v65 is what CMYK 127,127,127,127, stored as 128, becomes in OpenCV: 128 - 127*128/256 = 65, rounded up.
const v65 = float32(65) / 255

// cmykJPEG is an 8x8 four-component JPEG, all samples 128 (stored inverted, as Adobe does), with
// Huffman tables of one code each: every block is two zero bits.
func cmykJPEG() []byte {
	out := []byte{0xff, 0xd8}
	segment := func(marker byte, body ...byte) {
		out = append(out, 0xff, marker, 0, byte(len(body)+2))
		out = append(out, body...)
	}
	segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")...)
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	segment(0xc0, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)
	for _, class := range []byte{0x00, 0x10} {
		segment(0xc4, append([]byte{class, 1}, make([]byte, 16)...)...) // one code of length 1: symbol 0
	}
	segment(0xda, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)
	return append(out, 0x00, 0xff, 0xd9)
}

// exifWith is a minimal EXIF block holding the orientation.
func exifWith(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, orientationTag)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	b = order.AppendUint16(b, 0)
	return order.AppendUint32(b, 0)
}

// Each row is how the upright picture ab/cd/ef is stored under an orientation.
func TestOrientation(t *testing.T) {
	stored := []string{1: "ab/cd/ef", "ba/dc/fe", "fe/dc/ba", "ef/cd/ab", "ace/bdf", "bdf/ace", "fdb/eca", "eca/fdb"}
	for o := 1; o <= 8; o++ {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			lines := strings.Split(stored[o], "/")
			im := New(len(lines[0]), len(lines))
			im.Alpha = make([]float32, im.W*im.H)
			for i, c := range []byte(strings.Join(lines, "")) {
				setGrey(im.Pix[i*3:], byteLevel[c])
				im.Alpha[i] = byteLevel[c]
			}
			im.EXIF = exifWith(order, uint16(o))
			var buf bytes.Buffer
			if err := writePNG(&buf, im); err != nil {
				t.Fatal(err)
			}
			got, err := Decode(bytes.NewReader(buf.Bytes()), "x")
			if err != nil {
				t.Fatal(err)
			}
			var text string
			for i := range got.Alpha {
				text += string(rune(math.Round(float64(got.Pix[i*3] * 255))))
				if got.Alpha[i] != got.Pix[i*3] {
					t.Errorf("orientation %d: alpha is not turned with the colours", o)
				}
			}
			if got.W != 2 || got.H != 3 || text != "abcdef" {
				t.Errorf("orientation %d: got %dx%d %s", o, got.W, got.H, text)
			}
			if again := orientation(got.EXIF); again != 1 {
				t.Errorf("orientation %d: carried EXIF still says %d", o, again)
			}
			if w, h, err := Size(bytes.NewReader(buf.Bytes()), "x"); w != 2 || h != 3 || err != nil {
				t.Errorf("orientation %d: Size = %d, %d, %v", o, w, h, err)
			}
		}
	}
	for name, exif := range map[string][]byte{
		"none": nil, "short": []byte("II*\x00"), "not EXIF": []byte("hello, world"), "out of range": exifWith(binary.LittleEndian, 9),
		"directory beyond the end": []byte("II*\x00\xff\xff\xff\xff"), "truncated": exifWith(binary.LittleEndian, 6)[:16],
	} {
		if o := orientation(exif); o != 1 {
			t.Errorf("%s: orientation %d, want 1", name, o)
		}
	}
}

func profile(space string, size int) []byte {
	icc := bytes.Repeat([]byte("profile "), size/8)
	copy(icc[16:], space)
	return icc
}

// EXIF and ICC survive PNG and JPEG, also a profile too long for one JPEG segment, and are dropped
// where they would be wrong.
func TestMetadataIsCarried(t *testing.T) {
	dir := t.TempDir()
	im := ramp(9, 8, 8)
	im.EXIF, im.ICC = exifWith(binary.BigEndian, 1), profile("RGB ", 150_000)
	for _, name := range []string{"a.jpg", "b.png", "c.jpg"} { // each is written from the one before
		path := filepath.Join(dir, name)
		if err := Write(path, im); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.EXIF, im.EXIF) || !bytes.Equal(got.ICC, im.ICC) {
			t.Fatalf("%s: EXIF %d bytes, ICC %d bytes; want %d and %d", name, len(got.EXIF), len(got.ICC), len(im.EXIF), len(im.ICC))
		}
		im = got
	}

	for _, c := range []struct {
		name, space string
		im          *Image
		keep        bool
	}{
		{"CMYK profile on colour", "CMYK", ramp(4, 4, 8), false},
		{"grey profile on grey", "GRAY", grey(ramp(4, 4, 8)), true},
		{"grey profile on grey stored as colour", "GRAY", withAlpha(grey(ramp(4, 4, 8))), false},
	} {
		c.im.ICC = profile(c.space, 256)
		path := filepath.Join(dir, "p.png")
		if err := Write(path, c.im); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if kept := got.ICC != nil; kept != c.keep {
			t.Errorf("%s: kept %v, want %v", c.name, kept, c.keep)
		}
	}

	im.EXIF, im.ICC = make([]byte, maxSegment), nil // fits a PNG chunk, but no JPEG segment
	path := filepath.Join(dir, "long.jpg")
	if err := Write(path, im); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path); err != nil || got.EXIF != nil {
		t.Errorf("over-long EXIF: error %v, %d bytes", err, len(got.EXIF))
	}
}

func TestBadInput(t *testing.T) {
	good := encodePNG(t, ToStd(ramp(64, 64, 8)))
	var goodJPEG, goodTIFF, goodBMP bytes.Buffer
	if err := jpeg.Encode(&goodJPEG, ToStd(ramp(64, 64, 8)), nil); err != nil {
		t.Fatal(err)
	}
	if err := tiff.Encode(&goodTIFF, ToStd(ramp(64, 64, 8)), nil); err != nil {
		t.Fatal(err)
	}
	if err := bmp.Encode(&goodBMP, ToStd(ramp(64, 64, 8))); err != nil {
		t.Fatal(err)
	}
	badIndex := make([]byte, 14+40+4+4) // a BMP of one pixel, one colour in the palette, and the pixel has colour 200
	copy(badIndex, "BM")
	for at, v := range map[int]byte{10: 58, 14: 40, 18: 1, 22: 1, 26: 1, 28: 8, 46: 1, 58: 200} {
		badIndex[at] = v
	}
	otherSize, err := os.ReadFile("testdata/reference/lossy_alpha.webp")
	if err != nil {
		t.Fatal(err)
	}
	otherSize[24] = 14 // the width in the header of the extended format, less one
	half := func(b []byte) string { return string(b[:len(b)/2]) }
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 0xff
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "is empty (0 bytes)"},
		{"truncated PNG", half(good), "truncated or damaged PNG"},
		{"truncated PNG header", string(good[:12]), "truncated or damaged PNG"},
		{"truncated JPEG", half(goodJPEG.Bytes()), "truncated or damaged JPEG"},
		{"truncated TIFF", half(goodTIFF.Bytes()), "truncated or damaged TIFF"},
		{"truncated BMP", half(goodBMP.Bytes()), "truncated or damaged BMP"},
		{"colour outside the palette", string(badIndex), "not in its palette"},
		{"transparency of another size", string(otherSize), "damaged WebP"},
		{"damaged PNG", string(flipped), "truncated or damaged PNG"},
		{"HTML", "<!DOCTYPE html><html><body>404</body></html>", "HTML text"},
		{"text", "hello", "plain text"},
		{"SVG", "<?xml version='1.0'?><svg></svg>", "an SVG drawing"},
		{"GIF", "GIF89a......", "a GIF picture"},
		{"HEIC", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a HEIC picture"},
		{"AVIF", "\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "an AVIF picture"},
		{"film", "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a film"},
		{"ZIP", "PK\x03\x04....", "a ZIP archive"},
		{"LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
		{"progressive arithmetic JPEG", "\xff\xd8\xff\xca\x00\x02", "of a kind that cannot be read"},
		{"binary", "\x01\x02\x03\x04\x05", "unknown binary data"},
		{"too many pixels", string(rawPNG("IHDR", ihdr(60000, 60000, 8, 2), "IDAT", "", "IEND", "")), "limit of 256 megapixels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "photo.png")
			if err := os.WriteFile(path, []byte(c.data), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want it to name the file and say %q", err, c.want)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.png")); err == nil || !strings.Contains(err.Error(), "none.png") {
		t.Errorf("missing file: error %v", err)
	}
}

// Damaged metadata does not make a picture unreadable.
func TestDamagedMetadata(t *testing.T) {
	good := encodePNG(t, ToStd(ramp(4, 4, 8)))
	const at = 8 + 25
	for name, chunk := range map[string][]byte{
		"iCCP that does not inflate": rawPNG("iCCP", "x\x00\x00garbage")[8:],
		"iCCP without name":          rawPNG("iCCP", "garbage")[8:],
		"eXIf of nonsense":           rawPNG("eXIf", "nonsense")[8:],
	} {
		data := slices.Concat(good[:at], chunk, good[at:])
		if im, err := Decode(bytes.NewReader(data), "x"); err != nil || im.ICC != nil {
			t.Errorf("%s: error %v, ICC %v", name, err, im.ICC)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		im   *Image
		want string
	}{
		{"photo.gif", ramp(2, 2, 8), `unknown extension ".gif", possible are .png, .jpg`},
		{"photo", ramp(2, 2, 8), `unknown extension ""`},
		{"photo.jpg", withAlpha(ramp(2, 2, 8)), "transparent"},
		{"missing/photo.png", ramp(2, 2, 8), "no such file"},
	} {
		path := filepath.Join(dir, c.name)
		err := Write(path, c.im)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want it to say %q", c.name, err, c.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%d files left behind", len(entries))
	}
}

// Ties go to even, as in the official protocol: 0.1, 0.3 and 0.5 times 255 are ties in float32.
func TestQuantize(t *testing.T) {
	nan := float32(math.NaN())
	in := []float32{0, 1, -0.1, 1.1, 0.1, 0.3, 0.5, nan, 0.25}
	want := []uint8{0, 255, 0, 255, 26, 76, 128, 0, 64}
	if got := (&Image{Pix: in}).Quantize(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCropAndFlips(t *testing.T) {
	im := withAlpha(ramp(5, 4, 8))
	crop := im.Crop(1, 2, 3, 2)
	for y := range 2 {
		for x := range 3 {
			from, to := ((y+2)*5+x+1)*3, (y*3+x)*3
			if !slices.Equal(crop.Pix[to:to+3], im.Pix[from:from+3]) || crop.Alpha[to/3] != im.Alpha[from/3] {
				t.Fatalf("crop differs at %d,%d", x, y)
			}
		}
	}
	for name, twice := range map[string]*Image{
		"FlipH": im.FlipH().FlipH(), "FlipV": im.FlipV().FlipV(), "Transpose": im.Transpose().Transpose(),
	} {
		if !slices.Equal(twice.Pix, im.Pix) || twice.W != im.W {
			t.Errorf("%s twice is not the identity", name)
		}
	}
	for flip := range 8 {
		turn := Orientation{flip&1 != 0, flip&2 != 0, flip&4 != 0}
		got := im.Cut(1, 0, 3, 4, turn)
		for y := range got.H {
			for x := range got.W {
				fx, fy := x, y // in the crop
				if turn.Transpose {
					fx, fy = y, x
				}
				if turn.FlipH {
					fx = 2 - fx
				}
				if turn.FlipV {
					fy = 3 - fy
				}
				from, to := fy*5+fx+1, y*got.W+x
				if !slices.Equal(got.Pix[to*3:to*3+3], im.Pix[from*3:from*3+3]) || got.Alpha[to] != im.Alpha[from] {
					t.Fatalf("%+v differs at %d,%d", turn, x, y)
				}
			}
		}
	}
	copied := im.Clone()
	copied.Pix[0], copied.Alpha[0] = 9, 9
	if im.Pix[0] == 9 || im.Alpha[0] == 9 {
		t.Error("Clone shares memory")
	}
	defer func() {
		if recover() == nil {
			t.Error("crop outside the image did not panic")
		}
	}()
	im.Crop(3, 0, 3, 1)
}

func TestReflect(t *testing.T) {
	for _, c := range []struct {
		n    int
		want []int // for i from -4
	}{
		{1, []int{0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{2, []int{0, 1, 0, 1, 0, 1, 0, 1, 0}},
		{3, []int{0, 1, 2, 1, 0, 1, 2, 1, 0}},
	} {
		for k, want := range c.want {
			if got := Reflect(k-4, c.n); got != want {
				t.Errorf("Reflect(%d, %d) = %d, want %d", k-4, c.n, got, want)
			}
		}
	}
}

func TestIsImage(t *testing.T) {
	for name, want := range map[string]bool{
		"a.png": true, "dir/A.JPEG": true, "a.webp": true, "a.tiff": true, "a.bmp": true,
		"a.gif": false, "a": false, "png": false, "dir/._a.jpg": false,
	} {
		if got := IsImage(name); got != want {
			t.Errorf("IsImage(%q) = %v", name, got)
		}
	}
}
