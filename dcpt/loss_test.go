package dcpt

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// lossBackends returns the tests' backend and the pure Go one.
func lossBackends(t *testing.T) map[string]compute.Backend {
	t.Helper()
	main, pureGo := backendtest.ForTest(t), backendtest.Go(t)
	return map[string]compute.Backend{main.Name(): main, pureGo.Name(): pureGo}
}

// lossRow is a row of a losses case: an official class, its constructor's arguments, and the names
// of its input tensors.
type lossRow struct {
	ID          string          `json:"id"`
	Loss        string          `json:"loss"`
	Reduction   string          `json:"reduction"`
	LossWeight  float64         `json:"loss_weight"`
	Pred        string          `json:"pred"`
	Target      string          `json:"target"`
	Weight      string          `json:"weight"`
	Eps         float64         `json:"eps"`
	Delta       float64         `json:"delta"`
	Beta        float64         `json:"beta"`
	ToY         bool            `json:"toY"`
	Logits      string          `json:"logits"`
	Labels      string          `json:"labels"`
	Alpha       string          `json:"alpha"`
	Gamma       float64         `json:"gamma"`
	IgnoreIndex *int            `json:"ignore_index"`
	Value       json.RawMessage `json:"value"` // numbers, or a sentence naming a tensor
}

// lossCase is a losses folder.
type lossCase struct {
	Rows      []lossRow `json:"rows"`
	Tolerance struct {
		Value float64 `json:"value_rel"`
		Grad  float64 `json:"grad_rel"`
	} `json:"tolerance"`
	tensors map[string]torch.Tensor
}

// tensor returns a float tensor of the case as a GoMLX tensor.
func (c *lossCase) tensor(t *testing.T, name string) *tensors.Tensor {
	t.Helper()
	raw, ok := c.tensors[name]
	if !ok {
		t.Fatalf("no tensor %q in data.safetensors", name)
	}
	values, err := raw.Float32()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tensors.FromFlatDataAndDimensions(values, raw.Shape...)
}

// labels returns the labels of a row: a tensor, or "all <label>" for every sample of the logits.
func (c *lossCase) labels(t *testing.T, row lossRow) []int32 {
	t.Helper()
	if text, ok := strings.CutPrefix(row.Labels, "all "); ok {
		label, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("labels %q: %v", row.Labels, err)
		}
		logits := c.tensors[row.Logits]
		return slices.Repeat([]int32{int32(label)}, logits.Size()/logits.Shape[1])
	}
	values, err := c.tensors[row.Labels].Int64()
	if err != nil {
		t.Fatalf("labels %q: %v", row.Labels, err)
	}
	out := make([]int32, len(values))
	for i, v := range values {
		out[i] = int32(v)
	}
	return out
}

// expected returns the value of a row: the tensor <id>.value, or the numbers of the row.
func (c *lossCase) expected(t *testing.T, row lossRow) []float32 {
	t.Helper()
	if raw, ok := c.tensors[row.ID+".value"]; ok {
		values, err := raw.Float32()
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	var list []float32
	if json.Unmarshal(row.Value, &list) == nil {
		return list
	}
	var one float32
	if err := json.Unmarshal(row.Value, &one); err != nil {
		t.Fatalf("row without a value: %v", err)
	}
	return []float32{one}
}

// TestParityLosses compares values and gradients of every row with the official classes, on XLA
// and on the pure Go backend, within the tolerance of the case.
func TestParityLosses(t *testing.T) {
	backends := lossBackends(t)
	for _, dir := range paritytest.Cases(t, "losses") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c lossCase
			paritytest.Case(t, dir, &c)
			if c.Tolerance.Value == 0 || c.Tolerance.Grad == 0 || len(c.Rows) == 0 {
				t.Fatal("no rows or no tolerance in case.json")
			}
			var err error
			if c.tensors, _, err = torch.ReadSafetensors(filepath.Join(dir, "data.safetensors")); err != nil {
				t.Fatal(err)
			}
			for name, backend := range backends {
				for _, row := range c.Rows {
					t.Run(name+"/"+row.ID, func(t *testing.T) { c.check(t, backend, row) })
				}
			}
		})
	}
}

// check compares one row.
func (c *lossCase) check(t *testing.T, backend compute.Backend, row lossRow) {
	var value, grad []float32
	want := c.expected(t, row)
	switch {
	case slices.Contains(classifyLossKinds, row.Loss):
		value, grad = c.classify(t, backend, row)
	case slices.Contains(pixelLossKinds, row.Loss):
		value, grad = c.pixel(t, backend, row)
	default:
		t.Skipf("loss %s is not supported", row.Loss)
	}
	near(t, "value", value, want, c.Tolerance.Value)
	if raw, ok := c.tensors[row.ID+".grad"]; ok {
		wantGrad, err := raw.Float32()
		if err != nil {
			t.Fatal(err)
		}
		near(t, "gradient", grad, wantGrad, c.Tolerance.Grad)
	}
}

