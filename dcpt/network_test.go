package dcpt

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// smallNetworks are networks of every registered architecture that are quick to test: every
// architecture must have one. They have what the presets have, at few channels.
var smallNetworks = map[string][]NetworkConfig{
	"nafnet": {
		{"arch": "nafnet", "width": 4, "enc_blocks": []int{1, 2}, "middle_blocks": 1, "dec_blocks": []int{1, 1}},
		{"arch": "nafnet", "width": 3, "enc_blocks": []int{0}, "middle_blocks": 0, "dec_blocks": []int{2}},
	},
}

// pinnedParameters are the weights of the presets that stand for a published network.
var pinnedParameters = map[string]int{"nafnet-5d": 67_888_835}

// forEachNetwork runs a test on the small networks, on the pure Go backend and, the first of each
// architecture, on the tests' backend.
func forEachNetwork(t *testing.T, check func(t *testing.T, backend compute.Backend, network Network)) {
	for _, arch := range Architectures() {
		if len(smallNetworks[arch]) == 0 {
			t.Errorf("%s is not tested: add it to smallNetworks", arch)
		}
		for i, config := range smallNetworks[arch] {
			network, err := NewNetwork(config)
			must(t, err)
			backends := []compute.Backend{backendtest.Go(t)}
			if main := backendtest.ForTest(t); i == 0 && main.Name() != backends[0].Name() && !testing.Short() {
				backends = append(backends, main)
			}
			for _, b := range backends {
				t.Run(fmt.Sprintf("%s-%d/%s", arch, i, b.Name()), func(t *testing.T) { check(t, b, network) })
			}
		}
	}
}

// networkStore returns a store with the network's weights, each of them random: those that are 0 or 1
// at first would hide a branch.
func networkStore(t testing.TB, backend compute.Backend, network Network) *model.Store {
	t.Helper()
	store := model.NewStore()
	must(t, InitNetwork(backend, store, NetworkScope, network))
	randomise(t, store, NetworkScope)
	return store
}

// randomise gives the weights below a scope values of -0.5 to 0.5 by the formula of the parity cases,
// and those around which a norm or a scale works, 0.5 to 1.5.
func randomise(t testing.TB, store *model.Store, scope string) {
	t.Helper()
	for _, v := range trainable(store, scope) {
		values := make([]float32, v.Shape().Size())
		offset := 0.0
		if v.Shape().Rank() == 1 && strings.HasSuffix(v.Path(), "/weight") {
			offset = 1
		}
		formulaValues(values, v.Path(), 7, offset, 0.5)
		must(t, v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)))
	}
}

// networkInput is n images with values 0 to 1.
func networkInput(n, h, w int) *tensors.Tensor {
	values := make([]float32, n*h*w*3)
	formulaValues(values, "input", 3, 0.5, 0.5)
	return tensors.FromFlatDataAndDimensions(values, n, h, w, 3)
}

// forward runs a network: image and features.
func forward(t testing.TB, backend compute.Backend, store *model.Store, network Network, training bool, input *tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	exec, err := model.NewExec(backend, store, func(_ *model.Scope, x *Node) []*Node {
		store.SetTraining(x.Graph(), training)
		restored, features := network.Forward(store.Scope(NetworkScope), x)
		return append([]*Node{restored}, features...)
	})
	must(t, err)
	defer exec.Finalize()
	return exec.MustCall(input)
}

func flat(t testing.TB, tensor *tensors.Tensor) []float32 {
	t.Helper()
	values, err := tensors.CopyFlatData[float32](tensor)
	must(t, err)
	return values
}

// A batch is computed as its images one by one, in the same way each time, into the shapes that are
// promised. Sums may be in another order for another size: float32 rounding over some ten layers.
const batchTolerance = 1e-5

