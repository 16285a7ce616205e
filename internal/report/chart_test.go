package report

import (
	"fmt"
	"image"
	"math"
	"strings"
	"testing"
)

// countColour is the number of pixels in r of exactly the colour of a line.
func countColour(im *image.RGBA, r image.Rectangle, colour int) (n int) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if im.RGBAAt(x, y) == colours[colour] {
				n++
			}
		}
	}
	return n
}

func TestChartsDrawsEachLine(t *testing.T) {
	rising := Series{Name: "rising", X: []float64{0, 1, 2}, Y: []float64{1, 2, 3}}
	im, err := Charts(800, 240,
		Curve{Title: "Left", XLabel: "step", Series: []Series{rising, {Name: "flat", X: []float64{0, 2}, Y: []float64{2, 2}}}},
		Curve{Title: "Right", XLabel: "step", LogY: true, Smooth: 2, Series: []Series{rising}})
	if err != nil {
		t.Fatal(err)
	}
	left, right := image.Rect(0, 60, 400, 240), image.Rect(400, 60, 800, 240)
	// Each line is over 300 pixels long; some of its pixels are only partly covered.
	for _, tt := range []struct {
		name   string
		where  image.Rectangle
		colour int
		drawn  bool
	}{
		{"first line", left, 0, true}, {"second line", left, 1, true},
		{"line of the other chart", right, 0, true}, {"no second line there", right, 1, false},
	} {
		if n := countColour(im, tt.where, tt.colour); tt.drawn != (n >= 100) || !tt.drawn && n > 0 {
			t.Errorf("%s: %d pixels", tt.name, n)
		}
	}
	// The rising line begins at the bottom left and ends at the top right of its frame.
	frame := image.Rect(chartGap+tickColumn, 0, 400-chartGap-tickGap, 240)
	middle := (frame.Min.X + frame.Max.X) / 2
	lowLeft := countColour(im, image.Rect(frame.Min.X, 150, middle, 240), 0)
	lowRight := countColour(im, image.Rect(middle, 150, frame.Max.X, 240), 0)
	if lowLeft <= lowRight {
		t.Errorf("%d pixels of the rising line in the lower left quarter, %d in the lower right one", lowLeft, lowRight)
	}
}

func TestChartsWithoutValues(t *testing.T) {
	nan := math.NaN()
	for name, s := range map[string][]Series{
		"no series":       nil,
		"no points":       {{Name: "a"}},
		"nothing to show": {{Name: "a", X: []float64{0, 1}, Y: []float64{nan, -1}}},
		"one point":       {{Name: "a", X: []float64{3}, Y: []float64{2}}},
	} {
		if _, err := Charts(300, 200, Curve{Title: name, LogY: true, Series: s}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChartsRejects(t *testing.T) {
	for name, draw := range map[string]func() (*image.RGBA, error){
		"no curves": func() (*image.RGBA, error) { return Charts(800, 200) },
		"too small": func() (*image.RGBA, error) { return Charts(300, 200, Curve{}, Curve{}) },
		"unequal":   func() (*image.RGBA, error) { return Charts(300, 200, Curve{Series: []Series{{X: []float64{1}}}}) },
	} {
		if _, err := draw(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The page and the pictures must give a line the same colour.
func TestColoursAreThePages(t *testing.T) {
	for i, c := range colours {
		if want := fmt.Sprintf("--s%d: #%02x%02x%02x", i, c.R, c.G, c.B); !strings.Contains(pageCSS, want) {
			t.Errorf("page.css lacks %q", want)
		}
	}
}