// classify computes a row of ClassifyLoss. Values of ignored labels are left out, as in the
// official "none" reduction.
func (c *lossCase) classify(t *testing.T, backend compute.Backend, row lossRow) (value, grad []float32) {
	loss := ClassifyLoss{Kind: row.Loss, Weight: row.LossWeight, Reduction: row.Reduction, Gamma: row.Gamma, IgnoreIndex: row.IgnoreIndex}
	if row.Alpha != "" {
		alpha, err := c.tensors[row.Alpha].Float32()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alpha {
			loss.Alpha = append(loss.Alpha, float64(a))
		}
	}
	if err := loss.Validate(); err != nil {
		t.Fatal(err)
	}
	logits, labels := c.tensor(t, row.Logits), c.labels(t, row)
	dims := slices.Concat([]int{logits.Shape().Dimensions[0]}, logits.Shape().Dimensions[2:])
	value, grad = valueAndGradient(t, backend, func(in []*Node) *Node {
		return loss.Node(channelsLast(in[0]), in[1])
	}, logits, tensors.FromFlatDataAndDimensions(labels, dims...))
	if row.Reduction == reduceNone && row.IgnoreIndex != nil {
		kept := value[:0]
		for i, label := range labels {
			if int(label) != *row.IgnoreIndex {
				kept = append(kept, value[i])
			} else if value[i] != 0 {
				t.Errorf("the ignored label %d has loss %v", i, value[i])
			}
		}
		value = kept
	}
	return value, grad
}

// pixel computes a row of PixelLoss.
func (c *lossCase) pixel(t *testing.T, backend compute.Backend, row lossRow) (value, grad []float32) {
	loss := PixelLoss{Kind: row.Loss, Weight: row.LossWeight, Reduction: row.Reduction, Eps: row.Eps, Beta: row.Beta, Delta: row.Delta, ToY: row.ToY}
	if err := loss.Validate(); err != nil {
		t.Fatal(err)
	}
	inputs := []any{c.tensor(t, row.Pred)}
	if row.Target != "" {
		inputs = append(inputs, c.tensor(t, row.Target))
	}
	if row.Weight != "" {
		inputs = append(inputs, c.tensor(t, row.Weight))
	}
	return valueAndGradient(t, backend, func(in []*Node) *Node {
		var target, weight *Node
		if row.Target != "" {
			target = channelsLast(in[1])
		}
		if row.Weight != "" {
			weight = channelsLast(in[len(in)-1])
		}
		value := loss.WeightedNode(channelsLast(in[0]), target, weight)
		if value.Rank() == 4 {
			value = TransposeAllAxes(value, 0, 3, 1, 2) // the order of the stored values
		}
		return value
	}, inputs...)
}

// channelsLast turns [N, C, ...] into [N, ..., C].
func channelsLast(x *Node) *Node {
	axes := []int{0}
	for i := 2; i < x.Rank(); i++ {
		axes = append(axes, i)
	}
	return TransposeAllAxes(x, append(axes, 1)...)
}

// valueAndGradient runs a graph and the gradient of the sum of its values for the first input.
func valueAndGradient(t *testing.T, backend compute.Backend, build func(in []*Node) *Node, inputs ...any) (value, grad []float32) {
	t.Helper()
	out, err := CallOnceN(backend, func(in []*Node) []*Node {
		value := build(in)
		return []*Node{value, Gradient(ReduceAllSum(value), in[0])[0]}
	}, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
}

// near demands max|got-want| <= rel * max|want|.
func near(t *testing.T, what string, got, want []float32, rel float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	var worst, size float64
	for i := range want {
		size = max(size, math.Abs(float64(want[i])))
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
		worst = max(worst, d)
	}
	if worst > rel*size {
		t.Errorf("%s differs by up to %.3g, allowed are %.3g (values up to %.3g)", what, worst, rel*size, size)
	}
}

// TestClassifyLossExtremes demands finite values and gradients where formulas overflow: scores far
// apart, probability exactly 1, gamma below 1 (infinite slope of (1-p)^gamma), infinite scores.
func TestClassifyLossExtremes(t *testing.T) {
	inf := float32(math.Inf(1))
	logits := [][]float32{
		{1e30, 0, -1e30}, {0, 1e30, -1e30}, {200, 0, 0}, {18, 0, 0}, {0, 0, 0}, {0, -inf, 3}, {-3e38, 3e38, 0},
	}
	labels := []int32{0, 0, 0, 0, 2, 0, 1}
	for name, backend := range lossBackends(t) {
		for _, gamma := range []float64{0, 0.1, 0.5, 1, 2, 5} {
			t.Run(fmt.Sprintf("%s/gamma_%v", name, gamma), func(t *testing.T) {
				loss := ClassifyLoss{Kind: lossFocal, Gamma: gamma, Reduction: reduceNone}
				value, grad := valueAndGradient(t, backend, func(in []*Node) *Node {
					return loss.Node(in[0], in[1])
				}, logits, labels)
				for i, v := range append(slices.Clone(value), grad...) {
					if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
						t.Errorf("element %d of values and gradients is %v", i, v)
					}
				}
			})
		}
	}
}

