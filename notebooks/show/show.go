// Package show displays in a notebook what the packages of GoDCPT return: photos side by side, the
// curves of a training run while it runs, and the tables of an evaluation.
//
// Everything is shown as a picture or as Markdown, without scripts, so that a stored notebook looks
// the same on a web page, on paper and without a network. Outside a notebook nothing is shown.
package show

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"strconv"
	"strings"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"
	"golang.org/x/image/draw"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
)

// Photo is an image with its label.
type Photo struct {
	Label string
	Image *imageio.Image
}

// jpegQuality keeps noise and fine rain apart from what the encoder does, at a fifth of the size that
// a lossless picture takes in the notebook's file.
const jpegQuality = 92

// Photos shows images in rows of perRow, pixel for pixel, each below its label.
func Photos(perRow int, photos ...Photo) error {
	sheet, err := photoSheet(perRow, photos)
	if err != nil {
		return err
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, sheet, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return fmt.Errorf("cannot show the photos: %w", err)
	}
	display("", "image/jpeg", data.Bytes())
	return nil
}

// photoSheet stacks the rows.
func photoSheet(perRow int, photos []Photo) (*image.RGBA, error) {
	if perRow < 1 || len(photos) == 0 {
		return nil, fmt.Errorf("cannot show %d photos in rows of %d", len(photos), perRow)
	}
	var rows []*image.RGBA
	width, height := 0, 0
	for start := 0; start < len(photos); start += perRow {
		var panels []report.Panel
		for _, p := range photos[start:min(start+perRow, len(photos))] {
			if p.Image == nil {
				return nil, fmt.Errorf("cannot show the photo %q: there is no image", p.Label)
			}
			panels = append(panels, report.Panel{Label: p.Label, Image: imageio.ToStd(p.Image)})
		}
		row, err := report.SideBySide(panels...)
		if err != nil {
			return nil, fmt.Errorf("cannot show the photos: %w", err)
		}
		rows = append(rows, row)
		width, height = max(width, row.Bounds().Dx()), height+row.Bounds().Dy()
	}
	sheet := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	y := 0
	for _, row := range rows {
		draw.Draw(sheet, row.Bounds().Add(image.Pt(0, y)), row, image.Point{}, draw.Src)
		y += row.Bounds().Dy()
	}
	return sheet, nil
}

// Scores shows PSNR and SSIM of each set of an evaluation, of the degraded and the restored images.
func Scores(e *dcpt.Evaluation) error {
	if len(e.Sets) == 0 {
		return errors.New("cannot show the scores: the evaluation has none")
	}
	display("", protocol.MIMETextMarkdown, scoreTable(e))
	return nil
}

func scoreTable(e *dcpt.Evaluation) string {
	t := runreport.Results("", e)
	rows := t.Rows
	if t.Footer != nil {
		rows = append(rows, bold(t.Footer))
	}
	return table(t.Columns, rows) + "\n" + t.Note + "\n"
}

// Confusion shows what the classifier of an evaluation says of each kind of image.
func Confusion(e *dcpt.Evaluation) error {
	if e.Confusion == nil {
		return errors.New("cannot show the confusion matrix: the evaluation had no classifier")
	}
	display("", protocol.MIMETextMarkdown, confusionTable(e))
	return nil
}

func confusionTable(e *dcpt.Evaluation) string {
	columns := append([]string{"actual \\ predicted"}, e.Classes...)
	var rows [][]string
	total := 0
	for i, class := range e.Classes {
		row := []string{"**" + class + "**"}
		for k, count := range e.Confusion[i] {
			cell := strconv.Itoa(count)
			if i == k {
				cell = "**" + cell + "**"
			}
			row = append(row, cell)
			total += count
		}
		rows = append(rows, row)
	}
	return table(columns, rows) + fmt.Sprintf("\nRight: %.1f %% of %d images.\n", 100*e.Accuracy, total)
}

func bold(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = "**" + c + "**"
	}
	return out
}

// table returns a Markdown table; all columns but the first are set to the right.
func table(columns []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(columns)
	b.WriteString("|:--" + strings.Repeat("|--:", len(columns)-1) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// display sends content to the notebook: as a new output, or in place of the one with that id. It
// returns when the notebook has it, so that the end of the program cannot lose it.
func display(id string, mime protocol.MIMEType, content any) {
	if !gonbui.IsNotebook {
		return
	}
	gonbui.SendData(&protocol.DisplayData{Data: map[protocol.MIMEType]any{mime: content}, DisplayID: id})
	gonbui.Sync()
}
