package imageio

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio/jpeg"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// MaxPixels is the largest picture that is decoded, 256 megapixels (3 GiB as float32 RGB): more
// than any camera delivers. It is checked in the header, before memory is taken, so that a small
// hostile or damaged file cannot exhaust the machine.
const MaxPixels = 256 << 20

// headerBytes is how much of a file Size reads: enough for the metadata that cameras write before
// the picture's dimensions (EXIF with a thumbnail, a colour profile).
const headerBytes = 512 << 10

// readExtensions are the file names that IsImage accepts.
var readExtensions = []string{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".pgm", ".pnm"}

// DamagedError says that the content of a file is not a picture that can be read: empty, cut off, no
// picture at all, of an unsupported kind or too large. Other errors (a file that is missing or may not
// be opened) are of the machine, not of the file.
type DamagedError struct {
	Name string // of the file
	text string
	err  error // of the decoder, may be nil
}

func (e *DamagedError) Error() string { return e.text }
func (e *DamagedError) Unwrap() error { return e.err }

// damage returns the error of a file whose content cannot be read.
func damage(name, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &DamagedError{Name: name, text: err.Error(), err: errors.Unwrap(err)}
}

// Extensions returns the extensions (lower case, with dot) of the files that can be read.
func Extensions() []string { return slices.Clone(readExtensions) }

// IsImage reports whether the extension of path is one that Read knows, in any case. Hidden files
// (a leading dot, such as the "._photo.jpg" that macOS leaves on other file systems) are not images.
func IsImage(path string) bool {
	return !strings.HasPrefix(filepath.Base(path), ".") &&
		slices.Contains(readExtensions, strings.ToLower(filepath.Ext(path)))
}

// Read reads the image file at path: PNG, JPEG, TIFF, WebP, BMP, PPM or PGM, told apart by content, not by
// name. The EXIF orientation is applied to the pixels and set to "upright" in the carried EXIF.
// Values are v/255 (16-bit: v/65535) in float32; colour values of transparent pixels are not
// premultiplied. Errors name the file, say what was found and what to do.
func Read(path string) (*Image, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Decode(f, path)
}

// Decode is Read from an open stream; name is used in error messages.
func Decode(r io.Reader, name string) (*Image, error) {
	f, err := decodeFile(r, name)
	if err != nil {
		return nil, err
	}
	return f.image(), nil
}

// DecodeBytes returns size and 8-bit pixels (w*h*3) of the picture that Decode reads: see Image.Bytes. It
// is for those who need no more than these, and for most files twice as fast.
func DecodeBytes(r io.Reader, name string) (w, h int, pix []uint8, err error) {
	f, err := decodeFile(r, name)
	if err != nil {
		return 0, 0, nil, err
	}
	if exif, _ := metadata(f.data, f.format); orientation(exif) == upright {
		if pix := bytesOf(f.decoded); pix != nil {
			b := f.decoded.Bounds()
			return b.Dx(), b.Dy(), pix, nil
		}
	}
	im := f.image()
	return im.W, im.H, im.Bytes(), nil
}

// ReadBytes is DecodeBytes of the file at path.
func ReadBytes(path string) (w, h int, pix []uint8, err error) {
	f, err := open(path)
	if err != nil {
		return 0, 0, nil, err
	}
	defer f.Close()
	return DecodeBytes(f, path)
}

func open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open picture: %w", err)
	}
	return f, nil
}

// file is a decoded file.
type file struct {
	data    []byte
	format  string
	decoded image.Image
}

func decodeFile(r io.Reader, name string) (file, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return file{}, fmt.Errorf("cannot read %s: %w", name, err)
	}
	f, cfg, err := header(data, name)
	if err != nil {
		return file{}, err
	}
	if err := checkSize(cfg.Width, cfg.Height, name); err != nil {
		return file{}, err
	}
	decoded, err := f.decode(data)
	if err != nil {
		return file{}, damaged(name, f.name, err)
	}
	if what := contradiction(decoded, cfg); what != "" {
		return file{}, damage(name, "%s is a damaged %s picture (%s): copy or download it again", name, f.name, what)
	}
	return file{data, f.name, decoded}, nil
}

