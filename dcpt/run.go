package dcpt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/gofrs/flock"
	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/internal/atomicfile"
)

// The folder of a stage (see docs/architecture.md): RUN/pretrain and RUN/finetune each hold
const (
	recipeFile    = "recipe.yaml"      // the resolved recipe
	logFile       = "log.txt"          // messages, with times
	metricsFile   = "metrics.csv"      // the figures of every logged iteration
	checkpointDir = "checkpoints"      // step-N.safetensors, and GoMLX's plot points
	bestFile      = "best.safetensors" // in checkpoints/: the weights with the best validation score
	eventsDir     = "tensorboard"      // event files
	samplesDir    = "samples"          // validation images as they get better
)

// ErrInterrupted is returned when the context of a run is cancelled: everything is saved and the same
// call goes on where it stopped.
var ErrInterrupted = errors.New("interrupted")

// Run is a stage of a recipe in a folder. Calling Train on a folder that holds an unfinished run of the
// same recipe resumes it: the weights after N iterations are bit for bit those of a run that was not
// interrupted, because the batches, rates and updates of an iteration depend on nothing but the recipe,
// the iteration's number and the saved state.
type Run struct {
	Recipe *Recipe
	Stage  string    // StagePretrain or StageFinetune
	Dir    string    // the run's folder; the stage's is below it
	From   string    // weights to start from: see Load; empty: fine-tuning starts from the run's own pre-training, if there is one
	Guide  string    // weights with the classifier that guides the training (method guided); empty: the one that comes with From
	Out    io.Writer // progress and messages; nil: none

	Skipped []string // set by Train: damaged files of the training sets, which it did without
}

// Dir of the stage.
func (r *Run) stageDir() string { return filepath.Join(r.Dir, r.Stage) }

// Train runs or resumes the stage and returns its model, ready to use.
func (r *Run) Train(ctx context.Context, backend compute.Backend) (m *Model, err error) {
	config, err := r.Recipe.Stage(r.Stage)
	if err != nil {
		return nil, err
	}
	if r.Out == nil {
		r.Out = io.Discard
	}
	unlock, err := r.prepareDir()
	if err != nil {
		return nil, err
	}
	defer unlock()

	s, err := r.open(backend, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.train(ctx); err != nil {
		return nil, err
	}
	r.Skipped = skippedFiles(s.info.Skipped)
	return Load(backend, filepath.Join(s.dir, WeightsFile))
}

// prepareDir makes the stage's folder, locks it against other processes and checks that it belongs to
// this recipe.
func (r *Run) prepareDir() (unlock func(), err error) {
	dir := r.stageDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the run's folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock the run's folder: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("%s is in use by another process: wait for it or choose another folder", dir)
	}
	unlock = func() { lock.Unlock() }
	for _, folder := range []string{dir, filepath.Join(dir, checkpointDir), filepath.Join(dir, samplesDir)} {
		if err := atomicfile.RemoveLeftovers(folder); err != nil {
			unlock()
			return nil, err
		}
	}
	resolved, err := r.Recipe.YAML()
	if err == nil {
		err = checkSameRecipe(filepath.Join(dir, recipeFile), resolved)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// checkSameRecipe writes the recipe to path, or compares it with the one that is there: resuming with
// other settings would give weights that no recipe describes.
func checkSameRecipe(path string, resolved []byte) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return atomicfile.WriteBytes(path, resolved)
	}
	if err != nil {
		return fmt.Errorf("cannot read the run's recipe: %w", err)
	}
	if bytes.Equal(old, resolved) {
		return nil
	}
	var was, is map[string]any
	if err := yaml.Unmarshal(old, &was); err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
	if err := yaml.Unmarshal(resolved, &is); err != nil {
		return err
	}
	for _, tree := range []map[string]any{was, is} {
		withoutLimits(tree)
	}
	if reflect.DeepEqual(was, is) { // written in another way
		return nil
	}
	key, before, now := firstDifference("", was, is)
	return fmt.Errorf("%s holds a run with another %s: %v there, %v now; resume with the same settings or choose another folder (-o)", filepath.Dir(path), key, before, now)
}

