package report

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// Colours of a picture: those that page.css has on a light page.
var (
	soft     = color.RGBA{0x66, 0x6d, 0x78, 0xff}
	gridline = color.RGBA{0xec, 0xea, 0xe5, 0xff}
	colours  = [palette]color.RGBA{
		{0x2d, 0x6a, 0x8f, 0xff}, {0xc6, 0x6a, 0x24, 0xff}, {0x3b, 0x8a, 0x5c, 0xff}, {0x94, 0x50, 0x8f, 0xff},
		{0xb3, 0x45, 0x3a, 0xff}, {0x8a, 0x74, 0x20, 0xff}, {0x4a, 0x5f, 0xb0, 0xff}, {0x6b, 0x72, 0x80, 0xff},
	}
)

// Measures of a chart in pixels.
const (
	titleSize, labelSize = 15, 12
	chartGap             = 16 // around a chart
	tickGap              = 6  // between a label and the frame
	tickColumn           = 42 // for the labels of the vertical axis
	lineHeight           = 18
	lineWidth            = 1.8
	faintWidth           = 1
	faintShare           = 0.3 // opacity of the points below a running mean
	minChart             = 160 // width and height that leave room for lines
)

// Charts draws curves side by side in one picture, for readers who do not run a page: notebooks,
// whose stored outputs may hold no script, and documents. YLabel is not shown.
func Charts(width, height int, curves ...Curve) (*image.RGBA, error) {
	if len(curves) == 0 || width/len(curves) < minChart || height < minChart {
		return nil, fmt.Errorf("charts: %dx%d pixels are too few for %d curves: each needs %dx%d", width, height, len(curves), minChart, minChart)
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(out, out.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	for i, c := range curves {
		place := image.Rect(i*width/len(curves), 0, (i+1)*width/len(curves), height)
		if err := drawChart(out, place.Inset(chartGap), c); err != nil {
			return nil, fmt.Errorf("chart %q: %w", c.Title, err)
		}
	}
	return out, nil
}

// canvas is the picture that a chart is drawn on, and the frame that its lines lie in.
type canvas struct {
	dst          *image.RGBA
	frame        image.Rectangle
	title, label font.Face
}

func drawChart(dst *image.RGBA, place image.Rectangle, c Curve) error {
	d, err := newCurve(c)
	if err != nil {
		return err
	}
	cv := canvas{dst: dst}
	if cv.title, err = labelFace(titleSize); err != nil {
		return err
	}
	defer cv.title.Close()
	if cv.label, err = labelFace(labelSize); err != nil {
		return err
	}
	defer cv.label.Close()
	legend := place.Min.Y + titleSize + lineHeight
	cv.frame = image.Rect(place.Min.X+tickColumn, legend+tickGap*2, place.Max.X-tickGap, place.Max.Y-2*lineHeight)

	cv.text(cv.title, ink, place.Min.X, place.Min.Y+titleSize, d.Title)
	cv.legend(place.Min.X, legend, d.Lines)
	cv.axes(d, place.Max.Y)
	for i, line := range d.Lines {
		hover := d.Hover.Series[i]
		colour := colours[line.Colour]
		if line.Faint != "" {
			cv.line(d.Hover, clean(c.Series[i], c.LogY), faintWidth, blend(colour, faintShare))
		}
		points := make([]point, len(hover.X))
		for k := range points {
			points[k] = point{float64(hover.X[k]), float64(hover.Y[k])}
		}
		cv.line(d.Hover, points, lineWidth, colour)
	}
	return nil
}

// blend mixes a colour with the paper.
func blend(c color.RGBA, share float64) color.RGBA {
	mix := func(a, b uint8) uint8 { return uint8(math.Round(share*float64(a) + (1-share)*float64(b))) }
	return color.RGBA{mix(c.R, paper.R), mix(c.G, paper.G), mix(c.B, paper.B), 0xff}
}

// text writes s with its baseline at y and returns where it ends.
func (cv canvas) text(face font.Face, c color.Color, x, y int, s string) int {
	pen := font.Drawer{Dst: cv.dst, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	pen.DrawString(s)
	return pen.Dot.X.Ceil()
}

// legend names the lines, each with its last value.
func (cv canvas) legend(x, y int, lines []lineData) {
	for _, line := range lines {
		swatch := image.Rect(x, y-labelSize/2, x+12, y-labelSize/2+3)
		draw.Draw(cv.dst, swatch, image.NewUniform(colours[line.Colour]), image.Point{}, draw.Src)
		x = cv.text(cv.label, soft, x+17, y, line.Name)
		if line.Last != "" {
			x = cv.text(cv.label, ink, x+5, y, line.Last)
		}
		x += chartGap
	}
}

// axes draws the grid with its labels; bottom is the last row of the chart.
func (cv canvas) axes(d curveData, bottom int) {
	for _, t := range d.YTicks {
		y := cv.frame.Max.Y - int(math.Round(t.At/100*float64(cv.frame.Dy())))
		draw.Draw(cv.dst, image.Rect(cv.frame.Min.X, y, cv.frame.Max.X, y+1), image.NewUniform(gridline), image.Point{}, draw.Src)
		width := font.MeasureString(cv.label, t.Label).Ceil()
		cv.text(cv.label, soft, cv.frame.Min.X-tickGap-width, y+labelSize/3, t.Label)
	}
	for _, t := range d.XTicks {
		x := cv.frame.Min.X + int(math.Round(t.At/100*float64(cv.frame.Dx())))
		draw.Draw(cv.dst, image.Rect(x, cv.frame.Min.Y, x+1, cv.frame.Max.Y), image.NewUniform(gridline), image.Point{}, draw.Src)
		width := font.MeasureString(cv.label, t.Label).Ceil()
		cv.text(cv.label, soft, x-width/2, cv.frame.Max.Y+lineHeight, t.Label)
	}
	width := font.MeasureString(cv.label, d.XLabel).Ceil()
	cv.text(cv.label, soft, (cv.frame.Min.X+cv.frame.Max.X-width)/2, bottom, d.XLabel)
}

// line draws a line through points, interrupted at gaps.
func (cv canvas) line(h hoverData, points []point, width float64, c color.Color) {
	x := axis{float64(h.X[0]), float64(h.X[1]), false}
	y := axis{float64(h.Y[0]), float64(h.Y[1]), h.Log}
	pen := stroke{vector.NewRasterizer(cv.frame.Dx(), cv.frame.Dy()), width / 2}
	from, drawing := point{}, false
	for _, p := range points {
		if p.gap() {
			drawing = false
			continue
		}
		to := point{x.at(p.x) * float64(cv.frame.Dx()), (1 - y.at(p.y)) * float64(cv.frame.Dy())}
		pen.dot(to)
		if drawing {
			pen.segment(from, to)
		}
		from, drawing = to, true
	}
	pen.Draw(cv.dst, cv.frame, image.NewUniform(c), image.Point{})
}

// stroke outlines thick lines. All outlines run the same way round, so that they add up where they
// overlap.
type stroke struct {
	*vector.Rasterizer
	radius float64
}

func (s stroke) segment(a, b point) {
	dx, dy := b.x-a.x, b.y-a.y
	length := math.Hypot(dx, dy)
	if length == 0 {
		return
	}
	nx, ny := -dy/length*s.radius, dx/length*s.radius
	s.polygon(point{a.x - nx, a.y - ny}, point{b.x - nx, b.y - ny}, point{b.x + nx, b.y + ny}, point{a.x + nx, a.y + ny})
}

// dot rounds the joint at a point.
func (s stroke) dot(p point) {
	const corners = 8
	var around [corners]point
	for i := range around {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / corners)
		around[i] = point{p.x + s.radius*cos, p.y + s.radius*sin}
	}
	s.polygon(around[:]...)
}

func (s stroke) polygon(points ...point) {
	s.MoveTo(float32(points[0].x), float32(points[0].y))
	for _, p := range points[1:] {
		s.LineTo(float32(p.x), float32(p.y))
	}
	s.ClosePath()
}
