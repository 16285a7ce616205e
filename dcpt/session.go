package dcpt

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/report"
)

// session is one process working on a stage.
type session struct {
	run        *Run
	config     StageConfig
	dir        string
	backend    compute.Backend
	store      *model.Store
	info       CheckpointInfo
	trainer    *Trainer
	loader     *datasets.Loader
	validation datasets.Dataset // nil: no validation
	validator  *Model           // on the session's weights
	journal    *journal
	figures    *figures
	bar        *progress.Bar
	accuracy   float64 // running mean over the last iterations, for the bar
}

// accuracyWeight is the share of the newest batch in the running mean of the accuracy.
const accuracyWeight = 0.05

// validationPatch is the side of the centre crops on which a stage is validated while it runs: 256
// pixels, less where training crops are tiny.
func (c StageConfig) validationPatch() int { return min(256, max(64, 4*c.Patch)) }

func (s *session) close() error {
	var errs []error
	if s.loader != nil {
		s.loader.Close()
	}
	if s.validator != nil {
		s.validator.Close()
	}
	if s.trainer != nil {
		s.trainer.Close()
	}
	if s.figures != nil {
		errs = append(errs, s.figures.close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.close())
	}
	return errors.Join(errs...)
}

// train runs the iterations that are left, and writes the weights to use.
func (s *session) train(ctx context.Context) error {
	weights := filepath.Join(s.dir, WeightsFile)
	if s.info.Finished && exists(weights) {
		return nil
	}
	if !s.info.Finished {
		if err := s.loop(ctx); err != nil {
			return err
		}
		s.info.Finished = true
		if err := s.save(); err != nil {
			return err
		}
	}
	info := s.info
	info.Skipped = nil
	return saveCheckpoint(weights, s.store, s.weightScopes(), info)
}

// weightScopes are what is needed to use the model: not the optimizer's state, nor the raw weights
// where there is an average of them.
func (s *session) weightScopes() []string {
	return []string{s.trainer.BestWeightsScope(), averageOr(s.store, ClassifierScope)}
}

func (s *session) loop(ctx context.Context) error {
	s.bar = progress.New(s.run.Out, progress.Options{
		Title: s.run.Stage, Total: s.config.Steps, Start: s.info.Iteration,
		Batch: s.config.Batch * s.trainer.Passes(), Compiles: true,
	})
	s.journal.setBar(s.bar)
	defer s.journal.setBar(nil)
	if s.info.Iteration > 0 {
		s.journal.message(fmt.Sprintf("resuming at iteration %d of %d", s.info.Iteration, s.config.Steps))
	}
	s.compileAhead()
	for s.info.Unrecorded != nil || s.trainer.Iteration < s.config.Steps {
		if ctx.Err() != nil {
			return s.interrupt()
		}
		if err := s.iterate(ctx); err != nil {
			s.bar.Stop()
			return err
		}
	}
	s.bar.Finish()
	if len(s.info.Skipped) > 0 {
		s.journal.message(s.run.Recipe.skippedSummary(s.info.Skipped))
	}
	return nil
}

// compileAhead compiles while the loader prepares the first batches, if all are of one size.
func (s *session) compileAhead() {
	if slices.ContainsFunc(s.run.Recipe.Data.Train, func(set Set) bool { return set.Patch != 0 }) {
		return
	}
	go func() {
		_ = s.trainer.compile(batchSize{s.config.Batch, s.config.Patch, s.config.Patch}) // Step reports what goes wrong
	}()
}

// interrupt saves everything so that the run can go on later.
func (s *session) interrupt() error {
	s.bar.Stop()
	if err := s.save(); err != nil {
		return errors.Join(ErrInterrupted, err)
	}
	s.journal.message(fmt.Sprintf("interrupted and saved at iteration %d", s.trainer.Iteration))
	return ErrInterrupted
}

// iterate does one iteration and what is due after it; where an interrupted run left off between the
// two, only the latter.
func (s *session) iterate(ctx context.Context) error {
	if s.info.Unrecorded == nil {
		if err := s.step(); err != nil {
			return err
		}
	}
	return s.record(ctx)
}

