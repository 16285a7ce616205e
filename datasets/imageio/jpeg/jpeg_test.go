package jpeg

import (
	"bytes"
	"errors"
	"image"
	stdjpeg "image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// That the pixels are those of libjpeg-turbo is tested in package imageio, with its reference files.

// references returns the JPEG files of those, by name.
func references(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/reference/*.jpg")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	all := map[string][]byte{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = data
	}
	return all
}

// A file that is cut off anywhere is an error; only the end marker may be missing, and of a progressive file
// not even that, as it could be scans that are missing.
func TestCutOff(t *testing.T) {
	for name, data := range references(t) {
		want, err := Decode(data)
		if err != nil {
			t.Fatal(name, err)
		}
		progressive := strings.HasPrefix(name, "progressive")
		whole := bytes.LastIndex(data, []byte{0xff, markerEOI})
		for n := range whole + 1 {
			if n < whole-40 && n%7 != 0 || name == "mixed_sampling.jpg" { // its last scan ends earlier
				continue
			}
			got, err := Decode(data[:n])
			switch {
			case n == whole && !progressive:
				if err != nil || !equal(got, want) {
					t.Errorf("%s without end marker: %v", name, err)
				}
			case err == nil && n < whole-1:
				t.Errorf("%s: %d of %d bytes are decoded", name, n, len(data))
			case progressive && err == nil:
				t.Errorf("%s is decoded without end marker", name)
			}
		}
	}
}

func equal(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			if a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

func TestDecodeConfig(t *testing.T) {
	for name, data := range references(t) {
		im, err := Decode(data)
		if err != nil {
			t.Fatal(name, err)
		}
		cfg, err := DecodeConfig(data[:len(data)*9/10]) // the header is enough
		if err != nil || cfg.Width != im.Bounds().Dx() || cfg.Height != im.Bounds().Dy() || cfg.ColorModel != im.ColorModel() {
			t.Errorf("%s: %+v, %v; the picture has %v", name, cfg, err, im.Bounds())
		}
	}
}

// change returns a copy of a file in which the bytes from `at` after the first `marker` on are others.
func change(t *testing.T, data []byte, marker byte, at int, others ...byte) []byte {
	t.Helper()
	data = bytes.Clone(data)
	start := bytes.Index(data, []byte{0xff, marker})
	if start < 0 {
		t.Fatalf("no marker %#x", marker)
	}
	copy(data[start+at:], others)
	return data
}

func TestBadFiles(t *testing.T) {
	all := references(t)
	good, progressive := all["s420.jpg"], all["progressive.jpg"]
	marker := func(data []byte, from, to byte) []byte { return change(t, data, from, 1, to) }
	unsupported := func(err error) bool { return errors.As(err, new(UnsupportedError)) }
	malformed := func(err error) bool { return errors.As(err, new(FormatError)) }
	for _, c := range []struct {
		name string
		data []byte
		kind func(error) bool
		want string
	}{
		{"nothing", nil, malformed, "start marker"},
		{"start and end", append(bytes.Clone(good[:2]), 0xff, markerEOI), malformed, "no frame header"},
		{"only the start", good[:2], malformed, "ends too early"},
		{"12 bits", change(t, good, markerSOF0, 4, 12), unsupported, "8 bits"},
		{"two planes", change(t, good, markerSOF0, 9, 2), unsupported, "colour planes"},
		{"no height", change(t, good, markerSOF0, 5, 0, 0), malformed, "no height"},
		{"sampling factor 0", change(t, good, markerSOF0, 11, 0x02), malformed, "frame header"},
		{"sampling 3 to 2", change(t, good, markerSOF0, 11, 0x22, 0, 2, 0x31), unsupported, "resolution"},
		{"planes of one name", change(t, good, markerSOF0, 13, 1), malformed, "one name"},
		{"arithmetic coding", marker(good, markerSOF0, 0xc9), unsupported, "arithmetic"},
		{"lossless", marker(good, markerSOF0, 0xc3), unsupported, "lossless"},
		{"no frame header", marker(good, markerSOF0, 0xfe), malformed, "before the frame header"},
		{"two frame headers", append(bytes.Clone(good[:len(good)-2]), good[bytes.Index(good, []byte{0xff, markerSOF0}):]...), malformed, "second frame"},
		{"two starts", append(bytes.Clone(good[:2]), good...), malformed, "second start"},
		{"no Huffman tables", bytes.ReplaceAll(good, []byte{0xff, markerDHT}, []byte{0xff, 0xfe}), malformed, "Huffman table is missing"},
		{"no quantisation table", bytes.ReplaceAll(good, []byte{0xff, markerDQT}, []byte{0xff, 0xfe}), malformed, "quantisation table is missing"},
		{"too many codes of a length", change(t, good, markerDHT, 5, 3, 0, 3), malformed, "Huffman"},
		{"table number 4", change(t, good, markerDHT, 4, 4), malformed, "Huffman"},
		{"a scan of an unknown plane", change(t, good, markerSOS, 5, 77), malformed, "not there"},
		{"a plane twice in a scan", change(t, good, markerSOS, 7, 1), malformed, "scan header"},
		{"progressive range", change(t, progressive, markerSOS, 11, 70, 63), malformed, "scan header"},
		{"a restart too few", bytes.ReplaceAll(all["restart.jpg"], []byte{0xff, 0xd1}, []byte{0xff, 0xd2}), malformed, "restart marker"},
		{"no scan", append(bytes.Clone(good[:bytes.Index(good, []byte{0xff, markerSOS})]), 0xff, markerEOI), malformed, "plane is missing"},
		{"a segment without length", []byte{0xff, markerSOI, 0xff, 0xe1, 0, 1}, malformed, "without length"},
	} {
		_, err := Decode(c.data)
		if err == nil || !c.kind(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A header of a few bytes cannot make the decoder take memory: 65535x65535 would be 12 GiB.
func TestHugeHeader(t *testing.T) {
	for _, name := range []string{"s444.jpg", "progressive.jpg"} {
		sof := byte(markerSOF0)
		if name == "progressive.jpg" {
			sof = markerSOF2
		}
		data := change(t, references(t)[name], sof, 5, 255, 255, 255, 255)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Decode(data); err != errShort {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%s: %d bytes are allocated", name, allocated)
		}
	}
}

// Hundreds of scans are refused: each is a walk over the picture.
func TestScanBomb(t *testing.T) {
	data := references(t)["progressive.jpg"]
	sos := bytes.Index(data, []byte{0xff, markerSOS})
	end := sos + 2 + bytes.Index(data[sos+2:], []byte{0xff, markerDHT})
	bomb := bytes.Clone(data[:sos])
	for range maxScans + 1 {
		bomb = append(bomb, data[sos:end]...)
	}
	if _, err := Decode(bomb); !errors.As(err, new(UnsupportedError)) {
		t.Error(err)
	}
}

// FuzzDecode wants an error or a picture of the size that the header says, of whatever bytes. (Which damaged
// files are refused is not the standard library's choice: this decoder is stricter about impossible codes.)
func FuzzDecode(f *testing.F) {
	for _, data := range references(f) {
		if len(data) < 4000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := DecodeConfig(data)
		if err != nil || cfg.Width*cfg.Height > 1<<18 {
			return
		}
		got, err := Decode(data)
		if err != nil {
			return
		}
		if got.Bounds().Dx() != cfg.Width || got.Bounds().Dy() != cfg.Height {
			t.Errorf("%v, but %+v", got.Bounds(), cfg)
		}
		got.At(cfg.Width-1, cfg.Height-1)
	})
}

// The standard library's decoder is another implementation of the same standard: grey pictures, where
// nothing is interpolated, differ by the rounding of the transform only.
func TestAgreesWithStandardLibrary(t *testing.T) {
	for _, quality := range []int{1, 10, 50, 75, 90, 100} {
		for _, size := range [][2]int{{1, 1}, {8, 8}, {9, 7}, {65, 33}} {
			grey := image.NewGray(image.Rect(0, 0, size[0], size[1]))
			for i := range grey.Pix {
				grey.Pix[i] = uint8(i*i/7 + i)
			}
			var b bytes.Buffer
			if err := stdjpeg.Encode(&b, grey, &stdjpeg.Options{Quality: quality}); err != nil {
				t.Fatal(err)
			}
			want, err := stdjpeg.Decode(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for y := range size[1] {
				for x := range size[0] {
					g, w := int(got.(*image.Gray).GrayAt(x, y).Y), int(want.(*image.Gray).GrayAt(x, y).Y)
					if g-w > 1 || w-g > 1 {
						t.Fatalf("quality %d, %v: %d at %d,%d, want %d", quality, size, g, x, y, w)
					}
				}
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := os.ReadFile("../../sample/train/101027.jpg")
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func() error{
		"this":     func() error { _, err := Decode(data); return err },
		"standard": func() error { _, err := stdjpeg.Decode(bytes.NewReader(data)); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
