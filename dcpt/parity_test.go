package dcpt

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
	"github.com/godcpt/godcpt/layers"
)

// parityCase is what the network and classifier cases share; see the parity README, section 1.
type parityCase struct {
	Case         string
	Architecture string
	Constructor  constructor
	Seed         uint64
	Parameters   int
	Loss         string
	LossValue    float64            `json:"loss_value"`
	GradLoss     float64            `json:"gradient_loss_value"`
	GradL2       map[string]float64 `json:"grad_l2_of_every_parameter"`
	Odd          struct{ Mode string }
	WeightTable  map[string]struct {
		Shape         []int
		Offset, Scale float64
		First         []float64
	} `json:"weight_table"`
	Scaled    json.RawMessage `json:"scaled_hard_coded_sizes"` // constants of a class that the case replaces
	Tolerance struct {
		Output  float64 `json:"output_rel"`
		Feature float64 `json:"feature_rel"`
		Grad    float64 `json:"grad_rel"`
	}
}

// constructor holds the arguments of the PyTorch classes that are supported.
type constructor struct {
	Type        string
	ImgChannel  int `json:"img_channel"`
	Width       int
	MiddleBlk   int   `json:"middle_blk_num"`
	EncBlks     []int `json:"enc_blk_nums"`
	DecBlks     []int `json:"dec_blk_nums"`
	WindowSize  int   `json:"window_size"`
	FeatureDims []int `json:"feature_dims"`
	TrainSize   []int `json:"train_size"` // of the local forms, NCHW
	BaseSize    []int `json:"base_size"`
	ResBlocks   *int  `json:"num_res_blocks"`
	Classes     int   `json:"num_classes"`
	Downsample  bool
	arguments   json.RawMessage // all of them
}

func (c *constructor) UnmarshalJSON(data []byte) error {
	type plain constructor
	c.arguments = slices.Clone(data)
	return json.Unmarshal(data, (*plain)(c))
}

// add gives the builders in parityNetworks one argument more.
func (c *constructor) add(t *testing.T, name string, value json.RawMessage) {
	t.Helper()
	var arguments map[string]json.RawMessage
	must(t, json.Unmarshal(c.arguments, &arguments))
	arguments[name] = value
	var err error
	c.arguments, err = json.Marshal(arguments)
	must(t, err)
}

// parityNetworks builds networks from the arguments of the PyTorch classes, by class. Each
// architecture's test file adds its own.
var parityNetworks = map[string]func(arguments json.RawMessage) (Network, error){
	"NAFNetBaseline": func(arguments json.RawMessage) (Network, error) {
		var c constructor
		err := json.Unmarshal(arguments, &c)
		return &NAFNet{Width: c.Width, EncBlocks: c.EncBlks, MiddleBlocks: c.MiddleBlk, DecBlocks: c.DecBlks}, err
	},
	"NAFNetOriginal": originalNAFNet,
	"NAFNetLocal":    originalNAFNet,
}

func originalNAFNet(arguments json.RawMessage) (Network, error) {
	var c constructor
	err := json.Unmarshal(arguments, &c)
	n := &NAFNet{Width: c.Width, EncBlocks: c.EncBlks, MiddleBlocks: c.MiddleBlk, DecBlocks: c.DecBlks, Original: true}
	if len(c.TrainSize) == 4 {
		n.TLC = TLC{Train: [2]int(c.TrainSize[2:])}
	}
	return n, err
}

// network builds the network of a case or skips, by name, what is not supported.
func (c constructor) network(t *testing.T, architecture string) Network {
	t.Helper()
	build, ok := parityNetworks[architecture]
	if !ok {
		t.Skipf("network %s is not supported", architecture)
	}
	network, err := build(c.arguments)
	must(t, err)
	must(t, network.Validate())
	return network
}

func (c constructor) classifier(t *testing.T, architecture string) Classifier {
	t.Helper()
	classifier := Classifier{FeatureDims: c.FeatureDims, Classes: c.Classes, Blocks: 2, SameRes: c.Downsample}
	if c.ResBlocks != nil {
		classifier.Blocks = *c.ResBlocks
	}
	if classifier.Classes == 0 {
		classifier.Classes = 3 // the official default
	}
	switch architecture {
	case "PromptIR_NoImg_DC":
	case "PromptIR_DC":
		classifier.ImageInput = true
	default:
		t.Skipf("classifier %s is not supported", architecture)
	}
	return classifier
}