// step takes the optimizer's step, and leaves its figures to record.
func (s *session) step() error {
	batches := make([]*datasets.Batch, s.trainer.Passes())
	for i := range batches {
		var err error
		if batches[i], err = s.loader.Next(); err != nil {
			return errors.Join(s.run.Recipe.adviseOnDamaged(err), s.save())
		}
		s.recordSkipped(batches[i].Skipped)
	}
	compiled := func() {}
	if s.trainer.compilesAnew(batches) {
		compiled = s.compiling()
	}
	result, err := s.trainer.Step(batches...)
	compiled()
	var notFinite *NotFiniteError
	if errors.As(err, &notFinite) {
		return s.stopOnNaN(notFinite)
	}
	if err != nil {
		return err
	}
	s.info.Unrecorded = s.values(result)
	s.bar.Step(result.Iteration, s.fields(result)...)
	return nil
}

// recordSkipped takes files into the account of the run, and names those that are new to it: sets may
// have files in common.
func (s *session) recordSkipped(skipped []datasets.Skipped) {
	for _, one := range skipped {
		if !slices.ContainsFunc(s.info.Skipped, func(known datasets.Skipped) bool { return known.File == one.File }) {
			s.journal.message(fmt.Sprintf("skipped: %v", one.Err))
		}
		s.info.Skipped = append(s.info.Skipped, one)
	}
}

// compiling shows that an iteration waits for the compiler, until the function it returns is called.
func (s *session) compiling() (compiled func()) {
	resume, started := s.bar.Pause("compiling"), time.Now()
	return func() {
		resume()
		s.bar.Note(fmt.Sprintf("compiled for another size of patches in %.1f s", time.Since(started).Seconds()))
	}
}

// record does what is due after an iteration: validation, figures, checkpoint. When it is interrupted
// while validating, the figures stay unrecorded, for the resumed run to validate and record.
func (s *session) record(ctx context.Context) error {
	iteration := s.trainer.Iteration
	if due(iteration, s.config.ValidateEvery) && s.validation != nil {
		err := s.validate(ctx, s.info.Unrecorded)
		if errors.Is(err, ErrInterrupted) {
			return nil // the loop saves and stops
		}
		if err != nil {
			return err
		}
	}
	if err := s.figures.add(iteration, s.info.Unrecorded); err != nil {
		return err
	}
	s.info.Unrecorded = nil
	if due(iteration, s.config.SaveEvery) && iteration < s.config.Steps {
		return s.save()
	}
	return nil
}

func due(iteration, every int) bool { return every > 0 && iteration%every == 0 }

// stopOnNaN saves the last good weights, which the refused step has not touched.
func (s *session) stopOnNaN(problem *NotFiniteError) error {
	if err := s.save(); err != nil {
		return errors.Join(problem, err)
	}
	return fmt.Errorf("%w. The weights of iteration %d are saved in %s", problem, s.trainer.Iteration, filepath.Join(s.dir, checkpointDir))
}

func (s *session) values(r StepResult) map[string]float64 {
	values := map[string]float64{}
	if s.config.trainsNetwork() {
		values[columnPixel], values[columnGradNorm], values[columnLR] = r.Pixel, r.GradNorm, r.LearningRates[0]
	}
	if s.config.classifies() {
		values[columnClassify], values[columnAccuracy] = r.Classify, r.Accuracy
	}
	if s.config.trainsClassifier() {
		values[columnClassifyNorm], values[columnClassifierLR] = r.ClassifyNorm, r.LearningRates[len(r.LearningRates)-1]
	}
	return values
}

// fields are what the progress bar shows.
func (s *session) fields(r StepResult) []progress.Field {
	var fields []progress.Field
	if s.config.trainsNetwork() {
		fields = append(fields, progress.Field{Name: "pixel", Value: fmt.Sprintf("%.4f", r.Pixel)})
	}
	if s.config.classifies() {
		s.accuracy += accuracyWeight * (r.Accuracy - s.accuracy)
		fields = append(fields,
			progress.Field{Name: "classify", Value: fmt.Sprintf("%.3f", r.Classify)},
			progress.Field{Name: "accuracy", Value: fmt.Sprintf("%.0f %%", 100*s.accuracy)})
	}
	return append(fields, progress.Field{Name: "lr", Value: fmt.Sprintf("%.2g", r.LearningRates[0])})
}

