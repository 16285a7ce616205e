// Package netbench measures how fast networks train and restore on this machine, each in a process of
// its own, and how long they take to compile.
package netbench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/suggest"
	"github.com/godcpt/godcpt/recipes"
)

// Verbs of Work.
const (
	Step  = "step"  // a training step
	Infer = "infer" // a forward pass, as restoring takes it
)

// Methods are the training methods that can be measured.
var Methods = []string{dcpt.MethodRestore, dcpt.MethodDCPT}

// Limits of a Work. What is larger is a slip of the keyboard.
const (
	maxBatch = 1 << 10
	maxSide  = 1 << 13
)

// recipeName is the recipe whose stages a step takes, and that settings change.
const recipeName = "nafnet-5d"

// seed of weights and images: each process of a Work does the same.
const seed = 1

// Work is what is measured: one network, one size.
type Work struct {
	Verb   string   `json:"verb"`
	Net    string   `json:"net"`              // a preset
	Set    []string `json:"set,omitempty"`    // changes of the preset, as of a recipe: "network.width=16"
	Method string   `json:"method,omitempty"` // of a step
	Batch  int      `json:"batch"`
	Width  int      `json:"width"` // of an image; a step's are square
	Height int      `json:"height"`
}

// Validate reports what is wrong with the work.
func (w Work) Validate() error {
	network, err := w.network()
	if err != nil {
		return err
	}
	if w.Verb == Step && !slices.Contains(Methods, w.Method) {
		return suggest.Unknown("method", w.Method, Methods)
	}
	if w.Batch < 1 || w.Batch > maxBatch {
		return fmt.Errorf("a batch of %d images is not possible: it takes 1 to %d", w.Batch, maxBatch)
	}
	multiple := network.SizeMultiple()
	for _, side := range []int{w.Width, w.Height} {
		if side < 1 || side > maxSide {
			return fmt.Errorf("a side of %d pixels is not possible: it takes 1 to %d", side, maxSide)
		}
		if side%multiple != 0 {
			return fmt.Errorf("a side of %d pixels: %s takes multiples of %d", side, w.Net, multiple)
		}
	}
	return nil
}

func (w Work) network() (dcpt.Network, error) {
	network, err := dcpt.NewNetwork(dcpt.NetworkConfig{"preset": w.Net})
	if err != nil || len(w.Set) == 0 {
		return network, err
	}
	recipe, err := recipes.Load(recipeName, append([]string{"network.preset=" + w.Net}, w.Set...)...)
	if err != nil {
		return nil, err
	}
	return dcpt.NewNetwork(recipe.Network)
}

// args is the command line that serves the work.
func (w Work) args() []string {
	args := []string{"bench", w.Verb, "--net", w.Net, "--batch", strconv.Itoa(w.Batch)}
	if w.Verb == Step {
		args = append(args, "--method", w.Method, "--patch", strconv.Itoa(w.Width))
	} else {
		args = append(args, "--size", fmt.Sprintf("%dx%d", w.Width, w.Height))
	}
	for _, setting := range w.Set {
		args = append(args, "--set", setting)
	}
	return append(args, "--serve")
}

// stage is the configuration of a step: a stage of the recipe nafnet-5d, which the method decides, with
// no moving average of the weights, and the number of its classes.
func (w Work) stage() (config dcpt.StageConfig, classes int, err error) {
	recipe, err := recipes.Load(recipeName)
	if err != nil {
		return dcpt.StageConfig{}, 0, err
	}
	config = *recipe.Finetune
	if w.Method == dcpt.MethodDCPT {
		config = *recipe.Pretrain
	}
	config.Batch, config.Patch, config.EMADecay = w.Batch, w.Width, 0
	return config, len(recipe.Classes()), nil
}

// MACs is the number of multiply-accumulates of the forward passes of one run.
func (w Work) MACs() (int64, error) {
	network, err := w.network()
	if err != nil {
		return 0, err
	}
	if w.Verb == Infer {
		d, err := dcpt.Describe(network, w.Height, w.Width)
		if err != nil {
			return 0, err
		}
		return int64(w.Batch) * d.MACs, nil
	}
	config, classes, err := w.stage()
	if err != nil {
		return 0, err
	}
	return config.MACs(network, dcpt.Classifier{}.Complete(network, classes))
}

// passes is how many forward passes one run counts as: a training step also takes the gradient for the
// activations and that for the weights, each as much work as the forward pass.
func (w Work) passes() int {
	if w.Verb == Step {
		return 3
	}
	return 1
}

// job is work that is ready to run.
type job struct {
	run   func() error
	close func()
}

// prepare puts the initial weights and the images in place. Nothing is compiled yet that a run uses.
func (w Work) prepare(backend compute.Backend) (*job, error) {
	network, err := w.network()
	if err != nil {
		return nil, err
	}
	if w.Verb == Infer {
		return w.prepareInference(backend, network)
	}
	return w.prepareStep(backend, network)
}

func (w Work) prepareInference(backend compute.Backend, network dcpt.Network) (*job, error) {
	m, err := dcpt.NewModel(backend, network, seed)
	if err != nil {
		return nil, err
	}
	images := w.images(rand.New(rand.NewPCG(seed, 0)))
	run := func() error {
		_, err := m.RestoreBatch(images, w.Batch, w.Height, w.Width)
		return err
	}
	return &job{run, m.Close}, nil
}

func (w Work) prepareStep(backend compute.Backend, network dcpt.Network) (*job, error) {
	config, classes, err := w.stage()
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	store.SetParam("/"+model.ParamInitialSeed, seed)
	if err := dcpt.InitNetwork(backend, store, dcpt.NetworkScope, network); err != nil {
		return nil, err
	}
	var classifier dcpt.Classifier
	if config.Method == dcpt.MethodDCPT {
		classifier = classifier.Complete(network, classes)
		if err := dcpt.InitClassifier(backend, store, dcpt.ClassifierScope, classifier); err != nil {
			return nil, err
		}
	}
	trainer, err := dcpt.NewTrainer(backend, store, network, classifier, config)
	if err != nil {
		return nil, err
	}
	batch := w.trainingBatch(classes)
	run := func() error {
		_, err := trainer.Step(batch)
		return err
	}
	return &job{run, trainer.Close}, nil
}

func (w Work) trainingBatch(classes int) *datasets.Batch {
	rng := rand.New(rand.NewPCG(seed, 0))
	batch := &datasets.Batch{N: w.Batch, H: w.Height, W: w.Width, LQ: w.images(rng), GT: w.images(rng)}
	for i := range w.Batch {
		batch.Labels = append(batch.Labels, int32(i%classes))
		batch.Names = append(batch.Names, "random values")
	}
	return batch
}

// images are random values in [0, 1).
func (w Work) images(rng *rand.Rand) []float32 {
	values := make([]float32, w.Batch*w.Height*w.Width*3)
	for i := range values {
		values[i] = rng.Float32()
	}
	return values
}
