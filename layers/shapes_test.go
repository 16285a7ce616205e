package layers_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/layers"
)

// buildConvolution builds a layer by the name that Convolution has for it, on its own.
var buildConvolution = map[string]func(c layers.Convolution, scope *model.Scope, x *Node) *Node{
	"Conv": func(c layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.Conv{Kernel: c.Kernel, Stride: c.Stride, Padding: c.Padding}.Apply(scope, x, c.Out)
	},
	"Depthwise3x3": func(_ layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.Depthwise3x3(scope, x, true)
	},
	"Downsample2x2": func(c layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.Downsample2x2(scope, x, c.Out)
	},
	"Upsample2x2": func(c layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.Upsample2x2(scope, x, c.Out)
	},
	"Norm.conv": func(c layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.NormConv(layers.Norm{}, scope, layers.Conv{Kernel: 1}, x, c.Out)
	},
	"Pointwise": func(c layers.Convolution, scope *model.Scope, x *Node) *Node {
		return layers.Pointwise(scope, x, c.Out, true)
	},
}

// unused are layers that compute nothing with their weights.
var unused = []string{"UnusedPointwise"}

// fewer are channels that stand for larger numbers of them: small numbers, which decide how some layers
// compute, stay, and others stay a multiple of the processor's vectors or none.
func fewer(channels int) int {
	const vector = 8
	switch {
	case channels <= vector:
		return channels
	case channels%vector == 0:
		return vector
	}
	return vector + vector/2
}

// record builds a graph without weights and returns what it consists of.
func record(t *testing.T, build func(scope *model.Scope, g *Graph)) *layers.Record {
	t.Helper()
	g := NewGraph(backendtest.Go(t), t.Name())
	defer g.Finalize()
	r := layers.NewRecord(g)
	defer r.Close(g)
	build(model.NewStore().RootScope(), g)
	return r
}

func zeros(g *Graph, dims ...int) *Node { return Zeros(g, shapes.Make(dtypes.Float32, dims...)) }

// convolutionsOf are the convolutions of a network and of the classifier that reads its features.
func convolutionsOf(t *testing.T, preset string) map[string]layers.Convolution {
	t.Helper()
	network, err := dcpt.NewNetwork(dcpt.NetworkConfig{"preset": preset})
	if err != nil {
		t.Fatal(err)
	}
	classifier := dcpt.Classifier{ImageInput: true}.Complete(network, 5)
	r := record(t, func(scope *model.Scope, g *Graph) {
		side := network.SizeMultiple()
		network.Forward(scope.In("network"), zeros(g, 1, side, side, 3))
		side = 2 << len(classifier.FeatureDims)
		var features []*Node
		for i, dim := range classifier.FeatureDims {
			features = append(features, zeros(g, 1, side>>i, side>>i, dim))
		}
		classifier.SameRes = false // pyramids and equal sizes go through the same convolutions
		classifier.Forward(scope.In("classifier"), zeros(g, 1, 2*side, 2*side, 3), features)
	})
	for name, dims := range r.Weights {
		if _, ok := r.Convolutions[name]; !ok && len(dims) == 4 && path.Base(name) == "weight" {
			t.Errorf("%s: what computes with %s %v is not in the record: the layer must call noteConvolution", preset, name, dims)
		}
	}
	return r.Convolutions
}

// networkConvolutions are the convolutions of all presets, each once, with fewer channels.
func networkConvolutions(t *testing.T) []layers.Convolution {
	t.Helper()
	found := map[layers.Convolution]string{}
	for _, preset := range dcpt.Presets() {
		for name, c := range convolutionsOf(t, preset) {
			if slices.Contains(unused, c.Layer) {
				continue
			}
			c.In, c.Out = fewer(c.In), fewer(c.Out)
			found[c] = preset + name
		}
	}
	for c, where := range found {
		build, ok := buildConvolution[c.Layer]
		if !ok {
			t.Fatalf("%s is computed by %s, which this test does not know: add it to buildConvolution", where, c.Layer)
		}
		r := record(t, func(scope *model.Scope, g *Graph) { build(c, scope, zeros(g, 1, height, width, c.In)) })
		if got := r.Convolutions["/weight"]; got != c {
			t.Errorf("%s: with fewer channels %+v becomes %+v: fewer must keep what decides about it", where, c, got)
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b layers.Convolution) int {
		return slices.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b)))
	})
}