func TestClassifyLossLabels(t *testing.T) {
	logits := [][]float32{{1, 2, 3}, {3, 2, 1}}
	run := func(t *testing.T, backend compute.Backend, l ClassifyLoss, labels any) (value, grad []float32) {
		return valueAndGradient(t, backend, func(in []*Node) *Node { return l.Node(in[0], in[1]) }, logits, labels)
	}
	for name, backend := range lossBackends(t) {
		t.Run(name, func(t *testing.T) {
			ce := ClassifyLoss{Kind: lossCrossEntropy}
			for _, label := range []int32{3, -1} {
				if value, _ := run(t, backend, ce, []int32{0, label}); !math.IsNaN(float64(value[0])) {
					t.Errorf("label %d of 3 classes gave the loss %v, want NaN", label, value[0])
				}
			}
			value, grad := run(t, backend, ce, []int32{-100, -100})
			if value[0] != 0 || slices.ContainsFunc(grad, func(v float32) bool { return v != 0 }) {
				t.Errorf("all ignored: loss %v, gradient %v, want 0", value, grad)
			}
			// Labels of any integer type; ignoring class 0 leaves the second sample:
			// log(e^3+e^2+e^1) - 2.
			zero := 0
			ce.IgnoreIndex = &zero
			value, _ = run(t, backend, ce, []int64{0, 1})
			near(t, "ignoring class 0", value, []float32{1.4076059}, 1e-6) // float32 rounding of one log
		})
	}
}

// TestPixelLossAtEquality: a perfect copy has gradient 0 for every kind. GoMLX's own Abs fails
// this for the first.
func TestPixelLossAtEquality(t *testing.T) {
	image := [][][][]float32{{{{0, 0.25, 0.5}, {0.75, 1, 0.1}}}}
	for name, backend := range lossBackends(t) {
		for _, kind := range pixelLossKinds {
			if kind == lossTV {
				continue // compares with nothing
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				value, grad := valueAndGradient(t, backend, func(in []*Node) *Node {
					return PixelLoss{Kind: kind}.Node(in[0], StopGradient(in[0]))
				}, image)
				want := map[string]float32{lossPSNR: -80, lossCharbonnier: 1e-6}[kind]
				near(t, "value", value, []float32{want}, 1e-6) // exact up to the float32 logarithm
				if slices.ContainsFunc(grad, func(v float32) bool { return v != 0 }) {
					t.Errorf("gradient %v, want 0", grad)
				}
			})
		}
	}
}