// save writes a checkpoint of the current iteration, and removes old ones only after that.
func (s *session) save() error {
	if err := s.figures.flush(); err != nil {
		return err
	}
	s.info.Iteration = s.trainer.Iteration
	dir := filepath.Join(s.dir, checkpointDir)
	scopes := []string{NetworkScope, ClassifierScope, emaPrefix, firstMomentScope, secondMomentScope}
	if err := saveCheckpoint(filepath.Join(dir, checkpointName(s.info.Iteration)), s.store, scopes, s.info); err != nil {
		return err
	}
	return pruneCheckpoints(dir, s.info.Iteration, s.config.keep())
}

// validate scores the weights so far on the centres of the test images, adds the scores to values and
// keeps the best weights. ErrInterrupted means that ctx was cancelled meanwhile.
func (s *session) validate(ctx context.Context, values map[string]float64) error {
	defer s.bar.Pause("validating")()
	if s.validator == nil {
		var classifier *Classifier
		if s.config.trainsClassifier() {
			classifier = s.info.Classifier
		}
		scope := s.trainer.BestWeightsScope()
		s.validator = newModel(s.backend, s.store, scope, s.trainer.modules.network, classifier, s.info)
		s.validator.classifierScope = averageOr(s.store, ClassifierScope)
	}
	evaluator := Evaluator{}
	if s.config.trainsClassifier() {
		evaluator.Classifier = s.validator
	} else {
		evaluator.Restorer = s.validator
		lastSet := ""
		evaluator.Observe = func(score ImageScore, sample datasets.Sample, restored *imageio.Image) {
			if score.Set == lastSet { // one picture of each set
				return
			}
			lastSet = score.Set
			s.keepSample(score.Set, sample, restored)
		}
	}
	e, err := evaluator.Evaluate(ctx, s.validation)
	if err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return fmt.Errorf("validation: %w", err)
	}
	score := e.Accuracy
	if s.config.trainsClassifier() {
		values[columnValAccuracy] = e.Accuracy
	} else {
		mean := e.Mean()
		values[columnValPSNR], values[columnValSSIM] = mean.PSNRRestored, mean.SSIMRestored
		score = mean.PSNRRestored
	}
	return s.keepBest(score)
}

// keepBest saves the weights if their score is the best so far.
func (s *session) keepBest(score float64) error {
	if s.info.Best != nil && score <= s.info.Best.Value {
		return nil
	}
	s.info.Best = &BestScore{Value: score, Iteration: s.trainer.Iteration}
	info := s.info
	info.Iteration, info.Unrecorded, info.Skipped = s.trainer.Iteration, nil, nil
	return saveCheckpoint(filepath.Join(s.dir, checkpointDir, bestFile), s.store, s.weightScopes(), info)
}

// keepSample writes degraded, restored and clean image side by side. A picture that cannot be written
// is reported and does not stop the training.
func (s *session) keepSample(set string, sample datasets.Sample, restored *imageio.Image) {
	picture, err := report.SideBySide(
		report.Panel{Label: set, Image: imageio.ToStd(sample.LQ)},
		report.Panel{Label: fmt.Sprintf("iteration %d", s.trainer.Iteration), Image: imageio.ToStd(restored)},
		report.Panel{Label: "clean", Image: imageio.ToStd(sample.GT)})
	dir := filepath.Join(s.dir, samplesDir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		path := filepath.Join(dir, fmt.Sprintf("%s-%08d.png", set, s.trainer.Iteration))
		err = atomicfile.Write(path, 0o644, func(w io.Writer) error { return png.Encode(w, picture) })
	}
	if err == nil {
		err = s.figures.image(s.trainer.Iteration, "samples/"+set, picture)
	}
	if err != nil {
		s.journal.message(fmt.Sprintf("sample not written: %v", err))
	}
}