// Size of the images, even for the layers that halve it.
const (
	images = 2
	height = 8
	width  = 6
)

// sequentialGo is the pure Go backend, one operation at a time. Its convolutions take a second worker
// while they hold one: where as many of them as there are workers can run at once, as here, they wait for
// each other for ever (compute 0.1.6).
func sequentialGo(t *testing.T) compute.Backend {
	t.Helper()
	backend, err := gobackend.New("ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

// probe is what a convolution gave for random images x and a random r of its result's shape.
type probe struct {
	y, zero, x, r, kernel, bias array // zero is the result for x = 0; bias is empty where there is none
	gradX, gradKernel, gradBias array // of <y, r>
}

type array []float32

func (a array) dot(b array) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

func (a array) minus(b array) array {
	difference := make(array, len(a))
	for i, v := range a {
		difference[i] = v - b[i]
	}
	return difference
}

func normal(rng *rand.Rand, dims ...int) *tensors.Tensor {
	shape := shapes.Make(dtypes.Float32, dims...)
	values := make([]float32, shape.Size())
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(values, dims...)
}

// runConvolutions probes layers in one graph, since compiling takes longer than computing.
func runConvolutions(t *testing.T, backend compute.Backend, list []func(scope *model.Scope, x *Node) *Node, inputs []int, training bool) []probe {
	t.Helper()
	store, rng := model.NewStore(), rand.New(rand.NewPCG(5, 6))
	var xs []any
	for _, channels := range inputs {
		xs = append(xs, normal(rng, images, height, width, channels))
	}
	var counts []int
	results, err := model.CallOnceN(backend, store, func(scope *model.Scope, in []*Node) []*Node {
		store.SetTraining(in[0].Graph(), training)
		var out []*Node
		counts = nil
		for i, layer := range list {
			nodes := probeNodes(scope.At("layer%d", i), layer, in[i], training)
			out, counts = append(out, nodes...), append(counts, len(nodes))
		}
		return out
	}, xs...)
	if err != nil {
		t.Fatal(err)
	}
	probes := make([]probe, len(list))
	for i := range probes {
		values := make([]array, 9)
		for k := range counts[i] {
			values[k] = tensors.MustCopyFlatData[float32](results[k])
		}
		results = results[counts[i]:]
		probes[i] = probe{values[0], values[1], values[2], values[3], values[4], values[7], values[5], values[6], values[8]}
	}
	return probes
}

// probeNodes are the values of a probe: y, zero, x, r, kernel, the gradients for x and kernel, and, where
// there is a bias, the bias and its gradient. Without training there are y and zero only.
func probeNodes(scope *model.Scope, layer func(*model.Scope, *Node) *Node, x *Node, training bool) []*Node {
	y, zero := layer(scope, x), layer(scope, ZerosLike(x))
	if !training {
		return []*Node{y, zero}
	}
	g := x.Graph()
	r := Sin(MulScalar(Iota(g, shapes.Make(dtypes.Float32, y.Shape().Size()), 0), 1.7)) // no pattern that an image has
	r = Reshape(r, y.Shape().Dimensions...)
	arguments := []*Node{x, scope.GetVariable("weight").NodeValue(g)}
	bias := scope.GetVariable("bias")
	if bias != nil {
		arguments = append(arguments, bias.NodeValue(g))
	}
	gradients := Gradient(ReduceAllSum(Mul(y, r)), arguments...)
	nodes := []*Node{y, zero, x, r, arguments[1], gradients[0], gradients[1]}
	if bias != nil {
		nodes = append(nodes, arguments[2], gradients[2])
	}
	return nodes
}

// gradientErrors compares inner products: a convolution is linear in its input and in its kernel, so
// <gradient for x, x> and <gradient for kernel, kernel> both are <conv(x), r>, whatever r is.
func (p probe) gradientErrors() []error {
	linear := p.y.minus(p.zero)
	want := linear.dot(p.r)
	// Both sides are sums of float32 values, whose rounding errors add up to some 1e-7 of the product of
	// the norms; a gradient that is wrong in one tap or pixel is off by 1e-3 of it and more.
	allowed := 2e-6 * math.Sqrt(linear.dot(linear)*p.r.dot(p.r))
	var errs []error
	check := func(what string, got, want float64) {
		if !(math.Abs(got-want) <= allowed) {
			errs = append(errs, fmt.Errorf("<gradient, %s> is %g, must be %g to within %.1g", what, got, want, allowed))
		}
	}
	check("input", p.gradX.dot(p.x), want)
	check("kernel", p.gradKernel.dot(p.kernel), want)
	if p.bias != nil {
		check("bias", p.gradBias.dot(p.bias), p.zero.dot(p.r))
	}
	return errs
}

// TestGradientsOfAllConvolutions checks, by linearity, the gradients of every convolution that a preset
// or its classifier uses, and that training and inference compute the same values. The shapes are those
// that the networks' own graphs have, so that what a new network uses is tested, too.
func TestGradientsOfAllConvolutions(t *testing.T) {
	all := networkConvolutions(t)
	var list []func(*model.Scope, *Node) *Node
	var inputs []int
	for _, c := range all {
		list = append(list, func(scope *model.Scope, x *Node) *Node { return buildConvolution[c.Layer](c, scope, x) })
		inputs = append(inputs, c.In)
	}
	backends := []compute.Backend{sequentialGo(t)}
	if tests := backendtest.ForTest(t); tests.Name() != backends[0].Name() {
		backends = append(backends, tests)
	}
	for _, backend := range backends {
		trained := runConvolutions(t, backend, list, inputs, true)
		inferred := runConvolutions(t, backend, list, inputs, false)
		for i, c := range all {
			t.Run(fmt.Sprintf("%s/%+v", backend.Name(), c), func(t *testing.T) {
				for _, err := range trained[i].gradientErrors() {
					t.Error(err)
				}
				// Sums of a few hundred products in another order.
				difference := trained[i].y.minus(inferred[i].y)
				if got, scale := difference.dot(difference), inferred[i].y.dot(inferred[i].y); !(got <= 1e-12*scale) {
					t.Errorf("training and inference differ by %.2g of the values' norm", math.Sqrt(got/scale))
				}
			})
		}
	}
}

// The check sees a gradient that is wrong by a thousandth, and one that is that of the pixel beside.
func TestGradientCheckSeesErrors(t *testing.T) {
	conv := func(scope *model.Scope, x *Node) *Node { return layers.Conv{Kernel: 3}.Apply(scope, x, 8) }
	wrong := func(gradient func(v *Node) *Node) func(*model.Scope, *Node) *Node {
		return func(scope *model.Scope, x *Node) *Node {
			return conv(scope, IdentityWithCustomGradient(x, func(_, v *Node) *Node { return gradient(v) }))
		}
	}
	list := []func(*model.Scope, *Node) *Node{
		conv,
		wrong(func(v *Node) *Node { return MulScalar(v, 1.001) }),
		wrong(func(v *Node) *Node {
			return Concatenate([]*Node{Slice(v, AxisRange(), AxisRange(1)), Slice(v, AxisRange(), AxisRange(0, 1))}, 1)
		}),
	}
	for i, p := range runConvolutions(t, sequentialGo(t), list, []int{5, 5, 5}, true) {
		if errs := p.gradientErrors(); len(errs) != min(i, 1) {
			t.Errorf("case %d: %v", i, errs)
		}
	}
}
