package quickstart

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
)

// overviewFile shows a part of every example in one small picture, for a README.
const overviewFile = "overview.png"

// overviewSide is the side of the parts in the overview, in pixels: five fit into the width of a page,
// and the file stays below 400 kB, though noise does not compress.
const overviewSide = 128

// example is a degraded image and what became of it.
type example struct {
	name                      string // file name without extension
	set                       string
	degraded, restored, clean *imageio.Image // clean is nil for a photo that came degraded
	gain                      float64        // of PSNR, dB
}

// gallery collects one image of every test set while they are evaluated, and the photos that came
// degraded.
type gallery struct {
	wanted   map[string]int // which image of each set, counted from 0
	seen     map[string]int
	examples []example
	pairs    []report.Pair
	err      error
}

// newGallery chooses another photo for every degradation.
func newGallery(classes []string, ds datasets.Dataset) *gallery {
	g := &gallery{wanted: map[string]int{}, seen: map[string]int{}}
	photos := max(ds.Len()/len(classes), 1)
	for i, class := range classes {
		g.wanted[class] = (photos - 1 + i) % photos
	}
	return g
}

// observe is told of every image that is evaluated.
func (g *gallery) observe(score dcpt.ImageScore, s datasets.Sample, restored *imageio.Image) {
	n := g.seen[score.Set]
	g.seen[score.Set]++
	if wanted, ok := g.wanted[score.Set]; !ok || n != wanted || g.err != nil {
		return
	}
	g.err = g.add(example{
		name: score.Set + "-" + stem(s.Name), set: score.Set,
		degraded: s.LQ, restored: restored, clean: s.GT, gain: score.PSNRRestored - score.PSNRDegraded,
	})
}

func stem(name string) string {
	base := path.Base(filepath.ToSlash(name))
	return strings.TrimSuffix(base, path.Ext(base))
}

func (g *gallery) add(e example) error {
	title := e.set
	if e.clean == nil {
		title = e.name
	}
	pair, err := runreport.NewPair(title, e.degraded, e.restored, e.clean)
	if err != nil {
		return err
	}
	if e.clean == nil {
		pair.Caption = "came degraded: there is no ground truth"
	}
	g.examples = append(g.examples, e)
	g.pairs = append(g.pairs, pair)
	return nil
}

// addDegradedPhotos restores the photos that came degraded.
func (g *gallery) addDegradedPhotos(m *dcpt.Model) error {
	if g.err != nil {
		return g.err
	}
	for _, name := range sample.DegradedImages() {
		data, err := sample.FS.ReadFile(name)
		if err != nil {
			return err
		}
		degraded, err := imageio.Decode(bytes.NewReader(data), name)
		if err != nil {
			return err
		}
		restored, err := m.Restore(degraded)
		if err != nil {
			return err
		}
		if err := g.add(example{name: stem(name), degraded: degraded, restored: restored}); err != nil {
			return err
		}
	}
	return nil
}

// write writes a picture of every example, and the overview.
func (g *gallery) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of examples: %w", err)
	}
	var above, below []report.Panel
	for _, e := range g.examples {
		panels := []report.Panel{
			{Label: "degraded", Image: imageio.ToStd(e.degraded)},
			{Label: "restored", Image: imageio.ToStd(e.restored)},
		}
		if e.clean != nil {
			panels = append(panels, report.Panel{Label: "clean", Image: imageio.ToStd(e.clean)})
			part := detailed(e.clean)
			above = append(above, report.Panel{Label: e.set, Image: crop(e.degraded, part)})
			below = append(below, report.Panel{Label: fmt.Sprintf("restored %+.1f dB", e.gain), Image: crop(e.restored, part)})
		}
		picture, err := report.SideBySide(panels...)
		if err != nil {
			return err
		}
		if err := writePNG(filepath.Join(dir, e.name+".png"), picture); err != nil {
			return err
		}
	}
	overview, err := stack(above, below)
	if err != nil {
		return err
	}
	return writePNG(filepath.Join(dir, overviewFile), overview)
}

