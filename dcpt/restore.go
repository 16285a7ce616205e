package dcpt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Model is a trained network, with its degradation classifier if it has one, ready to restore and
// classify images. It is not safe for concurrent use.
type Model struct {
	Info       CheckpointInfo
	Network    Network
	Classifier *Classifier // nil if the checkpoint has none
	TestTime   TestTime    // how Restore passes over an image

	store           *model.Store
	scope           string // of the network's weights
	classifierScope string
	backend         compute.Backend
	restorer        *sizedExec
	reader          *sizedExec
}

// WeightsFile is what a finished stage leaves in its folder: the weights to use, without the
// optimizer's state.
const WeightsFile = "model.safetensors"

// Load reads a model: a checkpoint file, the folder of a stage, or the folder of a run (of which it
// takes the fine-tuned network, or else the pre-trained one), or a file of PyTorch (see ImportFile).
func Load(backend compute.Backend, path string) (*Model, error) {
	checkpoint, err := ReadWeights(path)
	if err != nil {
		return nil, err
	}
	return checkpoint.model(backend)
}

// FindWeights returns the weights file that a path given by a person means: see Load.
func FindWeights(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("no weights at %s: %w", path, err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, dir := range []string{path, filepath.Join(path, StageFinetune), filepath.Join(path, StagePretrain)} {
		if file := filepath.Join(dir, WeightsFile); exists(file) {
			return file, nil
		}
		if files := checkpoints(filepath.Join(dir, checkpointDir)); len(files) > 0 {
			return files[0], nil
		}
	}
	return "", fmt.Errorf("%s holds no weights: neither %s nor checkpoints", path, WeightsFile)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// model builds the network that a checkpoint describes, with its weights: the moving average if
// there is one.
func (c *Checkpoint) model(backend compute.Backend) (*Model, error) {
	network, err := NewNetwork(c.Info.Network)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	store := model.NewStore()
	if err := InitNetwork(backend, store, NetworkScope, network); err != nil {
		return nil, err
	}
	if err := ImportWeights(store, NetworkScope, c.bestWeights(NetworkScope)); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	m := newModel(backend, store, NetworkScope, network, nil, c.Info)
	if c.Info.Classifier != nil {
		if err := InitClassifier(backend, store, ClassifierScope, *c.Info.Classifier); err != nil {
			return nil, err
		}
		if err := ImportWeights(store, ClassifierScope, c.bestWeights(ClassifierScope)); err != nil {
			return nil, fmt.Errorf("%s: classifier: %w", c.Path, err)
		}
		m.Classifier = c.Info.Classifier
	}
	return m, nil
}

// newModel is a model on a store that holds its weights.
func newModel(backend compute.Backend, store *model.Store, scope string, network Network, classifier *Classifier, info CheckpointInfo) *Model {
	m := &Model{Info: info, Network: network, Classifier: classifier, store: store, scope: scope, classifierScope: ClassifierScope, backend: backend}
	m.restorer = &sizedExec{backend: backend, store: store, build: func(_ *model.Scope, x *Node) *Node {
		restored, _ := network.Forward(store.Scope(scope), x)
		return restored
	}}
	m.reader = &sizedExec{backend: backend, store: store, build: func(_ *model.Scope, x *Node) *Node {
		_, features := forwardForClassifier(network, store.Scope(scope), x)
		return Softmax(m.Classifier.Forward(store.Scope(m.classifierScope), x, features))
	}}
	return m
}

// NewModel is a network with initial weights, which depend on the seed only: for measurements.
func NewModel(backend compute.Backend, network Network, seed int) (*Model, error) {
	store := model.NewStore()
	store.SetParam("/"+model.ParamInitialSeed, seed)
	if err := InitNetwork(backend, store, NetworkScope, network); err != nil {
		return nil, err
	}
	return newModel(backend, store, NetworkScope, network, nil, CheckpointInfo{}), nil
}

// Close frees the compiled programs. The weights are freed with the model.
func (m *Model) Close() {
	m.restorer.close()
	m.reader.close()
}

// Parameters is the number of weights of the network, without the classifier.
func (m *Model) Parameters() int { return CountParameters(m.store, m.scope) }

// Restore returns the restored image, of the same size, values clamped to [0, 1]. Alpha, bit depth and
// metadata are kept; a grey image stays grey. The image is padded by reflection, at the bottom and at
// the right, to a multiple of the network's SizeMultiple, as the test protocol does. A program is
// compiled for every size.
func (m *Model) Restore(im *imageio.Image) (*imageio.Image, error) {
	restored, err := m.TestTime.apply(m.restoreOnce, im)
	if err != nil {
		return nil, fmt.Errorf("restoring an image of %dx%d: %w", im.W, im.H, err)
	}
	out := im.Clone()
	for i, v := range restored.Pix {
		out.Pix[i] = min(max(v, 0), 1)
	}
	if out.Gray {
		averageChannels(out.Pix)
	}
	return out, nil
}

// restoreOnce passes an image through the network. The values are not clamped.
func (m *Model) restoreOnce(im *imageio.Image) (*imageio.Image, error) {
	values, padded, err := m.run(m.restorer, im, m.Network.SizeMultiple())
	if err != nil {
		return nil, err
	}
	out := imageio.New(im.W, im.H)
	for y := range im.H {
		copy(out.Pix[y*im.W*3:(y+1)*im.W*3], values[y*padded.W*3:])
	}
	return out, nil
}

// RestoreBatch passes n images of h x w pixels, multiples of the network's SizeMultiple, through the
// network: values [n, h, w, 3] in [0, 1] to values of the same shape, which are not clamped. It is what
// Restore does to each image between padding and clamping. A program is compiled for every size.
func (m *Model) RestoreBatch(values []float32, n, h, w int) ([]float32, error) {
	return m.restorer.call(values, n, h, w)
}

// Classify returns the probability of each degradation, in the order of Info.Classes.
func (m *Model) Classify(im *imageio.Image) ([]float32, error) {
	if m.Classifier == nil {
		return nil, errors.New("these weights have no degradation classifier: use those of a pre-trained run")
	}
	values, _, err := m.run(m.reader, im, m.classifierMultiple())
	if err != nil {
		return nil, fmt.Errorf("classifying an image of %dx%d: %w", im.W, im.H, err)
	}
	return values, nil
}

// classifierMultiple is what the sides of an image to classify must be multiples of: the classifier
// halves the resolution of every feature once more.
func (m *Model) classifierMultiple() int {
	multiple := m.Network.SizeMultiple()
	for step := multiple; multiple%(2<<len(m.Classifier.FeatureDims)) != 0; {
		multiple += step
	}
	return multiple
}

// run pads the image to a multiple of a size and runs a program on it.
func (m *Model) run(exec *sizedExec, im *imageio.Image, multiple int) (values []float32, padded *imageio.Image, err error) {
	padded = padReflect(im, multiple)
	values, err = exec.call(padded.Pix, 1, padded.H, padded.W)
	return values, padded, err
}

// padReflect extends an image at the bottom and at the right to a multiple of a size, mirrored at the
// last pixel, which is not repeated; sides shorter than the pad are mirrored again and again.
func padReflect(im *imageio.Image, multiple int) *imageio.Image {
	w, h := (im.W+multiple-1)/multiple*multiple, (im.H+multiple-1)/multiple*multiple
	if w == im.W && h == im.H {
		return im
	}
	out := imageio.New(w, h)
	for y := range h {
		source := im.Pix[imageio.Reflect(y, im.H)*im.W*3:]
		target := out.Pix[y*w*3:]
		for x := range w {
			copy(target[x*3:x*3+3], source[imageio.Reflect(x, im.W)*3:])
		}
	}
	return out
}

func averageChannels(pix []float32) {
	for i := 0; i < len(pix); i += 3 {
		mean := (pix[i] + pix[i+1] + pix[i+2]) / 3
		pix[i], pix[i+1], pix[i+2] = mean, mean, mean
	}
}

// sizedExec runs a graph on images of changing sizes. Each size is a program of its own; the oldest
// are dropped together when there are many.
type sizedExec struct {
	backend compute.Backend
	store   *model.Store
	build   func(*model.Scope, *Node) *Node
	exec    *model.Exec
	sizes   map[string]bool
}

// maxPrograms bounds the compiled programs that are kept at a time.
const maxPrograms = 16

// call runs the graph on pixels [n, h, w, 3].
func (s *sizedExec) call(pixels []float32, n, h, w int) (values []float32, err error) {
	input := tensors.FromFlatDataAndDimensions(pixels, n, h, w, 3)
	defer input.FinalizeAll()
	key := input.Shape().String()
	if s.exec != nil && !s.sizes[key] && len(s.sizes) >= maxPrograms {
		s.close()
	}
	if s.exec == nil {
		if s.exec, err = model.NewExec(s.backend, s.store, s.build); err != nil {
			return nil, err
		}
		s.sizes = map[string]bool{}
	}
	s.sizes[key] = true
	output, err := s.exec.Call1(input)
	if err != nil {
		return nil, err
	}
	defer output.FinalizeAll()
	return tensors.CopyFlatData[float32](output)
}

func (s *sizedExec) close() {
	if s.exec != nil {
		s.exec.Finalize()
		s.exec = nil
	}
}