// withoutLimits takes the settings away that change no batch, and so no weight.
func withoutLimits(recipe map[string]any) {
	if data, ok := recipe["data"].(map[string]any); ok {
		delete(data, "cache")
		delete(data, "max_broken")
	}
}

// firstDifference finds the first key, in order, at which two YAML trees differ.
func firstDifference(path string, a, b any) (key string, was, is any) {
	mapA, okA := a.(map[string]any)
	mapB, okB := b.(map[string]any)
	if okA && okB {
		keys := append(sortedKeys(mapA), sortedKeys(mapB)...)
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			if fmt.Sprint(mapA[k]) != fmt.Sprint(mapB[k]) {
				return firstDifference(strings.TrimPrefix(path+"."+k, "."), mapA[k], mapB[k])
			}
		}
	}
	listA, okA := a.([]any)
	listB, okB := b.([]any)
	if okA && okB && len(listA) == len(listB) {
		for i := range listA {
			if fmt.Sprint(listA[i]) != fmt.Sprint(listB[i]) {
				return firstDifference(fmt.Sprintf("%s.%d", path, i), listA[i], listB[i])
			}
		}
	}
	return path, orNone(a), orNone(b)
}

func orNone(v any) any {
	if v == nil {
		return "nothing"
	}
	return v
}