func TestNetworkOutput(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, backend compute.Backend, network Network) {
		const n = 3
		store := networkStore(t, backend, network)
		h, w := 2*network.SizeMultiple(), 3*network.SizeMultiple()
		input := networkInput(n, h, w)
		outputs := forward(t, backend, store, network, false, input)
		if got := outputs[0].Shape().Dimensions; !slices.Equal(got, []int{n, h, w, 3}) {
			t.Errorf("output %v for an input of %v", got, []int{n, h, w, 3})
		}
		features := network.Features()
		if len(outputs)-1 != len(features) {
			t.Fatalf("%d features are computed, %v are declared", len(outputs)-1, features)
		}
		last := h
		for i, f := range outputs[1:] {
			d := f.Shape().Dimensions
			if !slices.Equal(d, []int{n, h / features[i].Stride, w / features[i].Stride, features[i].Channels}) {
				t.Errorf("feature %d is %v, declared are %+v", i, d, features[i])
			}
			if d[1] > last {
				t.Errorf("feature %d is %v: out of order", i, d)
			}
			last = d[1]
		}

		again := forward(t, backend, store, network, false, input)
		for i := range outputs {
			if !slices.Equal(flat(t, outputs[i]), flat(t, again[i])) {
				t.Errorf("output %d differs in a second run", i)
			}
		}

		pixels := flat(t, input)
		for k := range n {
			one := tensors.FromFlatDataAndDimensions(pixels[k*h*w*3:(k+1)*h*w*3], 1, h, w, 3)
			for i, single := range forward(t, backend, store, network, false, one) {
				whole := flat(t, outputs[i])
				size := len(whole) / n
				near(t, fmt.Sprintf("image %d, output %d", k, i), flat(t, single), whole[k*size:(k+1)*size], batchTolerance)
			}
		}

		// The form for training is another way to compute the same.
		for i, training := range forward(t, backend, store, network, true, input) {
			near(t, fmt.Sprintf("training form, output %d", i), flat(t, training), flat(t, outputs[i]), batchTolerance)
		}
	})
}

// Every weight moves the output: its gradient is finite and not zero.
func TestNetworkGradients(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, backend compute.Backend, network Network) {
		store := networkStore(t, backend, network)
		variables := trainable(store, NetworkScope)
		exec := model.MustNewExec(backend, store, func(_ *model.Scope, x *Node) []*Node {
			store.SetTraining(x.Graph(), true)
			restored, _ := network.Forward(store.Scope(NetworkScope), x)
			var weights []*Node
			for _, v := range variables {
				weights = append(weights, v.NodeValue(x.Graph()))
			}
			return Gradient(ReduceAllMean(Square(restored)), weights...)
		})
		defer exec.Finalize()
		for i, gradient := range exec.MustCall(networkInput(2, 2*network.SizeMultiple(), 2*network.SizeMultiple())) {
			sum := 0.0
			for _, v := range flat(t, gradient) {
				sum += float64(v) * float64(v)
			}
			if !(sum > 0) || math.IsInf(sum, 0) {
				t.Errorf("the gradient of %s has the squared norm %v", variables[i].Path(), sum)
			}
		}
	})
}

// A size that does not fit is refused while the graph is built, with what to do.
func TestNetworkOddSize(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, backend compute.Backend, network Network) {
		multiple := network.SizeMultiple()
		if multiple == 1 {
			t.Skip("takes every size")
		}
		store := networkStore(t, backend, network)
		exec := model.MustNewExec(backend, store, func(_ *model.Scope, x *Node) *Node {
			restored, _ := network.Forward(store.Scope(NetworkScope), x)
			return restored
		})
		defer exec.Finalize()
		_, err := exec.Call1(networkInput(1, multiple, multiple+1))
		wantError(t, err, fmt.Sprintf("image of %dx%d is not a multiple of %d in both sides: pad it", multiple+1, multiple, multiple))
	})
}

// The seed, and nothing else, decides on the first weights; they survive a file.
func TestNetworkWeights(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, backend compute.Backend, network Network) {
		initial := func(seed int) Weights {
			store := model.NewStore()
			store.SetParam("/"+model.ParamInitialSeed, seed)
			must(t, InitNetwork(backend, store, NetworkScope, network))
			weights, err := ExportWeights(store, NetworkScope)
			must(t, err)
			return weights
		}
		if first := initial(1); !equalWeights(first, initial(1)) || equalWeights(first, initial(2)) {
			t.Error("the first weights are not a function of the seed")
		}

		store := networkStore(t, backend, network)
		want, err := ExportWeights(store, NetworkScope)
		must(t, err)
		config, err := ConfigOf(network)
		must(t, err)
		path := filepath.Join(t.TempDir(), "weights.safetensors")
		must(t, saveCheckpoint(path, store, []string{NetworkScope}, CheckpointInfo{Network: config}))
		m, err := Load(backend, path)
		must(t, err)
		defer m.Close()
		if !reflect.DeepEqual(m.Network, network) {
			t.Errorf("network %+v, want %+v", m.Network, network)
		}
		got, err := ExportWeights(m.store, NetworkScope)
		must(t, err)
		if !equalWeights(got, want) {
			t.Error("the weights changed in the file")
		}
		if m.Parameters() != CountParameters(store, NetworkScope) {
			t.Errorf("%d parameters, want %d", m.Parameters(), CountParameters(store, NetworkScope))
		}
	})
}