// image returns the picture with all that belongs to it.
func (f file) image() *Image {
	im := fromStd(f.decoded)
	if f.format == "PNG" && pngIsGrey(f.data) {
		im.Gray = true // grey with alpha: the standard library expands it to colour
	}
	exif, icc := metadata(f.data, f.format)
	if icc != nil && iccFits(icc, im.Gray) {
		im.ICC = icc
	}
	im = im.upright(orientation(exif))
	if f.format != "TIFF" { // in a TIFF file the "EXIF block" is the whole file
		im.EXIF = resetOrientation(exif)
	}
	return im
}

// bytesOf returns the colours of the 8-bit pictures that most files hold, nil for others.
func bytesOf(src image.Image) []uint8 {
	w, h := src.Bounds().Dx(), src.Bounds().Dy()
	out := make([]uint8, w*h*3)
	colours := func(pix []uint8, stride int) []uint8 {
		for y := range h {
			row, p := out[y*w*3:][:w*3], pix[y*stride:][:w*4]
			for x := range w {
				row[3*x], row[3*x+1], row[3*x+2] = p[4*x], p[4*x+1], p[4*x+2]
			}
		}
		return out
	}
	switch s := src.(type) {
	case *image.RGBA:
		if s.Opaque() { // else the colours are multiplied by alpha
			return colours(s.Pix, s.Stride)
		}
	case *image.NRGBA:
		return colours(s.Pix, s.Stride)
	case *image.Gray:
		for y := range h {
			row := out[y*w*3:][:w*3]
			for x, v := range s.Pix[y*s.Stride:][:w] {
				row[3*x], row[3*x+1], row[3*x+2] = v, v, v
			}
		}
		return out
	}
	return nil
}

// Size returns width and height that Read would return (after EXIF orientation), reading only the
// beginning of the file.
func Size(r io.Reader, name string) (w, h int, err error) {
	data, err := io.ReadAll(io.LimitReader(r, headerBytes))
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if isTIFF(data) { // the directory may lie at the end
		rest, err := io.ReadAll(r)
		if err != nil {
			return 0, 0, fmt.Errorf("cannot read %s: %w", name, err)
		}
		data = append(data, rest...)
	}
	f, cfg, err := header(data, name)
	if err != nil {
		return 0, 0, err
	}
	exif, _ := metadata(data, f.name)
	if orientation(exif) >= 5 {
		return cfg.Height, cfg.Width, nil
	}
	return cfg.Width, cfg.Height, nil
}

// format is one file format: how to recognise and decode it.
type format struct {
	name   string
	match  func(data []byte) bool
	config func(data []byte) (image.Config, error)
	decode func(data []byte) (image.Image, error)
}

var formats = []format{
	{"PNG", prefixed("\x89PNG\r\n\x1a\n"), read(png.DecodeConfig), read(png.Decode)},
	{"JPEG", prefixed("\xff\xd8\xff"), jpeg.DecodeConfig, jpeg.Decode},
	{"TIFF", isTIFF, read(tiff.DecodeConfig), read(tiff.Decode)},
	{"WebP", func(d []byte) bool { return len(d) >= 12 && string(d[:4]) == "RIFF" && string(d[8:12]) == "WEBP" }, read(webp.DecodeConfig), read(webp.Decode)},
	{"BMP", prefixed("BM"), read(bmp.DecodeConfig), read(bmp.Decode)},
	{"PPM", isPNM, configPNM, decodePNM},
}

// read makes a decoder of a stream one of data.
func read[T any](decode func(io.Reader) (T, error)) func([]byte) (T, error) {
	return func(data []byte) (T, error) { return decode(bytes.NewReader(data)) }
}

func prefixed(magic string) func([]byte) bool {
	return func(d []byte) bool { return bytes.HasPrefix(d, []byte(magic)) }
}

func isTIFF(d []byte) bool {
	return bytes.HasPrefix(d, []byte("II*\x00")) || bytes.HasPrefix(d, []byte("MM\x00*"))
}

