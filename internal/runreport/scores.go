package runreport

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/dcpt/metrics"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/mattn/go-runewidth"
)

// Results is the table of scores per degradation.
func Results(title string, e *dcpt.Evaluation) report.Table {
	var scores []report.Score
	for _, s := range e.Sets {
		scores = append(scores, report.Score{
			Name: s.Name, Images: s.Images,
			PSNRDegraded: s.PSNRDegraded, PSNRRestored: s.PSNRRestored,
			SSIMDegraded: s.SSIMDegraded, SSIMRestored: s.SSIMRestored,
		})
	}
	return report.Results(title, scores)
}

// WriteTable writes a table as text with aligned columns, its title and note left out.
func WriteTable(w io.Writer, t report.Table, indent string) error {
	rows := append([][]string{t.Columns}, t.Rows...)
	if t.Footer != nil {
		rows = append(rows, t.Footer)
	}
	widths := make([]int, len(t.Columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(indent)
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell))
			switch {
			case i == 0: // the name of the row; the others are numbers
				b.WriteString(cell + pad)
			default:
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteSetsCSV writes the means of every set to a file, atomically.
func WriteSetsCSV(path string, e *dcpt.Evaluation) error {
	rows := [][]string{{"set", "images", "psnr_degraded", "psnr_restored", "ssim_degraded", "ssim_restored"}}
	for _, s := range append(e.Sets, e.Mean()) {
		rows = append(rows, []string{
			s.Name, strconv.Itoa(s.Images), number(s.PSNRDegraded), number(s.PSNRRestored), number(s.SSIMDegraded), number(s.SSIMRestored),
		})
	}
	return writeCSV(path, rows)
}

// WriteImagesCSV writes the scores of every image to a file, atomically.
func WriteImagesCSV(path string, e *dcpt.Evaluation) error {
	rows := [][]string{{"set", "image", "psnr_degraded", "psnr_restored", "ssim_degraded", "ssim_restored", "classified_as"}}
	for _, im := range e.Images {
		rows = append(rows, []string{
			im.Set, im.Name, number(im.PSNRDegraded), number(im.PSNRRestored), number(im.SSIMDegraded), number(im.SSIMRestored), im.Predicted,
		})
	}
	return writeCSV(path, rows)
}

func writeCSV(path string, rows [][]string) error {
	return atomicfile.Write(path, 0o644, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(rows) })
}

// number writes a score with as many digits as anybody compares.
func number(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

// Figure is a score in JSON, which has no infinity: the PSNR of equal images becomes null.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(f), 0) || math.IsNaN(float64(f)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// Protocol describes, in a line per point, how scores were computed: figures of other programs can only
// be compared where these agree.
func Protocol(o metrics.Options, network dcpt.Network) []report.Fact {
	channel, crop := "RGB", "none"
	if o.Y {
		channel = "Y (BT.601 luma of the 8-bit values, 16 to 235)"
	}
	if o.CropBorder > 0 {
		crop = fmt.Sprintf("%d pixels at each side", o.CropBorder)
	}
	return []report.Fact{
		{Name: "channel", Value: channel},
		{Name: "crop", Value: crop},
		{Name: "rounding", Value: "clamped to [0, 1], times 255, half to even, 8 bits"},
		{Name: "decoder", Value: "8-bit RGB as OpenCV reads it (JPEG: libjpeg-turbo's pixels)"},
		{Name: "padding", Value: fmt.Sprintf("reflection at the bottom and right to a multiple of %d, cut off again", network.SizeMultiple())},
		{Name: "means", Value: "over the images of a set; the last line over the sets"},
	}
}

// Confusion is the matrix of a classifier; nil where nothing was classified.
func Confusion(e *dcpt.Evaluation) *report.Matrix {
	if e.Confusion == nil {
		return nil
	}
	return &report.Matrix{Title: "What the classifier says", Classes: e.Classes, Counts: e.Confusion}
}
