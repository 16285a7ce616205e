// Package runreport shows what a training run has come to: report.html in its folder, tables of scores
// for terminals and files, and what it took.
package runreport

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/dcpt/metrics"
	"github.com/godcpt/godcpt/internal/report"
)

// File is the name of the page in the folder of a run or of a stage.
const File = "report.html"

// Stage is a finished stage to report on.
type Stage struct {
	Run       *dcpt.Run
	Model     *dcpt.Model // the stage's
	Backend   string      // what it was computed on, for people
	Cost      Cost
	Samples   Samples
	Confusion *report.Matrix // of the classifier; nil for none
	Next      []report.Command
}

// Write writes the page of the stage into its folder and returns the page's path.
func (s Stage) Write() (path string, err error) {
	curves, err := Curves(s.Run.Dir, s.Run.Stage)
	if err != nil {
		return "", err
	}
	facts, err := s.Facts()
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.Run.Dir, s.Run.Stage, File)
	return path, report.Write(path, report.Report{
		Title:     fmt.Sprintf("%s: %s", stageTitle[s.Run.Stage], s.Run.Recipe.Name),
		Subtitle:  s.Run.Recipe.Description,
		Facts:     facts,
		Tables:    s.Samples.Tables,
		Pairs:     s.Samples.Pairs,
		Curves:    curves,
		Confusion: s.Confusion,
		Next:      s.Next,
	})
}

// Facts are what a stage was made of and what it took.
func (s Stage) Facts() ([]report.Fact, error) {
	config, err := s.Run.Recipe.Stage(s.Run.Stage)
	if err != nil {
		return nil, err
	}
	facts := append(NetworkFacts(s.Run.Recipe, s.Model),
		report.Fact{Name: "Iterations", Value: fmt.Sprintf("%d, batch %d, patches of %s px", s.Model.Info.Iteration, config.Batch*max(config.Accumulate, 1), patches(s.Run.Recipe, config))},
		report.Fact{Name: "Method", Value: config.Method},
		report.Fact{Name: "Classes", Value: strings.Join(s.Model.Info.Classes, ", ")})
	if s.Run.From != "" {
		facts = append(facts, report.Fact{Name: "Started from", Value: s.Run.From})
	}
	if best := s.Model.Info.Best; best != nil {
		facts = append(facts, report.Fact{Name: "Best validation", Value: fmt.Sprintf("%.4g at iteration %d", best.Value, best.Iteration)})
	}
	if n := len(s.Run.Skipped); n > 0 {
		facts = append(facts, report.Fact{Name: "Damaged files skipped", Value: fmt.Sprintf("%d: %s", n, skippedFiles(s.Run.Skipped))})
	}
	return append(facts, CostFacts(s.Cost, s.Backend)...), nil
}

// patches lists the sides of the training crops.
func patches(r *dcpt.Recipe, config dcpt.StageConfig) string {
	var sides []string
	for _, set := range r.Data.Train {
		side := fmt.Sprint(cmp.Or(set.Patch, config.Patch))
		if !slices.Contains(sides, side) {
			sides = append(sides, side)
		}
	}
	return strings.Join(sides, ", ")
}

// skippedFiles names the first few of the files.
func skippedFiles(files []string) string {
	const show = 5
	names := slices.Clone(files[:min(show, len(files))])
	if more := len(files) - show; more > 0 {
		names = append(names, fmt.Sprintf("and %d more, which log.txt names", more))
	}
	return strings.Join(names, ", ")
}

// NetworkFacts describe the network of a recipe.
func NetworkFacts(r *dcpt.Recipe, m *dcpt.Model) []report.Fact {
	name := fmt.Sprint(m.Info.Network["arch"])
	if preset, ok := r.Network["preset"]; ok {
		name = fmt.Sprint(preset)
		if len(r.Network) > 1 {
			name += ", changed"
		}
	}
	return []report.Fact{{Name: "Network", Value: name}, {Name: "Parameters", Value: Thousands(m.Parameters())}}
}