// header recognises the format and reads the dimensions.
func header(data []byte, name string) (format, image.Config, error) {
	if len(data) == 0 {
		return format{}, image.Config{}, damage(name, "%s is empty (0 bytes): copy or download it again", name)
	}
	for _, f := range formats {
		if !f.match(data) {
			continue
		}
		cfg, err := f.config(data)
		if err != nil {
			return f, cfg, damaged(name, f.name, err)
		}
		if cfg.Width < 1 || cfg.Height < 1 {
			return f, cfg, damage(name, "%s is a %s picture of %dx%d pixels, which holds nothing", name, f.name, cfg.Width, cfg.Height)
		}
		return f, cfg, nil
	}
	return format{}, image.Config{}, damage(name, "%s is not a picture that can be read (found %s): give a PNG, JPEG, TIFF, WebP, BMP or PPM file", name, describe(data))
}

func checkSize(w, h int, name string) error {
	if int64(w)*int64(h) > MaxPixels {
		return damage(name, "%s has %dx%d pixels, more than the limit of %d megapixels: scale it down or cut it into parts", name, w, h, MaxPixels>>20)
	}
	return nil
}

// damaged explains an error of a decoder.
func damaged(name, format string, err error) error {
	var unsupported tiff.UnsupportedError
	var unsupportedJPEG jpeg.UnsupportedError
	var unsupportedPNG png.UnsupportedError
	if errors.As(err, &unsupported) || errors.As(err, &unsupportedJPEG) || errors.As(err, &unsupportedPNG) || errors.Is(err, bmp.ErrUnsupported) || errors.Is(err, errPNMKind) {
		return damage(name, "%s is a %s picture of a kind that cannot be read (%w): convert it to an ordinary PNG", name, format, err)
	}
	return damage(name, "%s is a truncated or damaged %s picture (%w): copy or download it again", name, format, err)
}

// describe says in words what data that is no readable picture seems to be.
func describe(data []byte) string {
	known := []struct{ magic, what string }{
		{"GIF8", "a GIF picture"},
		{"8BPS", "a Photoshop document"},
		{"\xff\x0a", "a JPEG XL picture"},
		{"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"},
		{"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"},
		{"%PDF", "a PDF document"},
		{"PK\x03\x04", "a ZIP archive"},
		{"\x1f\x8b", "a gzip archive"},
		{"version https://git-lfs", "a Git LFS pointer, not the file itself; run \"git lfs pull\""},
	}
	for _, k := range known {
		if bytes.HasPrefix(data, []byte(k.magic)) {
			return k.what
		}
	}
	if len(data) >= 12 && string(data[4:8]) == "ftyp" {
		switch string(data[8:12]) {
		case "heic", "heix", "mif1", "heif":
			return "a HEIC picture"
		case "avif":
			return "an AVIF picture"
		}
		return "a film"
	}
	head := data[:min(len(data), 512)]
	if slices.ContainsFunc(head, func(b byte) bool { return b < 9 || b > 13 && b < 27 }) {
		return "unknown binary data"
	}
	text := strings.ToLower(strings.TrimSpace(string(head)))
	switch {
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "HTML text, perhaps the error page of a download"
	case strings.Contains(text, "<svg"):
		return "an SVG drawing"
	}
	return "plain text"
}

// fromStd converts what the decoders return. Alpha is dropped if every pixel is opaque.
func fromStd(src image.Image) *Image {
	b := src.Bounds()
	im := New(b.Dx(), b.Dy())
	switch s := src.(type) {
	case *image.Gray:
		im.Gray = true
		im.rows(func(y int, row []float32) {
			for x, v := range s.Pix[y*s.Stride:][:im.W] {
				setGrey(row[x*3:], byteLevel[v])
			}
		})
	case *image.Gray16:
		im.Gray, im.Depth = true, 16
		im.rows(func(y int, row []float32) {
			p := s.Pix[y*s.Stride:]
			for x := range im.W {
				setGrey(row[x*3:], wordLevel(p[x*2:]))
			}
		})
	case *image.RGBA:
		if !s.Opaque() {
			im.generic(src)
			break
		}
		im.rows(func(y int, row []float32) {
			p := s.Pix[y*s.Stride:][:4*im.W]
			for x := range im.W {
				row[3*x], row[3*x+1], row[3*x+2] = byteLevel[p[4*x]], byteLevel[p[4*x+1]], byteLevel[p[4*x+2]]
			}
		})
	case *image.YCbCr:
		im.fillWebP(s)
	case *image.NYCbCrA:
		im.fillWebP(&s.YCbCr)
		im.setAlpha(func(x, y int) uint8 { return s.A[y*s.AStride+x] })
	case *image.Paletted:
		im.Gray = greyPalette(s.Palette)
		im.generic(src)
	case *image.RGBA64, *image.NRGBA64:
		im.Depth = 16
		im.generic(src)
	default:
		im.generic(src)
	}
	return im
}