// networkPrefixes are the folders that hold a network with inputs, outputs and gradients.
var networkPrefixes = []string{"nafnet", "restormer", "promptir", "swinir", "rcan"}

func TestParityNetworks(t *testing.T) {
	forEachBackend(t, paritytest.Cases(t, networkPrefixes...), testNetworkParity)
}

// TestOriginalNetworks compares the forms that DCPT has changed with the projects that they come from.
func TestOriginalNetworks(t *testing.T) {
	forEachBackend(t, paritytest.Originals(t), testNetworkParity)
}

func TestParityClassifiers(t *testing.T) {
	forEachBackend(t, paritytest.Cases(t, "dc_"), testClassifierParity)
}

// goBackendLimit is the size in bytes of the weights up to which a case also runs on the pure Go
// backend, which is slow.
const goBackendLimit = 1 << 20

// besideOthers lets a test run beside others. XLA compiles on one core, and these tests do little else.
// The largest networks run alone, for they take gigabytes.
func besideOthers(t *testing.T, folder string) {
	if info, err := os.Stat(filepath.Join(folder, "case.json")); err == nil && info.Size() > largeCase {
		return
	}
	t.Parallel()
}

// largeCase is the size in bytes of the case.json (most of it is a row for every weight) from which
// on a case runs alone.
const largeCase = 100 << 10

// fitsGoBackend tells whether the weights of a case are below that limit.
func fitsGoBackend(folder, weights string) bool {
	info, err := os.Stat(filepath.Join(folder, weights))
	if errors.Is(err, fs.ErrNotExist) { // given by formula
		var c struct{ Parameters int64 }
		data, err := os.ReadFile(filepath.Join(folder, "case.json"))
		return err == nil && json.Unmarshal(data, &c) == nil && c.Parameters > 0 && 4*c.Parameters <= goBackendLimit
	}
	return err == nil && info.Size() <= goBackendLimit
}

// forEachBackend checks each case on the tests' backend and, where it is small, on the pure Go one.
func forEachBackend(t *testing.T, folders []string, check func(t *testing.T, backend compute.Backend, folder string)) {
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			small := fitsGoBackend(folder, "weights.safetensors")
			if testing.Short() && !small {
				t.Skip("takes long")
			}
			besideOthers(t, folder)
			t.Run("xla", func(t *testing.T) { check(t, backendtest.ForTest(t), folder) })
			if small {
				t.Run("go", func(t *testing.T) { check(t, backendtest.Go(t), folder) })
			}
		})
	}
}

