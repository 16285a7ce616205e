package imageio

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/godcpt/godcpt/internal/paritytest"
)

const referencePixels = ".pixels.png"

// Every pixel is the one that OpenCV reads (see testdata/README.md). There is no tolerance.
func TestReferencePixels(t *testing.T) {
	files, err := filepath.Glob("testdata/reference/*" + referencePixels)
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, want := range files {
		name := strings.TrimSuffix(want, referencePixels)
		t.Run(filepath.Base(name), func(t *testing.T) { comparePixels(t, name, want) })
	}
}

// comparePixels checks that two files have the same 8-bit pixels.
func comparePixels(t *testing.T, name, want string) {
	t.Helper()
	got, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := Read(want)
	if err != nil {
		t.Fatal(err)
	}
	if got.W != reference.W || got.H != reference.H {
		t.Fatalf("%dx%d pixels, want %dx%d", got.W, got.H, reference.W, reference.H)
	}
	a, b := got.Bytes(), reference.Bytes()
	most, count := 0, 0
	for i := range a {
		if d := max(a[i], b[i]) - min(a[i], b[i]); d > 0 {
			most, count = max(most, int(d)), count+1
		}
	}
	if count > 0 {
		t.Errorf("%d of %d values differ, by up to %d levels", count, len(a), most)
	}
	checkDecodeBytes(t, name)
}

// checkDecodeBytes checks that the short way to the 8-bit pixels of a file gives the same ones.
func checkDecodeBytes(t *testing.T, name string) {
	t.Helper()
	want, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	w, h, pix, err := ReadBytes(name)
	if err != nil || w != want.W || h != want.H || !bytes.Equal(pix, want.Bytes()) {
		t.Errorf("%s: DecodeBytes gives other pixels: %dx%d, want %dx%d, %v", name, w, h, want.W, want.H, err)
	}
}

// Transparent pictures of all levels, of those kinds that the reference files lack.
func TestDecodeBytesOfTransparentPictures(t *testing.T) {
	im := image.NewNRGBA(image.Rect(0, 0, 64, 16))
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range im.Pix {
		im.Pix[i] = uint8(rng.Uint32())
	}
	for name, encode := range map[string]func(io.Writer, image.Image) error{
		"a.png": png.Encode, "a.bmp": bmp.Encode,
		"a.tif": func(w io.Writer, im image.Image) error { return tiff.Encode(w, im, nil) },
	} {
		var data bytes.Buffer
		if err := encode(&data, im); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		checkDecodeBytes(t, path)
	}
}

// The photos of the module's sample, whole.
func TestSamplePhotosAreDecodedLikeOpenCV(t *testing.T) {
	list, err := os.ReadFile("testdata/sample.sha256")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")
	if len(lines) != 52 {
		t.Fatalf("%d photos", len(lines))
	}
	for _, line := range lines {
		want, name, _ := strings.Cut(line, "  ")
		im, err := Read(filepath.Join("..", "sample", "train", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(im.Bytes()); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: other pixels than OpenCV's", name)
		}
	}
}

// CBSD68 comes as JPEG files and, for its first photos, as the PNG files that others made of them.
func TestCBSD68IsDecodedAsPublished(t *testing.T) {
	dir := filepath.Join(paritytest.Root(), "..", "shared", "data", "test", "CBSD68")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no benchmark images at %s", dir)
	}
	for png, jpg := range map[string]string{"0000": "3096", "0001": "12084", "0002": "14037"} {
		comparePixels(t, filepath.Join(dir, "original", jpg+".jpg"), filepath.Join(dir, "original_png", png+".png"))
	}
}

// Of 16 bits the upper 8 are kept; Quantize rounds.
func TestBytes(t *testing.T) {
	im := New(1, 1)
	im.Depth = 16
	for i, v := range []float32{0x1234, 0x00ff, 0xffff} {
		im.Pix[i] = v / 65535
	}
	if got, want := im.Bytes(), []uint8{0x12, 0, 255}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := im.Quantize(), []uint8{0x12, 1, 255}; !slices.Equal(got, want) {
		t.Errorf("rounded %v, want %v", got, want)
	}
	// each 16-bit value survives the way through float32
	im = New(1<<16, 1)
	im.Depth = 16
	std := image.NewGray16(image.Rect(0, 0, 1<<16, 1))
	for v := range 1 << 16 {
		std.Pix[2*v], std.Pix[2*v+1] = uint8(v>>8), uint8(v)
	}
	for i, v := range fromStd(std).Bytes() {
		if int(v) != i/3>>8 {
			t.Fatalf("%#x becomes %#x", i/3, v)
		}
	}
}

