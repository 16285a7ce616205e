// Package report writes the result of a run for people to look at: a self-contained HTML page with
// figures, curves and before/after pictures, and pictures that stand side by side in one file.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"image"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/godcpt/godcpt/internal/atomicfile"
)

// Report is the content of a page, in the order in which it is shown. Parts that are empty are left
// out. All text is plain text.
type Report struct {
	Title     string
	Subtitle  string
	Facts     []Fact
	Tables    []Table
	Pairs     []Pair
	Curves    []Curve
	Confusion *Matrix
	Next      []Command
}

// Fact is one entry of the summary at the top.
type Fact struct {
	Name, Value string
}

// Table is a table of texts. Columns in which every cell is a number are set to the right.
type Table struct {
	Title   string
	Note    string // stands below the table
	Columns []string
	Rows    [][]string // one cell per column; the first names the row
	Footer  []string   // a last row that is set apart, such as the mean; nil for none
	// Signed names the columns whose numbers are marked as good or bad by their sign.
	Signed []string
}

// Score is the result for one degradation: PSNR in dB and SSIM, means over the images, of the
// degraded input and of the restored image.
type Score struct {
	Name                       string
	Images                     int
	PSNRDegraded, PSNRRestored float64
	SSIMDegraded, SSIMRestored float64
}

// Results returns the table of scores per degradation with the gain of restoring. The footer is the
// mean over the degradations, each counting the same as in the tables of the paper.
func Results(title string, scores []Score) Table {
	t := Table{
		Title:   title,
		Columns: []string{"Degradation", "Images", "PSNR degraded", "PSNR restored", "PSNR gain", "SSIM degraded", "SSIM restored", "SSIM gain"},
		Signed:  []string{"PSNR gain", "SSIM gain"},
		Note:    "PSNR in dB.",
	}
	mean := Score{Name: "Mean"}
	for _, s := range scores {
		t.Rows = append(t.Rows, s.cells())
		mean.Images += s.Images
		mean.PSNRDegraded += s.PSNRDegraded / float64(len(scores))
		mean.PSNRRestored += s.PSNRRestored / float64(len(scores))
		mean.SSIMDegraded += s.SSIMDegraded / float64(len(scores))
		mean.SSIMRestored += s.SSIMRestored / float64(len(scores))
	}
	if len(scores) > 1 {
		t.Footer = mean.cells()
	}
	return t
}

func (s Score) cells() []string {
	return []string{
		s.Name, strconv.Itoa(s.Images),
		decimal(s.PSNRDegraded, 2), decimal(s.PSNRRestored, 2), signed(s.PSNRRestored-s.PSNRDegraded, 2),
		decimal(s.SSIMDegraded, 4), decimal(s.SSIMRestored, 4), signed(s.SSIMRestored-s.SSIMDegraded, 4),
	}
}

// decimal formats v with that many decimals; an image equal to its ground truth has infinite PSNR.
func decimal(v float64, decimals int) string {
	switch {
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	case math.IsNaN(v):
		return "–"
	}
	return strings.Replace(strconv.FormatFloat(v, 'f', decimals, 64), "-", "−", 1)
}

// signed is decimal with a sign in front, unless what is shown is zero.
func signed(v float64, decimals int) string {
	s := decimal(v, decimals)
	switch strings.Trim(s, "−0.") {
	case "":
		return strings.TrimPrefix(s, "−")
	case "–":
		return s
	}
	if v > 0 {
		return "+" + s
	}
	return s
}

// Matrix is the confusion matrix of a classifier.
type Matrix struct {
	Title   string
	Classes []string
	Counts  [][]int // [actual class][predicted class]
}

// Pair is an image before and after restoring, shown with a slider between the two.
type Pair struct {
	Title   string
	Before  image.Image
	After   image.Image
	Truth   image.Image // ground truth, shown on demand; nil if there is none
	Caption string
}

// Command is something to do next: what it is for and the command line to copy.
type Command struct {
	Text, Command string
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// Write writes the page to path, atomically. The page needs no other file and no network; equal
// reports give equal bytes.
func Write(path string, r Report) error {
	p, err := newPage(r)
	if err != nil {
		return fmt.Errorf("cannot write the report %s: %w", path, err)
	}
	return atomicfile.Write(path, 0o644, func(w io.Writer) error {
		return page().Execute(w, p)
	})
}

// pageData is a report prepared for the template.
type pageData struct {
	Title, Subtitle string
	Style           template.CSS
	Script          template.JS
	Facts           []Fact
	Tables          []tableData
	Pairs           []pairData
	Curves          []curveData
	Confusion       *matrixData
	Next            []Command
}

func newPage(r Report) (*pageData, error) {
	p := &pageData{
		Title: r.Title, Subtitle: r.Subtitle,
		Style: template.CSS(pageCSS), Script: template.JS(pageJS),
		Facts: r.Facts, Next: r.Next,
	}
	for _, t := range r.Tables {
		d, err := newTable(t)
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", t.Title, err)
		}
		p.Tables = append(p.Tables, d)
	}
	for _, pair := range r.Pairs {
		d, err := newPair(pair)
		if err != nil {
			return nil, fmt.Errorf("images %q: %w", pair.Title, err)
		}
		p.Pairs = append(p.Pairs, d)
	}
	for _, c := range r.Curves {
		d, err := newCurve(c)
		if err != nil {
			return nil, fmt.Errorf("curve %q: %w", c.Title, err)
		}
		p.Curves = append(p.Curves, d)
	}
	if r.Confusion != nil {
		d, err := newMatrix(*r.Confusion)
		if err != nil {
			return nil, fmt.Errorf("confusion matrix: %w", err)
		}
		p.Confusion = d
	}
	return p, nil
}