// open builds networks, data and trainer, and restores the newest checkpoint.
func (r *Run) open(backend compute.Backend, config StageConfig) (*session, error) {
	s := &session{run: r, config: config, dir: r.stageDir(), backend: backend}
	network, err := NewNetwork(r.Recipe.Network)
	if err != nil {
		return nil, err
	}
	networkConfig, err := ConfigOf(network)
	if err != nil {
		return nil, err
	}
	s.info = CheckpointInfo{Recipe: r.Recipe.Name, Stage: r.Stage, Network: networkConfig, Classes: r.Recipe.Classes()}
	s.store = model.NewStore()
	s.store.SetParam("/"+model.ParamInitialSeed, int(r.Recipe.Seed))
	if err := InitNetwork(backend, s.store, NetworkScope, network); err != nil {
		return nil, err
	}
	if s.journal, err = openJournal(filepath.Join(s.dir, logFile), r.Out); err != nil {
		return nil, err
	}
	checkpoint, err := latestCheckpoint(filepath.Join(s.dir, checkpointDir), s.journal.message)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.initialise(network, checkpoint); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// initialise puts the weights in place: of the checkpoint, of the network to start from, or fresh ones.
func (s *session) initialise(network Network, checkpoint *Checkpoint) error {
	if checkpoint != nil {
		s.info = checkpoint.Info
	} else if err := s.start(network); err != nil {
		return err
	}
	var classifier Classifier
	if s.info.Classifier != nil {
		classifier = *s.info.Classifier
		if err := InitClassifier(s.backend, s.store, ClassifierScope, classifier); err != nil {
			return err
		}
	}
	if checkpoint != nil {
		if err := checkpoint.restoreState(s.store); err != nil {
			return err
		}
	}
	var err error
	if s.trainer, err = NewTrainer(s.backend, s.store, network, classifier, s.config); err != nil {
		return err
	}
	if s.config.Method == MethodGuided {
		if s.trainer.Relabel, err = guideLabels(s.config, s.run.Recipe.Classes(), s.info.Classes); err != nil {
			return err
		}
	}
	s.trainer.Iteration = s.info.Iteration
	if s.figures, err = openFigures(s.dir, s.info.Iteration, s.config); err != nil {
		return err
	}
	return s.openData()
}

// start decides where a new run's weights come from, and takes over those of other runs.
func (s *session) start(network Network) error {
	r := s.run
	from, err := r.startingWeights()
	if err != nil {
		return err
	}
	if from == nil && s.config.Method == MethodClassifier {
		return errors.New("method classifier trains on the features of a network that exists: name its weights (--from)")
	}
	if from != nil {
		if err := s.takeOver(from, NetworkScope); err != nil {
			return err
		}
	}
	classifierFrom := from // kept in fine-tuning, for guided training later
	switch {
	case s.config.trainsClassifier():
		classifier := r.Recipe.Classifier.Complete(network, len(r.Recipe.Classes()))
		s.info.Classifier = &classifier
		return nil
	case s.config.Method == MethodGuided:
		if classifierFrom, err = r.guide(from); err != nil {
			return err
		}
	}
	if classifierFrom == nil || classifierFrom.Info.Classifier == nil {
		return nil
	}
	if want := (Classifier{}).Complete(network, 0).FeatureDims; s.config.Method == MethodGuided && !slices.Equal(classifierFrom.Info.Classifier.FeatureDims, want) {
		return fmt.Errorf("the guide %s reads features of %v channels, the network has %v: take a guide of the same network", classifierFrom.Path, classifierFrom.Info.Classifier.FeatureDims, want)
	}
	s.info.Classifier, s.info.Classes = classifierFrom.Info.Classifier, classifierFrom.Info.Classes
	if err := InitClassifier(s.backend, s.store, ClassifierScope, *s.info.Classifier); err != nil {
		return err
	}
	return s.takeOver(classifierFrom, ClassifierScope)
}

// takeOver copies the weights below a scope from another run.
func (s *session) takeOver(from *Checkpoint, scope string) error {
	if err := ImportWeights(s.store, scope, from.bestWeights(scope)); err != nil {
		return fmt.Errorf("cannot start from %s: %w", from.Path, err)
	}
	what := map[string]string{NetworkScope: "network", ClassifierScope: "classifier"}[scope]
	s.journal.message(fmt.Sprintf("starting from the %s of %s (%s, iteration %d)", what, from.Path, from.Info.Stage, from.Info.Iteration))
	return nil
}

// guide reads the classifier that guides the training; by default it comes with the network.
func (r *Run) guide(from *Checkpoint) (*Checkpoint, error) {
	guide := from
	if r.Guide != "" {
		var err error
		if guide, err = ReadWeights(r.Guide); err != nil {
			return nil, err
		}
	}
	if guide == nil || guide.Info.Classifier == nil {
		return nil, errors.New("method guided needs a degradation classifier: name a pre-trained run (--guide)")
	}
	return guide, nil
}

// startingWeights reads the weights to start from; nil where there are none.
func (r *Run) startingWeights() (*Checkpoint, error) {
	from := r.From
	if from == "" && (r.Stage == StagePretrain) {
		return nil, nil
	}
	if from == "" {
		own := filepath.Join(r.Dir, StagePretrain)
		if !exists(own) {
			return nil, nil
		}
		if !exists(filepath.Join(own, WeightsFile)) {
			return nil, fmt.Errorf("the pre-training in %s is not finished: finish it first, or name other weights to start from", own)
		}
		from = own
	}
	return ReadWeights(from)
}

// openData opens the training and validation sets and starts the loader at the right batch.
func (s *session) openData() error {
	pictures := s.run.Recipe.pictures()
	train, err := pictures.train(s.config.Patch)
	if err != nil {
		return err
	}
	for _, lost := range datasets.Losses(train) {
		s.journal.message("shards: " + lost)
	}
	if s.config.ValidateEvery > 0 && len(s.run.Recipe.Data.Test) > 0 {
		if s.validation, err = pictures.test(s.config.validationPatch()); err != nil {
			return err
		}
	}
	s.loader = datasets.NewLoader(train, datasets.LoaderConfig{
		BatchSize: s.config.Batch,
		Seed:      uint64(s.run.Recipe.Seed),
		Start:     s.info.Iteration * s.trainer.Passes(),
		Skipped:   s.info.Skipped,
	})
	return nil
}