// CostFacts tell what was taken, and on what.
func CostFacts(c Cost, backend string) []report.Fact {
	took := Duration(c.Seconds)
	if c.Processes > 1 {
		took += fmt.Sprintf(", in %d sessions", c.Processes)
	}
	facts := []report.Fact{{Name: "Time", Value: took}}
	if c.PeakMemoryMB > 0 {
		facts = append(facts, report.Fact{Name: "Peak memory", Value: fmt.Sprintf("%.0f MB", c.PeakMemoryMB)})
	}
	return append(facts, report.Fact{Name: "Backend", Value: backend})
}

// Thousands writes a count with thin gaps: 67 888 835.
func Thousands(n int) string {
	digits := fmt.Sprint(n)
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, " ")
}

// Samples are what a network makes of one image of each test set.
type Samples struct {
	Tables []report.Table
	Pairs  []report.Pair
}

// samplePatch is the side of the centre crops that samples are.
const samplePatch = 256

// NewSamples runs a model on the centre of the first image of every test set of a recipe. A network
// that was pre-trained is asked for the degradation, a fine-tuned one restores.
func NewSamples(ctx context.Context, r *dcpt.Recipe, stage string, m *dcpt.Model) (Samples, error) {
	var s Samples
	var rows [][]string
	for i, set := range r.Data.Test {
		if ctx.Err() != nil {
			return s, dcpt.ErrInterrupted
		}
		// The set alone, with the seed that it has among the others: not all of them need opening.
		single := *r
		single.Data.Test, single.Seed = r.Data.Test[i:i+1], r.Seed+int64(i)
		ds, err := single.ValidationSet(samplePatch)
		if err != nil {
			return s, err
		}
		sample, err := ds.Sample(0, 0)
		if err != nil {
			return s, err
		}
		if stage == dcpt.StagePretrain {
			row, err := classified(m, set.Name, sample.LQ)
			if err != nil {
				return s, err
			}
			rows = append(rows, append(row, sample.Name))
			continue
		}
		restored, err := m.Restore(sample.LQ)
		if err != nil {
			return s, err
		}
		pair, err := NewPair(set.Name, sample.LQ, restored, sample.GT)
		if err != nil {
			return s, err
		}
		pair.Caption = sample.Name + ", " + pair.Caption
		s.Pairs = append(s.Pairs, pair)
	}
	if rows != nil {
		s.Tables = append(s.Tables, report.Table{
			Title:   "One unseen image of each degradation",
			Columns: []string{"Shows", "Classified as", "Probability", "Image"}, Rows: rows,
			Note: "Told from the network's features alone; the classifier does not see the image. Pre-training does not teach to restore.",
		})
	}
	return s, nil
}

// classified is a row of the table of samples: what the image shows and what the classifier says.
func classified(m *dcpt.Model, shows string, im *imageio.Image) ([]string, error) {
	probabilities, err := m.Classify(im)
	if err != nil {
		return nil, err
	}
	best := slices.Index(probabilities, slices.Max(probabilities))
	return []string{shows, m.Info.Classes[best], fmt.Sprintf("%.1f %%", 100*probabilities[best])}, nil
}

// NewPair is a degraded and a restored image for a page, with the clean one (nil if there is none) and
// the scores against it.
func NewPair(title string, degraded, restored, clean *imageio.Image) (report.Pair, error) {
	pair := report.Pair{Title: title, Before: imageio.ToStd(degraded), After: imageio.ToStd(restored)}
	if clean == nil {
		return pair, nil
	}
	pair.Truth = imageio.ToStd(clean)
	before, err := metrics.PSNR(degraded, clean, metrics.Options{})
	if err != nil {
		return pair, err
	}
	after, err := metrics.PSNR(restored, clean, metrics.Options{})
	if err != nil {
		return pair, err
	}
	pair.Caption = fmt.Sprintf("%.2f dB → %.2f dB", before, after)
	return pair, nil
}
