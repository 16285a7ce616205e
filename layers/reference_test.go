package layers

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// The tests compare each layer with a reference: plain loops in float64, written from the layer's
// definition. Gradients are those of a random linear functional of the output, and the reference's
// come from central differences.

// tolerance is for a layer's values and gradients in float32, relative to the largest magnitude of
// the tensor. The largest error seen is 2.4e-7 on either backend; the rest is room for other
// processors' order of summation. A wrong index, factor or epsilon is wrong by 1e-3 or more.
const tolerance = 3e-6

// array is a row-major tensor of the reference.
type array struct {
	dims   []int
	values []float64
}

func newArray(dims ...int) array {
	size := 1
	for _, d := range dims {
		size *= d
	}
	return array{dims: dims, values: make([]float64, size)}
}

func (a array) offset(index []int) int {
	offset := 0
	for axis, i := range index {
		if i < 0 || i >= a.dims[axis] {
			panic(fmt.Sprintf("index %v of an array %v", index, a.dims))
		}
		offset = offset*a.dims[axis] + i
	}
	return offset
}

func (a array) at(index ...int) float64 { return a.values[a.offset(index)] }

// indices yields the index of every element in order; the slice is reused.
func (a array) indices() iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		index := make([]int, len(a.dims))
		for k := range a.values {
			for axis, rest := len(a.dims)-1, k; axis >= 0; axis-- {
				index[axis], rest = rest%a.dims[axis], rest/a.dims[axis]
			}
			if !yield(index) {
				return
			}
		}
	}
}

// generate fills a new array with a function of the index.
func generate(dims []int, value func(i []int) float64) array {
	a := newArray(dims...)
	k := 0
	for index := range a.indices() {
		a.values[k] = value(index)
		k++
	}
	return a
}

// replaceLast returns dims with another last dimension.
func replaceLast(dims []int, last int) []int {
	dims = slices.Clone(dims)
	dims[len(dims)-1] = last
	return dims
}

// tensor converts to float32, exactly for values that random has made.
func (a array) tensor() *tensors.Tensor {
	values := make([]float32, len(a.values))
	for i, v := range a.values {
		values[i] = float32(v)
	}
	return tensors.FromFlatDataAndDimensions(values, a.dims...)
}

// random returns normally distributed values that float32 holds exactly.
func random(rng *rand.Rand, dims ...int) array {
	return generate(dims, func([]int) float64 { return float64(float32(rng.NormFloat64())) })
}

// randomWeights returns values far from zero, and from the one at which some weights start: a
// weight of 0 or 1 would hide wrong gradients of the others.
func randomWeights(rng *rand.Rand, dims ...int) array {
	return generate(dims, func([]int) float64 {
		v := 0.2 + 0.6*rng.Float64()
		if rng.IntN(2) == 0 {
			v = -v
		}
		return float64(float32(v))
	})
}

// layerCase is a layer with its sizes.
type layerCase struct {
	name    string
	inputs  [][]int
	weights map[string][]int // path below the case's scope -> shape: all weights of the layer

	build     func(scope *model.Scope, in []*Node) *Node
	reference func(in []array, w map[string]array) array

	prepare func(in []array) // changes the random inputs, if not nil
	step    float64          // of the central differences; 0 is 1e-4
	exact   bool             // the layer only moves values
}

// one makes the build function of a layer with one input and weights in the case's own scope.
func one(layer func(scope *model.Scope, x *Node) *Node) func(*model.Scope, []*Node) *Node {
	return func(scope *model.Scope, in []*Node) *Node { return layer(scope, in[0]) }
}

// plain is one for a layer without weights.
func plain(layer func(x *Node) *Node) func(*model.Scope, []*Node) *Node {
	return func(_ *model.Scope, in []*Node) *Node { return layer(in[0]) }
}

