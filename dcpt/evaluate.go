package dcpt

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt/metrics"
	"github.com/godcpt/godcpt/internal/parallel"
)

// ImageScore is the score of one image: PSNR in dB and SSIM of the degraded and of the restored image
// against the clean one, by the protocol in Evaluation.
type ImageScore struct {
	Set, Name                  string
	PSNRDegraded, PSNRRestored float64
	SSIMDegraded, SSIMRestored float64
	Predicted                  string // degradation named by the classifier, "" without one
}

// SetScore is the mean over the images of a set.
type SetScore struct {
	Name                       string
	Images                     int
	PSNRDegraded, PSNRRestored float64
	SSIMDegraded, SSIMRestored float64
	Accuracy                   float64 // of the classifier, 0 to 1
}

// Evaluation is the result of Evaluator.Evaluate.
type Evaluation struct {
	Protocol  metrics.Options
	Images    []ImageScore
	Sets      []SetScore
	Accuracy  float64  // of the classifier over all images, 0 to 1
	Classes   []string // of Confusion
	Confusion [][]int  // [actual][predicted]; nil without a classifier
}

// Mean returns the means over the sets, each counting the same, as in the paper's tables.
func (e *Evaluation) Mean() SetScore {
	mean := SetScore{Name: "mean", Accuracy: e.Accuracy}
	share := 1 / float64(len(e.Sets))
	for _, s := range e.Sets {
		mean.Images += s.Images
		mean.PSNRDegraded += share * s.PSNRDegraded
		mean.PSNRRestored += share * s.PSNRRestored
		mean.SSIMDegraded += share * s.SSIMDegraded
		mean.SSIMRestored += share * s.SSIMRestored
	}
	return mean
}

// Evaluator scores models on data sets by the official protocol (parity README, section 7): values
// rounded to 8 bits, mean of the per-image values of each class of the data set.
type Evaluator struct {
	Restorer   *Model          // nil: nothing is restored, the scores of the restored images stay 0
	Classifier *Model          // its classifier is scored, on the features of its network; nil: nothing is classified
	Protocol   metrics.Options // the zero value is that of the 5D tables

	// Observe, if not nil, is told of each image; restored is nil without a restorer.
	Observe func(score ImageScore, sample datasets.Sample, restored *imageio.Image)
}

// Evaluate scores every sample of a data set.
func (v Evaluator) Evaluate(ctx context.Context, ds datasets.Dataset) (*Evaluation, error) {
	e := &Evaluation{Protocol: v.Protocol}
	classes := ds.Classes()
	if v.Classifier != nil {
		e.Classes = v.Classifier.Info.Classes
		e.Confusion = make([][]int, len(e.Classes))
		for i := range e.Confusion {
			e.Confusion[i] = make([]int, len(e.Classes))
		}
	}
	// Of three images one is read, one restored and one scored at a time.
	nextSample, stop := iter.Pull2(parallel.Ahead(ctx, ds.Len(), func(i int) (datasets.Sample, error) { return ds.Sample(0, i) }))
	defer stop()
	for p, err := range parallel.Ahead(ctx, ds.Len(), func(int) (pass, error) {
		sample, err, _ := nextSample()
		if err != nil {
			return pass{}, err
		}
		return v.pass(sample)
	}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		score, err := v.score(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.sample.Name, err)
		}
		score.Set = classes[p.sample.Label]
		if v.Classifier != nil {
			score.Predicted = e.count(p.probabilities, score.Set)
		}
		e.Images = append(e.Images, score)
		if v.Observe != nil {
			v.Observe(score, p.sample, p.restored)
		}
	}
	e.summarise(classes)
	return e, nil
}

// pass is what the networks make of a sample.
type pass struct {
	sample        datasets.Sample
	restored      *imageio.Image // nil without a restorer
	probabilities []float32      // of the degradations; nil without a classifier
}

// pass runs the networks on a sample.
func (v Evaluator) pass(sample datasets.Sample) (p pass, err error) {
	p.sample = sample
	if v.Restorer != nil {
		p.restored, err = v.Restorer.Restore(sample.LQ)
	}
	if v.Classifier != nil && err == nil {
		p.probabilities, err = v.Classifier.Classify(sample.LQ)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", sample.Name, err)
	}
	return p, err
}

// score compares what was restored, if anything was.
func (v Evaluator) score(p pass) (score ImageScore, err error) {
	score.Name = p.sample.Name
	if p.restored == nil {
		return score, nil
	}
	for _, part := range []struct {
		im         *imageio.Image
		psnr, ssim *float64
	}{{p.sample.LQ, &score.PSNRDegraded, &score.SSIMDegraded}, {p.restored, &score.PSNRRestored, &score.SSIMRestored}} {
		if *part.psnr, err = metrics.PSNR(part.im, p.sample.GT, v.Protocol); err != nil {
			return score, err
		}
		if *part.ssim, err = metrics.SSIM(part.im, p.sample.GT, v.Protocol); err != nil {
			return score, err
		}
	}
	return score, nil
}

// count names the likeliest degradation, and counts it if the classifier knows that of the set.
func (e *Evaluation) count(probabilities []float32, actual string) (predicted string) {
	best := slices.Index(probabilities, slices.Max(probabilities))
	if row := slices.Index(e.Classes, actual); row >= 0 {
		e.Confusion[row][best]++
	}
	return e.Classes[best]
}

// summarise fills in the means, in the order of the data set's classes.
func (e *Evaluation) summarise(classes []string) {
	right, counted := 0, 0
	for _, class := range classes {
		set := SetScore{Name: class}
		hits := 0
		for _, im := range e.Images {
			if im.Set != class {
				continue
			}
			set.Images++
			set.PSNRDegraded += im.PSNRDegraded
			set.PSNRRestored += im.PSNRRestored
			set.SSIMDegraded += im.SSIMDegraded
			set.SSIMRestored += im.SSIMRestored
			if im.Predicted == class {
				hits++
			}
		}
		if set.Images == 0 {
			continue
		}
		n := float64(set.Images)
		set.PSNRDegraded, set.PSNRRestored = set.PSNRDegraded/n, set.PSNRRestored/n
		set.SSIMDegraded, set.SSIMRestored = set.SSIMDegraded/n, set.SSIMRestored/n
		if slices.Contains(e.Classes, class) {
			set.Accuracy = float64(hits) / n
			right, counted = right+hits, counted+set.Images
		}
		e.Sets = append(e.Sets, set)
	}
	if counted > 0 {
		e.Accuracy = float64(right) / float64(counted)
	}
}