func TestPNM(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       []float32 // the first pixels, RGB
		depth      int
		grey       bool
	}{
		{"text", "P3 # colour\n2 1 255\n1 2 3\n255 0 9", []float32{1. / 255, 2. / 255, 3. / 255, 1, 0, 9. / 255}, 8, false},
		{"text grey", "P2\n1 1\n255\n7", []float32{7. / 255, 7. / 255, 7. / 255}, 8, true},
		{"comments", "P5#a\n#b 9\n 1 # c\n1 255\n#", []float32{35. / 255, 35. / 255, 35. / 255}, 8, true},
		{"smaller white", "P6 1 1 3 \x00\x01\x03", []float32{0, 85. / 255, 1}, 8, false},
		{"white of 100", "P5 1 1 100 \x01", []float32{3. / 255, 3. / 255, 3. / 255}, 8, true}, // 2.55
		{"16 bits", "P6 1 1 65535 \x12\x34\x00\x00\xff\xff", []float32{0x1234 / 65535., 0, 1}, 16, false},
		{"10 bits", "P5 1 1 1023 \x03\xff", []float32{1, 1, 1}, 16, true},
		{"more than one", "P5 1 1 255 \x00P5 1 1 255 \xff", []float32{0, 0, 0}, 8, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, err := Decode(strings.NewReader(c.data), "x.ppm")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(im.Pix, c.want) || im.Depth != c.depth || im.Gray != c.grey || im.Alpha != nil {
				t.Errorf("%v, %d bits, grey %v; want %v, %d, %v", im.Pix, im.Depth, im.Gray, c.want, c.depth, c.grey)
			}
		})
	}
	for _, c := range []struct{ name, data, want string }{
		{"bitmap", "P4 8 1 \xff", "of a kind that cannot be read"},
		{"PAM", "P7\nWIDTH 1\n", "of a kind that cannot be read"},
		{"no size", "P5 ", "truncated or damaged PPM"},
		{"words", "P5 one 1 255 \x00", "truncated or damaged PPM"},
		{"negative", "P5 -1 1 255 \x00", "truncated or damaged PPM"},
		{"no pixels", "P5 0 1 255 ", "holds nothing"},
		{"white of 0", "P5 1 1 0 \x00", "bad header"},
		{"white of 65536", "P5 1 1 65536 \x00\x00", "bad header"},
		{"above white", "P5 1 1 100 \xff", "above the largest one"},
		{"above white in text", "P2 1 1 100 101", "above the largest one"},
		{"cut off", "P6 2 2 255 \x00\x00", "unexpected EOF"},
		{"cut off text", "P3 1 1 255 10 200", "unexpected EOF"},
		{"far too large", "P6 268435456 268435456 255 \x00", "limit of 256 megapixels"},
		{"large without pixels", "P6 16000 16000 255 \x00", "unexpected EOF"},
		{"overflow", "P6 99999999999999999999 1 255 \x00", "truncated or damaged PPM"},
	} {
		_, err := Decode(strings.NewReader(c.data), "x.ppm")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzDecode wants an error or a picture, in bounded time and memory, of whatever bytes.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/reference/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if data, err := os.ReadFile(name); err != nil {
			f.Fatal(err)
		} else if len(data) < 4000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, h, err := Size(bytes.NewReader(data), "x")
		if err != nil || w*h > 1<<20 { // a header of some bytes may well ask for a large picture
			return
		}
		im, err := Decode(bytes.NewReader(data), "x")
		if err != nil {
			return
		}
		if im.W != w || im.H != h || len(im.Pix) != 3*w*h || im.Alpha != nil && len(im.Alpha) != w*h {
			t.Errorf("%dx%d with %d values; Size says %dx%d", im.W, im.H, len(im.Pix), w, h)
		}
	})
}

// Decoding a photo of 481x321 pixels, up to the bytes that training takes.
func BenchmarkDecodeJPEG(b *testing.B) {
	data, err := os.ReadFile("../sample/train/101027.jpg")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(481 * 321 * 3)
	for b.Loop() {
		if _, _, _, err := DecodeBytes(bytes.NewReader(data), "x"); err != nil {
			b.Fatal(err)
		}
	}
}