// expected is a case with its data and what the reference says about them.
type expected struct {
	layerCase
	in         []array
	w          map[string]array
	paths      []string // of w, sorted
	functional array    // the loss is its inner product with the output
	out        array
	gradients  []array // of in, then of w in the order of paths
}

func newExpected(c layerCase, rng *rand.Rand) *expected {
	e := &expected{layerCase: c, w: map[string]array{}, paths: slices.Sorted(maps.Keys(c.weights))}
	for _, dims := range c.inputs {
		e.in = append(e.in, random(rng, dims...))
	}
	if c.prepare != nil {
		c.prepare(e.in)
	}
	for _, path := range e.paths {
		e.w[path] = randomWeights(rng, c.weights[path]...)
	}
	e.out = c.reference(e.in, e.w)
	e.functional = random(rng, e.out.dims...)
	for _, a := range e.arguments() {
		e.gradients = append(e.gradients, e.differences(a))
	}
	return e
}

// arguments are all arrays to differentiate for, in the order of gradients.
func (e *expected) arguments() []array {
	arguments := slices.Clone(e.in)
	for _, path := range e.paths {
		arguments = append(arguments, e.w[path])
	}
	return arguments
}

// argumentName names the i-th of arguments.
func (e *expected) argumentName(i int) string {
	if i < len(e.in) {
		return fmt.Sprintf("input %d", i)
	}
	return e.paths[i-len(e.in)]
}

// differences returns the loss's gradient for a by central differences.
func (e *expected) differences(a array) array {
	step := e.step
	if step == 0 {
		step = 1e-4
	}
	gradient := newArray(a.dims...)
	for i, v := range a.values {
		a.values[i] = v + step
		above := inner(e.functional, e.reference(e.in, e.w))
		a.values[i] = v - step
		below := inner(e.functional, e.reference(e.in, e.w))
		a.values[i] = v
		gradient.values[i] = (above - below) / (2 * step)
	}
	return gradient
}

// inner is the inner product.
func inner(a, b array) float64 {
	sum := 0.0
	for i, v := range a.values {
		sum += v * b.values[i]
	}
	return sum
}

// testBackends returns the tests' backend and the pure Go one.
func testBackends(t *testing.T) []compute.Backend {
	t.Helper()
	all := []compute.Backend{backendtest.ForTest(t), backendtest.Go(t)}
	return slices.CompactFunc(all, func(a, b compute.Backend) bool { return a.Name() == b.Name() })
}

// checkLayers compares all cases on all backends: values in both forms, gradients in the training
// form. The cases share one graph per form because compiling takes much longer than computing.
func checkLayers(t *testing.T, cases []layerCase) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]*expected, len(cases))
	for i, c := range cases {
		all[i] = newExpected(c, rng)
	}
	for _, backend := range testBackends(t) {
		t.Run(backend.Name(), func(t *testing.T) {
			trained, inferred := runLayers(t, backend, all, true), runLayers(t, backend, all, false)
			for i, e := range all {
				t.Run(e.name, func(t *testing.T) { e.check(t, trained[i], inferred[i]) })
			}
		})
	}
}

// check compares results: the output and, from the training form, the gradients.
func (e *expected) check(t *testing.T, trained, inferred []*tensors.Tensor) {
	allowed := tolerance
	if e.exact {
		allowed = 0
	}
	near(t, "the training form", trained[0], e.out, allowed)
	near(t, "the inference form", inferred[0], e.out, allowed)
	near(t, "the training form and the inference form", trained[0], toArray(inferred[0]), allowed)
	for i, want := range e.gradients {
		near(t, "the gradient for "+e.argumentName(i), trained[1+i], want, tolerance)
	}
}