func testNetworkParity(t *testing.T, backend compute.Backend, folder string) {
	var c parityCase
	paritytest.Case(t, folder, &c)
	if c.Scaled != nil {
		c.Constructor.add(t, "scaled", c.Scaled)
	}
	network := c.Constructor.network(t, c.Architecture)
	data := readVectors(t, filepath.Join(folder, "data.safetensors"))
	store := model.NewStore()
	must(t, InitNetwork(backend, store, NetworkScope, network))
	if got := CountParameters(store, NetworkScope); got != c.Parameters {
		t.Errorf("%d parameters, want %d", got, c.Parameters)
	}
	must(t, ImportWeights(store, NetworkScope, c.weights(t, folder)))

	input := toNHWC(t, data["input"])
	variables := trainable(store, NetworkScope)
	var names []string
	for _, v := range variables {
		names = append(names, torch.Name(strings.TrimPrefix(v.Path(), NetworkScope)))
	}

	// Inference form: output and features.
	exec := model.MustNewExec(backend, store, func(root *model.Scope, x *Node) []*Node {
		y, features := network.Forward(store.Scope(NetworkScope), x)
		return append([]*Node{y}, features...)
	})
	defer exec.Finalize()
	outputs := exec.MustCall(input)
	compare(t, "output", outputs[0], data["output"], c.Tolerance.Output)
	features := featureNames(data)
	positions := featurePositions(t, network, features)
	for i, name := range features {
		compare(t, name, outputs[1+positions[i]], data[name], c.Tolerance.Feature)
	}
	if odd, ok := data["odd.input"]; ok {
		padExec := model.MustNewExec(backend, store, func(root *model.Scope, x *Node) []*Node {
			h, w := x.Shape().Dim(1), x.Shape().Dim(2)
			multiple := orDefault(c.Constructor.WindowSize, network.SizeMultiple())
			bottom, right := (multiple-h%multiple)%multiple, (multiple-w%multiple)%multiple
			padded := layers.ReflectPad(x, bottom, right)
			if strings.HasPrefix(c.Odd.Mode, "zeros") { // as NAFNet's own project pads
				padded = Pad(x, ScalarZero(x.Graph(), x.DType()), PadAxis{}, PadAxis{End: bottom}, PadAxis{End: right}, PadAxis{})
			}
			y, _ := network.Forward(store.Scope(NetworkScope), padded)
			return []*Node{padded, Slice(y, AxisRange(), AxisRange(0, h), AxisRange(0, w))}
		})
		defer padExec.Finalize()
		result := padExec.MustCall(toNHWC(t, odd))
		if padded, ok := data["odd.input_padded"]; ok { // not of networks that pad inside
			compare(t, "odd.input_padded", result[0], padded, 0)
		}
		compare(t, "odd.output", result[1], data["odd.output"], c.Tolerance.Output)
	}

	if strings.HasSuffix(c.Architecture, "Local") {
		return // TLC has no part in training
	}
	// Training form: output, features and every gradient of mean(output**2).
	gradExec := model.MustNewExec(backend, store, func(root *model.Scope, x *Node) []*Node {
		store.SetTraining(x.Graph(), true)
		y, features := network.Forward(store.Scope(NetworkScope), x)
		loss := ReduceAllMean(Square(y))
		wrt := []*Node{x}
		for _, v := range variables {
			wrt = append(wrt, v.NodeValue(x.Graph()))
		}
		results := append([]*Node{y, loss}, features...)
		return append(results, Gradient(loss, wrt...)...)
	})
	defer gradExec.Finalize()
	results := gradExec.MustCall(input)
	compare(t, "training form: output", results[0], data["output"], c.Tolerance.Output)
	if got := float64(tensors.ToScalar[float32](results[1])); !(math.Abs(got-c.GradLoss) <= c.Tolerance.Output*math.Abs(c.GradLoss)) {
		t.Errorf("loss %v, want %v", got, c.GradLoss)
	}
	for i, name := range features {
		compare(t, "training form: "+name, results[2+positions[i]], data[name], c.Tolerance.Feature)
	}
	gradients := results[2+len(network.Features()):]
	compare(t, "grad.input", gradients[0], data["grad.input"], c.Tolerance.Grad)
	compareGradients(t, names, gradients[1:], data, c.GradL2, c.Tolerance.Grad)
}