func equalWeights(a, b Weights) bool {
	if !slices.Equal(sortedKeys(a), sortedKeys(b)) {
		return false
	}
	for name := range a {
		if !slices.Equal(a[name].Shape, b[name].Shape) || !bytes.Equal(a[name].Data, b[name].Data) {
			return false
		}
	}
	return true
}

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		network, err := NewNetwork(NetworkConfig{"preset": name})
		must(t, err)
		config, err := ConfigOf(network)
		must(t, err)
		again, err := NewNetwork(config)
		must(t, err)
		if !reflect.DeepEqual(network, again) {
			t.Errorf("%s: %+v is described as %v", name, network, config)
		}
	}
	for name, want := range pinnedParameters {
		network, err := NewNetwork(NetworkConfig{"preset": name})
		must(t, err)
		d, err := Describe(network, network.SizeMultiple(), network.SizeMultiple())
		must(t, err)
		if d.Parameters != want {
			t.Errorf("%s has %d parameters, want %d", name, d.Parameters, want)
		}
	}
}

// The classifier of the 5D networks (parity README, section 4.6).
func TestClassifierParameters(t *testing.T) {
	if testing.Short() {
		t.Skip("large networks take memory and seconds")
	}
	store := model.NewStore()
	must(t, InitClassifier(backendtest.Go(t), store, ClassifierScope, Classifier{}.Complete(nafnetPresets["nafnet-5d"], 5)))
	if got, want := CountParameters(store, ClassifierScope), 49_290_505; got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
}

// Features that are not one per level are refused in words.
func TestClassifierFeatures(t *testing.T) {
	c := Classifier{FeatureDims: []int{4, 8}, Blocks: 2, Classes: 2}
	for _, test := range []struct {
		sides []int
		image int
		want  string
	}{
		{[]int{8, 8}, 0, "feature 1 is of [8 8], but [4 4] is needed"},
		{[]int{8, 4}, 8, "feature 0 is of [8 8], but [4 4] is needed"},
		{[]int{8}, 0, "1 features for 2 feature_dims [4 8]"},
	} {
		c.ImageInput = test.image > 0
		store := model.NewStore()
		err := buildOnly(backendtest.Go(t), store, func(g *Graph) {
			var features []*Node
			for i, side := range test.sides {
				features = append(features, Zeros(g, shapes.Make(dtypes.Float32, 1, side, side, c.FeatureDims[i])))
			}
			image := Zeros(g, shapes.Make(dtypes.Float32, 1, max(test.image, 1), max(test.image, 1), 3))
			c.Forward(store.Scope(ClassifierScope), image, features)
		})
		wantError(t, err, test.want)
	}
}

// Weights of another network are refused by the name of the first tensor that differs, and change nothing.
func TestImportWeights(t *testing.T) {
	backend := backendtest.Go(t)
	network, err := NewNetwork(smallNetworks["nafnet"][0])
	must(t, err)
	store := networkStore(t, backend, network)
	good, err := ExportWeights(store, NetworkScope)
	must(t, err)
	name := sortedKeys(good)[5]
	for _, test := range []struct {
		change func(w Weights)
		want   string
	}{
		{func(w Weights) { delete(w, name) }, fmt.Sprintf("tensor %q is missing", name)},
		{func(w Weights) { w["more"] = good[name] }, `tensor "more" is in the file, the network has none of that name`},
		{func(w Weights) { w[name] = torch.Float32Tensor(make([]float32, 5), 5) }, fmt.Sprintf("tensor %q is [5], the network needs %v", name, good[name].Shape)},
		{func(w Weights) { w[name] = torch.Float32Tensor(make([]float32, 6), 1, 2, 3) }, fmt.Sprintf("tensor %q", name)},
		{func(w Weights) { w[name] = torch.Tensor{Shape: []int{1}, DType: "I64", Data: make([]byte, 8)} }, fmt.Sprintf("tensor %q: tensor of type \"I64\"", name)},
	} {
		changed := Weights{}
		for n, tensor := range good {
			changed[n] = torch.Float32Tensor(make([]float32, tensor.Size()), tensor.Shape...)
		}
		test.change(changed)
		wantError(t, ImportWeights(store, NetworkScope, changed), test.want)
		if now, err := ExportWeights(store, NetworkScope); err != nil || !equalWeights(now, good) {
			t.Errorf("%s: the store changed (%v)", test.want, err)
		}
	}
}
