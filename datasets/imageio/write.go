package imageio

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"strings"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"golang.org/x/image/tiff"
)

// JPEGQuality is the quality that Write uses: 95 keeps the loss of writing (about 40 dB and more)
// far below the errors of restoring, at a quarter of the size of a PNG.
const JPEGQuality = 95

// Write writes im to path, in the format of the extension: .png, .jpg/.jpeg (quality JPEGQuality,
// chroma at half resolution) or .tif/.tiff (Deflate). The file appears whole or not at all.
//
// Pixels are rounded like Quantize. PNG and TIFF keep 16 bits, grey and transparency; JPEG is 8-bit
// and refuses transparency. EXIF and ICC go into PNG and JPEG, not into TIFF.
func Write(path string, im *Image) error {
	var encode func(io.Writer, *Image) error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png":
		encode = writePNG
	case ".jpg", ".jpeg":
		if im.Alpha != nil {
			return fmt.Errorf("cannot write %s: the picture has transparent parts, which JPEG cannot hold: write it as .png or .tif", path)
		}
		encode = writeJPEG
	case ".tif", ".tiff":
		encode = func(w io.Writer, im *Image) error {
			return tiff.Encode(w, ToStd(im), &tiff.Options{Compression: tiff.Deflate, Predictor: true})
		}
	default:
		return fmt.Errorf("cannot write %s: unknown extension %q, possible are .png, .jpg, .jpeg, .tif, .tiff", path, filepath.Ext(path))
	}
	return atomicfile.Write(path, 0o644, func(w io.Writer) error { return encode(w, im) })
}

func writeJPEG(w io.Writer, im *Image) error {
	eight := *im
	eight.Depth = 8
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, ToStd(&eight), &jpeg.Options{Quality: JPEGQuality}); err != nil {
		return err
	}
	const soi = 2 // metadata follows the start marker
	return writeAll(w, buf.Bytes()[:soi], jpegSegments(im.EXIF, im.ICC), buf.Bytes()[soi:])
}

func writePNG(w io.Writer, im *Image) error {
	icc := im.ICC
	if icc != nil && !iccFits(icc, im.Gray && im.Alpha == nil) { // grey with alpha is stored as colour
		icc = nil
	}
	chunks, err := pngChunks(im.EXIF, icc)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed} // a third of the time, for photos 3 to 12 % larger
	if err := encoder.Encode(&buf, ToStd(im)); err != nil {
		return err
	}
	const ihdr = 8 + 25 // signature and header chunk, which comes first
	return writeAll(w, buf.Bytes()[:ihdr], chunks, buf.Bytes()[ihdr:])
}

func writeAll(w io.Writer, parts ...[]byte) error {
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