func testClassifierParity(t *testing.T, backend compute.Backend, folder string) {
	var c parityCase
	paritytest.Case(t, folder, &c)
	classifier := c.Constructor.classifier(t, c.Architecture)
	data := readVectors(t, filepath.Join(folder, "data.safetensors"))
	store := model.NewStore()
	must(t, InitClassifier(backend, store, ClassifierScope, classifier))
	if got := CountParameters(store, ClassifierScope); got != c.Parameters {
		t.Errorf("%d parameters, want %d", got, c.Parameters)
	}
	must(t, ImportWeights(store, ClassifierScope, c.weights(t, folder)))

	var inputs []any
	names := featureNames(data)
	for _, name := range names {
		inputs = append(inputs, tokensToNHWC(toNHWC(t, data[name])))
	}
	if classifier.ImageInput {
		inputs = append(inputs, toNHWC(t, data["lq"]))
	}
	ids, err := data["labels"].Int64()
	must(t, err)
	labels := make([]int32, len(ids))
	for i, id := range ids {
		labels[i] = int32(id)
	}
	inputs = append(inputs, tensors.FromFlatDataAndDimensions(labels, len(labels)))

	variables := trainable(store, ClassifierScope)
	var weightNames []string
	for _, v := range variables {
		weightNames = append(weightNames, torch.Name(strings.TrimPrefix(v.Path(), ClassifierScope)))
	}
	// Once in the form for inference, logits only, and once in the form for training.
	for _, train := range []bool{false, true} {
		exec := model.MustNewExec(backend, store, func(root *model.Scope, in []*Node) []*Node {
			g := in[0].Graph()
			store.SetTraining(g, train)
			var image *Node
			if classifier.ImageInput {
				image = in[len(names)]
			}
			logits := classifier.Forward(store.Scope(ClassifierScope), image, in[:len(names)])
			loss := ClassifyLoss{Kind: "CrossEntropyLoss"}.Node(logits, in[len(in)-1])
			if !train {
				return []*Node{logits, loss}
			}
			wrt := slices.Clone(in[:len(in)-1])
			for _, v := range variables {
				wrt = append(wrt, v.NodeValue(g))
			}
			return append([]*Node{logits, loss}, Gradient(loss, wrt...)...)
		})
		results := exec.MustCall(inputs...)
		exec.Finalize()
		compare(t, "logits", results[0], data["logits"], c.Tolerance.Output)
		if got := float64(tensors.ToScalar[float32](results[1])); !(math.Abs(got-c.LossValue) <= c.Tolerance.Output*math.Abs(c.LossValue)) {
			t.Errorf("loss %v, want %v", got, c.LossValue)
		}
		if !train {
			continue
		}
		gradients := results[2:]
		for i, name := range names {
			compare(t, "grad."+name, gradients[i], data["grad."+name], c.Tolerance.Grad)
		}
		if classifier.ImageInput {
			compare(t, "grad.lq", gradients[len(names)], data["grad.lq"], c.Tolerance.Grad)
		}
		compareGradients(t, weightNames, gradients[len(inputs)-1:], data, c.GradL2, c.Tolerance.Grad)
	}
}

// compareGradients checks the gradients that are stored in full, and the norm of every one.
func compareGradients(t *testing.T, names []string, got []*tensors.Tensor, data map[string]torch.Tensor, norms map[string]float64, tolerance float64) {
	t.Helper()
	if len(names) != len(norms) {
		t.Errorf("%d parameters, the case has %d", len(names), len(norms))
	}
	stored := 0
	for name := range data {
		if strings.HasPrefix(name, "grad:") {
			stored++
		}
	}
	for i, name := range names {
		want, ok := norms[name]
		if !ok {
			t.Errorf("the case has no parameter %q", name)
			continue
		}
		sum := 0.0
		for _, v := range tensors.MustCopyFlatData[float32](got[i]) {
			sum += float64(v) * float64(v)
		}
		if norm := math.Sqrt(sum); !(math.Abs(norm-want) <= tolerance*want) {
			t.Errorf("gradient of %s has norm %v, want %v", name, norm, want)
		}
		if vector, ok := data["grad:"+name]; ok {
			stored--
			compare(t, "grad:"+name, got[i], vector, tolerance)
		}
	}
	if stored != 0 {
		t.Errorf("%d of the stored gradients were not compared", stored)
	}
}

// compare checks max|got-want| <= tolerance * max|want|; want is in PyTorch's layout.
func compare(t *testing.T, name string, got *tensors.Tensor, want torch.Tensor, tolerance float64) {
	t.Helper()
	reference, err := want.Float32()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(reference) == 0 {
		t.Errorf("%s: nothing to compare with", name)
		return
	}
	values := tensors.MustCopyFlatData[float32](got)
	dims := got.Shape().Dimensions
	if strings.HasPrefix(name, "grad:") {
		values, dims, err = torch.ToTorch(values, dims)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	} else if len(dims) == 4 && len(want.Shape) == 3 { // PyTorch has it as tokens [N, H*W, C]
		dims = []int{dims[0], dims[1] * dims[2], dims[3]}
	} else if len(dims) == 4 {
		values = toNCHW(values, dims)
		dims = []int{dims[0], dims[3], dims[1], dims[2]}
	}
	if !slices.Equal(dims, want.Shape) {
		t.Errorf("%s: shape %v, want %v", name, dims, want.Shape)
		return
	}
	worst, largest := 0.0, 0.0
	for i, w := range reference {
		d := math.Abs(float64(values[i]) - float64(w))
		if math.IsNaN(d) {
			worst = math.Inf(1)
		}
		worst, largest = max(worst, d), max(largest, math.Abs(float64(w)))
	}
	if worst > tolerance*largest {
		t.Errorf("%s: off by %.3g of its largest value, tolerance %.3g", name, worst/largest, tolerance)
	}
}