// runLayers computes all cases in one graph and returns, per case, the output and, if training, the
// gradients.
func runLayers(t *testing.T, backend compute.Backend, all []*expected, training bool) [][]*tensors.Tensor {
	t.Helper()
	store := model.NewStore()
	var arguments []any
	paths := []string{}
	for i, e := range all {
		for _, path := range e.paths {
			paths = append(paths, fmt.Sprintf("/case%d/%s", i, path))
			store.VariableWithValue(paths[len(paths)-1], e.w[path].tensor())
		}
		for _, a := range append(slices.Clone(e.in), e.functional) {
			arguments = append(arguments, a.tensor())
		}
	}
	results, err := model.CallOnceN(backend, store, func(scope *model.Scope, in []*Node) []*Node {
		store.SetTraining(in[0].Graph(), training)
		return buildLayers(scope, all, in, training)
	}, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	for v := range store.IterVariables() {
		if !slices.Contains(paths, v.Path()) {
			t.Errorf("a layer has made the weight %s, which its case does not list", v.Path())
		}
	}
	split := make([][]*tensors.Tensor, len(all))
	for i, e := range all {
		count := 1
		if training {
			count += len(e.gradients)
		}
		split[i], results = results[:count], results[count:]
	}
	return split
}

func buildLayers(scope *model.Scope, all []*expected, in []*Node, training bool) []*Node {
	g := in[0].Graph()
	loss := ScalarZero(g, in[0].DType())
	outputs := make([]*Node, len(all))
	var arguments []*Node
	for i, e := range all {
		inputs, functional := in[:len(e.in)], in[len(e.in)]
		in = in[len(e.in)+1:]
		at := scope.At("case%d", i)
		outputs[i] = e.build(at, inputs)
		if !training {
			continue
		}
		loss = Add(loss, ReduceAllSum(Mul(outputs[i], functional)))
		arguments = append(arguments, inputs...)
		for _, path := range e.paths {
			arguments = append(arguments, scope.Store().GetVariable(model.JoinPath(at.Scope(), path)).NodeValue(g))
		}
	}
	if !training {
		return outputs
	}
	gradients := Gradient(loss, arguments...)
	var results []*Node
	for i, e := range all {
		results = append(append(results, outputs[i]), gradients[:len(e.gradients)]...)
		gradients = gradients[len(e.gradients):]
	}
	return results
}

// near fails unless |got-want| <= allowed * max|want| everywhere.
func near(t *testing.T, what string, got *tensors.Tensor, want array, allowed float64) {
	t.Helper()
	if !slices.Equal(got.Shape().Dimensions, want.dims) {
		t.Errorf("%s: shape %v, want %v", what, got.Shape().Dimensions, want.dims)
		return
	}
	largest, worst, where := 0.0, -1.0, 0
	values := toArray(got).values
	for i, v := range want.values {
		largest = max(largest, math.Abs(v))
		if diff := math.Abs(values[i] - v); !(diff <= worst) { // true for NaN
			worst, where = diff, i
		}
	}
	if !(worst <= allowed*largest) {
		t.Errorf("%s: element %d is %g, want %g: off by %.2g of the largest magnitude, %.2g allowed",
			what, where, values[where], want.values[where], worst/largest, allowed)
	}
}

func toArray(x *tensors.Tensor) array {
	a := newArray(x.Shape().Dimensions...)
	for i, v := range tensors.MustCopyFlatData[float32](x) {
		a.values[i] = float64(v)
	}
	return a
}

// buildOnly builds a graph for x of the given shape without compiling it.
func buildOnly(t *testing.T, store *model.Store, build func(scope *model.Scope, x *Node), dims ...int) {
	t.Helper()
	g := NewGraph(backendtest.Go(t), t.Name())
	defer g.Finalize()
	build(store.RootScope(), Const(g, newArray(dims...).tensor()))
}

// panics fails unless building panics with an error that contains all texts.
func panics(t *testing.T, build func(scope *model.Scope, x *Node), dims []int, texts ...string) {
	t.Helper()
	err := exceptions.TryCatch[error](func() { buildOnly(t, model.NewStore(), build, dims...) })
	if err == nil {
		t.Error("no panic")
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("panic %q does not say %q", err, text)
		}
	}
}
