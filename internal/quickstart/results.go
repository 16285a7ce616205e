package quickstart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/runreport"
)

// Files of the run folder beside report.html and the stages' folders.
const (
	resultsFile = "results.yaml" // all scores, to show them again
	summaryFile = "summary.json"
	csvFile     = "results.csv"
	imagesFile  = "images.csv"
	examplesDir = "examples"
)

// results are the scores of a run, and of which weights they are. A part that is nil is not known yet.
type results struct {
	Pretrained     string // SHA-256 of the weights file
	Finetuned      string
	Classification *dcpt.Evaluation
	Restoration    *dcpt.Evaluation
}

// readResults returns the results of an earlier run, as far as they are of the weights that are there
// and the pages made of them are still there; nil if there are none.
func (q *quickstart) readResults() *results {
	text, err := os.ReadFile(filepath.Join(q.Out, resultsFile))
	if err != nil {
		return nil
	}
	var r results
	if yaml.Unmarshal(text, &r) != nil || r.Pretrained != q.digest(dcpt.StagePretrain) {
		return nil
	}
	current := r.Finetuned == q.digest(dcpt.StageFinetune)
	for _, name := range []string{runreport.File, summaryFile, csvFile, imagesFile, examplesDir} {
		current = current && exists(filepath.Join(q.Out, name))
	}
	if !current {
		r.Finetuned, r.Restoration = "", nil
	}
	return &r
}

// digest is the SHA-256 of the weights of a stage; "" if there are none.
func (q *quickstart) digest(stage string) string {
	data, err := os.ReadFile(filepath.Join(q.Out, stage, dcpt.WeightsFile))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (q *quickstart) writeResults(r *results) error {
	text, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(q.Out, resultsFile), text)
}

// classify scores the classifier on the unseen images and records that.
func (q *quickstart) classify(ctx context.Context, m *dcpt.Model, r *results) (err error) {
	r.Pretrained = q.digest(dcpt.StagePretrain)
	if r.Classification, err = q.evaluate(ctx, "classifying", dcpt.Evaluator{Classifier: m}); err != nil {
		return err
	}
	return q.writeResults(r)
}

// restore scores the restorer on the unseen images, keeps examples, and writes everything there is to
// look at.
func (q *quickstart) restore(ctx context.Context, m *dcpt.Model, r *results) (err error) {
	r.Finetuned = q.digest(dcpt.StageFinetune)
	gallery := newGallery(q.recipe.Classes(), q.test)
	if r.Restoration, err = q.evaluate(ctx, "restoring", dcpt.Evaluator{Restorer: m, Observe: gallery.observe}); err != nil {
		return err
	}
	if err := gallery.addDegradedPhotos(m); err != nil {
		return err
	}
	if err := gallery.write(filepath.Join(q.Out, examplesDir)); err != nil {
		return err
	}
	for _, stage := range q.stages {
		switch stage.Run.Stage {
		case dcpt.StagePretrain:
			stage.Confusion = runreport.Confusion(r.Classification)
		case dcpt.StageFinetune:
			stage.Samples.Pairs = gallery.pairs
		}
		stage.Next = q.next()
		if _, err := stage.Write(); err != nil {
			return err
		}
	}
	if err := runreport.WriteSetsCSV(filepath.Join(q.Out, csvFile), r.Restoration); err != nil {
		return err
	}
	if err := runreport.WriteImagesCSV(filepath.Join(q.Out, imagesFile), r.Restoration); err != nil {
		return err
	}
	if err := q.clock.Save(); err != nil {
		return err
	}
	if err := q.writePage(r, gallery); err != nil {
		return err
	}
	if err := q.writeSummary(r); err != nil {
		return err
	}
	return q.writeResults(r)
}

// evaluate runs an evaluator on the test set with a progress bar.
func (q *quickstart) evaluate(ctx context.Context, title string, v dcpt.Evaluator) (*dcpt.Evaluation, error) {
	bar := progress.New(q.W, progress.Options{Title: title, Total: q.test.Len(), Unit: "images", Compiles: true})
	defer bar.Stop()
	observe, n := v.Observe, 0
	v.Observe = func(score dcpt.ImageScore, sample datasets.Sample, restored *imageio.Image) {
		n++
		bar.Step(n)
		if observe != nil {
			observe(score, sample, restored)
		}
	}
	e, err := v.Evaluate(ctx, q.test)
	if err != nil {
		return nil, err
	}
	bar.Finish()
	return e, nil
}

// summary is summary.json.
type summary struct {
	Degradations       map[string]degradationSummary `json:"degradations"`
	ClassifierAccuracy runreport.Figure              `json:"classifier_accuracy"` // 0 to 1
	Seconds            float64                       `json:"seconds"`             // over all processes
	PeakMemoryMB       float64                       `json:"peak_memory_mb"`
	Backend            string                        `json:"backend"`
}

// degradationSummary holds means over the unseen images; PSNR in dB.
type degradationSummary struct {
	PSNRDegraded runreport.Figure `json:"psnr_degraded"`
	PSNRRestored runreport.Figure `json:"psnr_restored"`
	SSIMDegraded runreport.Figure `json:"ssim_degraded"`
	SSIMRestored runreport.Figure `json:"ssim_restored"`
}

func (q *quickstart) writeSummary(r *results) error {
	cost, err := runreport.ReadCost(q.Out)
	if err != nil {
		return err
	}
	s := summary{
		Degradations:       map[string]degradationSummary{},
		ClassifierAccuracy: runreport.Figure(r.Classification.Accuracy),
		Seconds:            cost.Seconds,
		PeakMemoryMB:       cost.PeakMemoryMB,
		Backend:            q.Backend.Kind,
	}
	for _, set := range r.Restoration.Sets {
		s.Degradations[set.Name] = degradationSummary{
			runreport.Figure(set.PSNRDegraded), runreport.Figure(set.PSNRRestored), runreport.Figure(set.SSIMDegraded), runreport.Figure(set.SSIMRestored),
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the summary: %w", err)
	}
	return atomicfile.WriteBytes(filepath.Join(q.Out, summaryFile), append(text, '\n'))
}