// weights reads a case's weights, or computes them where they are given by formula.
func (c parityCase) weights(t *testing.T, folder string) Weights {
	t.Helper()
	if c.WeightTable == nil {
		return readVectors(t, filepath.Join(folder, "weights.safetensors"))
	}
	weights := Weights{}
	for name, entry := range c.WeightTable {
		values := make([]float32, size(entry.Shape))
		formulaValues(values, name, c.Seed, entry.Offset, entry.Scale)
		for i, want := range entry.First {
			if values[i] != float32(want) {
				t.Fatalf("formula: %s[%d] = %v, want %v", name, i, values[i], want)
			}
		}
		weights[name] = torch.Float32Tensor(values, entry.Shape...)
	}
	return weights
}

// formulaValues is section 2 of the parity README.
func formulaValues(values []float32, name string, seed uint64, offset, scale float64) {
	hash := uint64(0xcbf29ce484222325)
	for _, b := range []byte(name) {
		hash = (hash ^ uint64(b)) * 0x100000001b3
	}
	for i := range values {
		z := (hash ^ seed) + uint64(i+1)*0x9E3779B97F4A7C15
		z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
		z = (z ^ (z >> 27)) * 0x94D049BB133111EB
		z ^= z >> 31
		u := float64(z>>40)/(1<<23) - 1
		values[i] = float32(offset + scale*u)
	}
}

// featurePositions finds the features of a case ("feature.0:decoder3.0") among those that the network
// declares, which must come in the same order; it may declare more than the official hooks reach.
func featurePositions(t *testing.T, network Network, names []string) []int {
	t.Helper()
	var positions []int
	declared := network.Features()
	next := 0
	for _, name := range names {
		_, module, _ := strings.Cut(name, ":")
		for next < len(declared) && declared[next].Module != module {
			next++
		}
		if next == len(declared) {
			t.Fatalf("feature %s is not among %v, or out of order", name, declared)
		}
		positions = append(positions, next)
	}
	return positions
}

// featureNames lists "feature.0:...", "feature.1:..." in order.
func featureNames(data map[string]torch.Tensor) []string {
	var names []string
	for name := range data {
		if strings.HasPrefix(name, "feature.") {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(a, b) })
	return names
}

func readVectors(t testing.TB, path string) map[string]torch.Tensor {
	t.Helper()
	vectors, _, err := torch.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

// toNHWC moves an NCHW image or feature; tokens and matrices stay as they are.
func toNHWC(t testing.TB, tensor torch.Tensor) *tensors.Tensor {
	t.Helper()
	values, err := tensor.Float32()
	if err != nil {
		t.Fatal(err)
	}
	d := tensor.Shape
	if len(d) != 4 {
		return tensors.FromFlatDataAndDimensions(values, d...)
	}
	moved := make([]float32, len(values))
	n, c, h, w := d[0], d[1], d[2], d[3]
	for i := range n {
		for k := range c {
			for p := range h * w {
				moved[(i*h*w+p)*c+k] = values[(i*c+k)*h*w+p]
			}
		}
	}
	return tensors.FromFlatDataAndDimensions(moved, n, h, w, c)
}

// tokensToNHWC makes tokens [N, H*W, C] of square images these images; others stay as they are.
func tokensToNHWC(tensor *tensors.Tensor) *tensors.Tensor {
	d := tensor.Shape().Dimensions
	if len(d) != 3 {
		return tensor
	}
	side := int(math.Sqrt(float64(d[1])))
	return tensors.FromFlatDataAndDimensions(tensors.MustCopyFlatData[float32](tensor), d[0], side, side, d[2])
}

func toNCHW(values []float32, d []int) []float32 {
	n, h, w, c := d[0], d[1], d[2], d[3]
	moved := make([]float32, len(values))
	for i := range n {
		for k := range c {
			for p := range h * w {
				moved[(i*c+k)*h*w+p] = values[(i*h*w+p)*c+k]
			}
		}
	}
	return moved
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