func TestLossValidate(t *testing.T) {
	for _, c := range []struct {
		loss interface{ Validate() error }
		want string // in the message; "" for no error
	}{
		{PixelLoss{Kind: "L1Loss", Weight: 0.5}, ""},
		{PixelLoss{Kind: "CharbonnierLoss", Eps: 1e-3, Reduction: "sum"}, ""},
		{PixelLoss{Kind: "PSNRLoss", ToY: true}, ""},
		{PixelLoss{Kind: "CharbonierLoss"}, `did you mean "CharbonnierLoss"`},
		{PixelLoss{Kind: "FocalLoss"}, "known: L1Loss, MSELoss"},
		{PixelLoss{}, "choose one of L1Loss"},
		{PixelLoss{Kind: "L1Loss", Reduction: "average"}, "known: mean, sum, none"},
		{PixelLoss{Kind: "PSNRLoss", Reduction: "sum"}, `reduction "sum" is not possible`},
		{PixelLoss{Kind: "WeightedTVLoss", Reduction: "none"}, "different shapes"},
		{PixelLoss{Kind: "L1Loss", Eps: 1e-3}, "eps belongs to CharbonnierLoss"},
		{PixelLoss{Kind: "L1Loss", ToY: true}, "to_y belongs to PSNRLoss"},
		{PixelLoss{Kind: "HuberLoss", Delta: -1}, "delta is -1"},
		{PixelLoss{Kind: "L1Loss", Weight: math.NaN()}, "weight is NaN"},
		{ClassifyLoss{Kind: "FocalLoss", Gamma: 2, Alpha: []float64{1, 2}}, ""},
		{ClassifyLoss{Kind: "FocallLoss"}, `did you mean "FocalLoss"`},
		{ClassifyLoss{Kind: "CrossEntropyLoss", Gamma: 2}, "belong to FocalLoss"},
		{ClassifyLoss{Kind: "FocalLoss", Alpha: []float64{-1}}, "must not be negative"},
		{ClassifyLoss{Kind: "FocalLoss", Reduction: "x"}, "known: mean, sum, none"},
	} {
		err := c.loss.Validate()
		if c.want == "" && err != nil {
			t.Errorf("%+v: %v", c.loss, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want a message with %q", c.loss, err, c.want)
		}
	}
}

// TestLossPanics: what a graph cannot be built from stops with a message, not with a wrong graph.
func TestLossPanics(t *testing.T) {
	image := tensors.FromFlatDataAndDimensions(make([]float32, 12), 1, 2, 2, 3)
	grey := tensors.FromFlatDataAndDimensions(make([]float32, 4), 1, 2, 2, 1)
	labels := tensors.FromValue([]int32{0})
	backend := backendtest.Go(t)
	for name, c := range map[string]struct {
		build func(a, b *Node) *Node
		a, b  *tensors.Tensor
		want  string
	}{
		"shapes differ":     {PixelLoss{Kind: "L1Loss"}.Node, image, grey, "differ"},
		"grey luma":         {PixelLoss{Kind: "PSNRLoss", ToY: true}.Node, grey, grey, "RGB"},
		"not images":        {PixelLoss{Kind: "L1Loss"}.Node, labels, labels, "[N, H, W, C]"},
		"invalid":           {PixelLoss{Kind: "L3Loss"}.Node, image, image, "unknown pixel loss"},
		"weighted PSNR":     {func(a, b *Node) *Node { return PixelLoss{Kind: "PSNRLoss"}.WeightedNode(a, b, a) }, image, image, "no element weights"},
		"alpha per class":   {ClassifyLoss{Kind: "FocalLoss", Alpha: []float64{1, 1}}.Node, tensors.FromValue([][]float32{{1, 2, 3}}), labels, "alpha has 2 values for 3"},
		"labels per logits": {ClassifyLoss{Kind: "CrossEntropyLoss"}.Node, tensors.FromValue([][]float32{{1, 2}, {3, 4}}), labels, "do not fit"},
	} {
		if _, err := CallOnce(backend, c.build, c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a message with %q", name, err, c.want)
		}
	}
}

// TestLossYAML: recipes decode into the structs, and a wrong key is an error.
func TestLossYAML(t *testing.T) {
	var pixel PixelLoss
	if err := yaml.UnmarshalWithOptions([]byte("kind: PSNRLoss\nweight: 0.5\nto_y: true\n"), &pixel, yaml.Strict()); err != nil || pixel != (PixelLoss{Kind: "PSNRLoss", Weight: 0.5, ToY: true}) {
		t.Errorf("%+v, %v", pixel, err)
	}
	var focal ClassifyLoss
	if err := yaml.UnmarshalWithOptions([]byte("kind: FocalLoss\ngamma: 2\nalpha: [1, 0.5]\nignore_index: 0\n"), &focal, yaml.Strict()); err != nil ||
		focal.Gamma != 2 || !slices.Equal(focal.Alpha, []float64{1, 0.5}) || focal.IgnoreIndex == nil || *focal.IgnoreIndex != 0 {
		t.Errorf("%+v, %v", focal, err)
	}
	var schedule Schedule
	text := "kind: CosineAnnealingRestartLR\nperiods: [10, 20]\nrestart_weights: [1, 0.5]\neta_min: [1e-6, 1e-7]\nwarmup_iter: 3\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &schedule, yaml.Strict()); err != nil || schedule.Validate(31) != nil {
		t.Errorf("%+v, %v", schedule, err)
	}
	if err := yaml.UnmarshalWithOptions([]byte("kind: L1Loss\nwieght: 2\n"), &pixel, yaml.Strict()); err == nil {
		t.Error("an unknown key was accepted")
	}
}
