package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"sync"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

const (
	// maxSide is the longest side in pixels of a picture in the page; larger ones are reduced.
	maxSide = 1400
	// pngSide is the longest side up to which a picture is stored without loss: small ones are
	// shown enlarged, and the page must not add what looks like an artefact of the restoration.
	pngSide     = 256
	jpegQuality = 94
)

// pairData is a pair prepared for the template.
type pairData struct {
	Title, Caption       string
	Before, After, Truth template.URL
	Width, Height        int
	Small                bool
}

func newPair(p Pair) (pairData, error) {
	d := pairData{Title: p.Title, Caption: p.Caption}
	if p.Before == nil || p.After == nil {
		return d, errors.New("the image before or after is missing")
	}
	d.Width, d.Height = fit(p.After.Bounds())
	if d.Width < 1 || d.Height < 1 {
		return d, errors.New("the image has no pixels")
	}
	d.Small = max(d.Width, d.Height) <= pngSide
	if full := p.After.Bounds().Dx(); d.Width < full {
		d.Caption = fmt.Sprintf("%s Shown at %d %% of its size.", d.Caption, 100*d.Width/full)
	}
	var err error
	for _, part := range []struct {
		to   *template.URL
		from image.Image
	}{{&d.Before, p.Before}, {&d.After, p.After}, {&d.Truth, p.Truth}} {
		if part.from == nil {
			continue
		}
		if *part.to, err = dataURI(part.from); err != nil {
			return d, err
		}
	}
	return d, nil
}

// fit returns the size at which a picture of the given bounds is stored in the page.
func fit(b image.Rectangle) (width, height int) {
	width, height = b.Dx(), b.Dy()
	if long := max(width, height); long > maxSide {
		width, height = max(1, width*maxSide/long), max(1, height*maxSide/long)
	}
	return width, height
}

// dataURI stores a picture in a URI.
func dataURI(im image.Image) (template.URL, error) {
	width, height := fit(im.Bounds())
	if width != im.Bounds().Dx() {
		small := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.CatmullRom.Scale(small, small.Bounds(), im, im.Bounds(), draw.Src, nil)
		im = small
	}
	var data bytes.Buffer
	kind, err := "image/png", error(nil)
	if max(width, height) <= pngSide {
		err = png.Encode(&data, im)
	} else {
		kind, err = "image/jpeg", jpeg.Encode(&data, im, &jpeg.Options{Quality: jpegQuality})
	}
	if err != nil {
		return "", fmt.Errorf("cannot encode an image: %w", err)
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data.Bytes())), nil
}

// Panel is one image of a row with its label.
type Panel struct {
	Label string
	Image image.Image
}

var (
	paper = color.RGBA{0xff, 0xff, 0xff, 0xff}
	ink   = color.RGBA{0x2b, 0x2f, 0x36, 0xff}
)

var labelFont = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) })

// labelFace returns the font of labels in a size in pixels.
func labelFace(size float64) (font.Face, error) {
	f, err := labelFont()
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
}

// SideBySide returns the images in a row on white, pixel for pixel, each below its label: a before
// and after picture for a README or a slide. Images of unequal size are aligned at the top.
func SideBySide(panels ...Panel) (*image.RGBA, error) {
	tallest := 0
	for _, p := range panels {
		if p.Image == nil || p.Image.Bounds().Empty() {
			return nil, fmt.Errorf("picture side by side: the image %q has no pixels", p.Label)
		}
		tallest = max(tallest, p.Image.Bounds().Dy())
	}
	size := min(max(float64(tallest)/24, 13), 32)
	face, err := labelFace(size)
	if err != nil {
		return nil, fmt.Errorf("picture side by side: cannot set the labels: %w", err)
	}
	defer face.Close()

	gap := int(size * 0.6)
	band := int(size * 1.7)
	columns := make([]int, len(panels)) // a label longer than its image is wide gets the room it needs
	width := gap
	for i, p := range panels {
		columns[i] = max(p.Image.Bounds().Dx(), font.MeasureString(face, p.Label).Ceil())
		width += columns[i] + gap
	}
	out := image.NewRGBA(image.Rect(0, 0, width, band+tallest+gap))
	draw.Draw(out, out.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	pen := font.Drawer{Dst: out, Src: image.NewUniform(ink), Face: face}
	x := gap
	for i, p := range panels {
		pen.Dot = fixed.P(x, int(size*1.2))
		pen.DrawString(p.Label)
		b := p.Image.Bounds()
		draw.Draw(out, image.Rect(x, band, x+b.Dx(), band+b.Dy()), p.Image, b.Min, draw.Over)
		x += columns[i] + gap
	}
	return out, nil
}