// detailed returns where the part of the clean image lies that the overview shows: the one with most
// structure, as flat parts show little of blur or rain.
func detailed(im *imageio.Image) image.Rectangle {
	const stride = overviewSide / 8
	w, h := min(im.W, overviewSide), min(im.H, overviewSide)
	best, most := image.Rect(0, 0, w, h), float32(-1)
	for y := 0; y+h <= im.H; y += stride {
		for x := 0; x+w <= im.W; x += stride {
			part := image.Rect(x, y, x+w, y+h)
			if s := structure(im, part); s > most {
				best, most = part, s
			}
		}
	}
	return best
}

// structure is the sum of the differences between neighbours in a row.
func structure(im *imageio.Image, part image.Rectangle) (sum float32) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		row := im.Pix[(y*im.W+part.Min.X)*3 : (y*im.W+part.Max.X)*3]
		for i := 3; i < len(row); i++ {
			sum += max(row[i]-row[i-3], row[i-3]-row[i])
		}
	}
	return sum
}

func crop(im *imageio.Image, part image.Rectangle) image.Image {
	return imageio.ToStd(im.Crop(part.Min.X, part.Min.Y, part.Dx(), part.Dy()))
}

// stack puts two rows of pictures one above the other.
func stack(above, below []report.Panel) (image.Image, error) {
	top, err := report.SideBySide(above...)
	if err != nil {
		return nil, err
	}
	bottom, err := report.SideBySide(below...)
	if err != nil {
		return nil, err
	}
	height := top.Bounds().Dy()
	out := image.NewRGBA(image.Rect(0, 0, max(top.Bounds().Dx(), bottom.Bounds().Dx()), height+bottom.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, top.Bounds(), top, image.Point{}, draw.Src)
	draw.Draw(out, bottom.Bounds().Add(image.Pt(0, height)), bottom, image.Point{}, draw.Src)
	return out, nil
}

func writePNG(path string, picture image.Image) error {
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	return atomicfile.Write(path, 0o644, func(w io.Writer) error { return encoder.Encode(w, picture) })
}

// writePage writes report.html of the whole run.
func (q *quickstart) writePage(r *results, g *gallery) error {
	cost, err := runreport.ReadCost(q.Out)
	if err != nil {
		return err
	}
	facts := runreport.NetworkFacts(q.recipe, q.stages[0].Model)
	facts = append(facts, report.Fact{Name: "Degradations", Value: strings.Join(q.recipe.Classes(), ", ")})
	page := report.Report{
		Title:    "DCPT quickstart",
		Subtitle: q.recipe.Description,
		Tables:   []report.Table{runreport.Results("Results on unseen images", r.Restoration)},
		Pairs:    g.pairs,
		Next:     q.next(),
	}
	for _, stage := range q.stages {
		config, err := q.recipe.Stage(stage.Run.Stage)
		if err != nil {
			return err
		}
		facts = append(facts, report.Fact{
			Name:  map[string]string{dcpt.StagePretrain: "Pre-training", dcpt.StageFinetune: "Fine-tuning"}[stage.Run.Stage],
			Value: fmt.Sprintf("%d iterations, batch %d, patches of %d px, %s", config.Steps, config.Batch, config.Patch, runreport.Duration(stage.Cost.Seconds)),
		})
		curves, err := runreport.MainCurves(q.Out, stage.Run.Stage)
		if err != nil {
			return err
		}
		page.Curves = append(page.Curves, curves...)
	}
	mean := r.Restoration.Mean()
	facts = append(facts,
		report.Fact{Name: "Mean gain", Value: fmt.Sprintf("%+.2f dB", mean.PSNRRestored-mean.PSNRDegraded)},
		report.Fact{Name: "Classifier", Value: fmt.Sprintf("%.1f %% right (chance %.0f %%)", 100*r.Classification.Accuracy, 100/float64(len(r.Classification.Classes)))})
	page.Facts = append(facts, runreport.CostFacts(cost, runreport.Device(q.Backend))...)
	page.Confusion = runreport.Confusion(r.Classification)
	var protocol []string
	for _, f := range runreport.Protocol(r.Restoration.Protocol, q.stages[0].Model.Network) {
		protocol = append(protocol, f.Name+": "+f.Value)
	}
	page.Tables[0].Note = "PSNR in dB. " + strings.Join(protocol, "; ") + "."
	return report.Write(filepath.Join(q.Out, runreport.File), page)
}