// byteLevel is v/255 in float32.
var byteLevel = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(v) / 255
	}
	return t
}()

// wordLevel is the big-endian 16-bit value at p over 65535.
func wordLevel(p []byte) float32 { return float32(uint16(p[0])<<8|uint16(p[1])) / 65535 }

func setGrey(px []float32, v float32) { px[0], px[1], px[2] = v, v, v }

func (im *Image) rows(f func(y int, row []float32)) {
	for y := range im.H {
		f(y, im.Pix[y*im.W*3:(y+1)*im.W*3])
	}
}

// generic converts any image through its colour model. Premultiplied colours are divided by alpha.
func (im *Image) generic(src image.Image) {
	b := src.Bounds()
	alpha := make([]float32, im.W*im.H)
	opaque := true
	at := pixelReader(src, im.Depth)
	for y := range im.H {
		for x := range im.W {
			i := y*im.W + x
			r, g, bl, a := at(b.Min.X+x, b.Min.Y+y)
			im.Pix[i*3], im.Pix[i*3+1], im.Pix[i*3+2], alpha[i] = r, g, bl, a
			opaque = opaque && a == 1
		}
	}
	if !opaque {
		im.Alpha = alpha
	}
}

// setAlpha takes the transparency of a picture of 8 bits, unless it has none.
func (im *Image) setAlpha(at func(x, y int) uint8) {
	alpha := make([]float32, im.W*im.H)
	for i := range alpha {
		alpha[i] = byteLevel[at(i%im.W, i/im.W)]
	}
	if slices.ContainsFunc(alpha, func(a float32) bool { return a < 1 }) {
		im.Alpha = alpha
	}
}

// pixelReader returns a function giving the pixel at (x, y) as non-premultiplied values in 0..1.
func pixelReader(src image.Image, depth int) func(x, y int) (r, g, b, a float32) {
	switch s := src.(type) {
	case *image.NRGBA:
		return func(x, y int) (r, g, b, a float32) { return levels8(s.NRGBAAt(x, y)) }
	case *image.NRGBA64:
		return func(x, y int) (r, g, b, a float32) { return levels16(s.NRGBA64At(x, y)) }
	}
	if depth == 16 {
		return func(x, y int) (r, g, b, a float32) {
			return levels16(color.NRGBA64Model.Convert(src.At(x, y)).(color.NRGBA64))
		}
	}
	return func(x, y int) (r, g, b, a float32) {
		return levels8(color.NRGBAModel.Convert(src.At(x, y)).(color.NRGBA))
	}
}

func levels8(c color.NRGBA) (r, g, b, a float32) {
	return byteLevel[c.R], byteLevel[c.G], byteLevel[c.B], byteLevel[c.A]
}

func levels16(c color.NRGBA64) (r, g, b, a float32) {
	return float32(c.R) / 65535, float32(c.G) / 65535, float32(c.B) / 65535, float32(c.A) / 65535
}

// contradiction says what the decoders of BMP and WebP let pass although it does not fit together, "" if nothing.
func contradiction(src image.Image, cfg image.Config) string {
	if b := src.Bounds(); b.Dx() != cfg.Width || b.Dy() != cfg.Height {
		return fmt.Sprintf("%dx%d pixels, where the header says %dx%d", b.Dx(), b.Dy(), cfg.Width, cfg.Height)
	}
	switch s := src.(type) {
	case *image.Paletted:
		if slices.ContainsFunc(s.Pix, func(i uint8) bool { return int(i) >= len(s.Palette) }) {
			return "a colour that is not in its palette"
		}
	case *image.NYCbCrA:
		if s.AStride < cfg.Width || len(s.A) < s.AStride*cfg.Height {
			return "transparency of another size"
		}
	}
	return ""
}

func greyPalette(p color.Palette) bool {
	for _, c := range p {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		if n.R != n.G || n.G != n.B {
			return false
		}
	}
	return true
}
