package layers

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// weightedLayers build one layer of each kind below its own scope.
var weightedLayers = map[string]func(scope *model.Scope, x *Node){
	"norm":      func(scope *model.Scope, x *Node) { LayerNorm(scope, x, 1e-6) },
	"pointwise": func(scope *model.Scope, x *Node) { Pointwise(scope, x, 5, true) },
	"conv":      func(scope *model.Scope, x *Node) { Conv{Kernel: 3}.Apply(scope, x, 5) },
	"conv2":     func(scope *model.Scope, x *Node) { Conv{Kernel: 3}.Apply(scope, x, 5) },
	"normal":    func(scope *model.Scope, x *Node) { Conv{Kernel: 3, Init: Normal(0.1)}.Apply(scope, x, 5) },
	"down":      func(scope *model.Scope, x *Node) { Downsample2x2(scope, x, 5) },
	"up":        func(scope *model.Scope, x *Node) { Upsample2x2(scope, x, 8) },
	"depthwise": func(scope *model.Scope, x *Node) { Depthwise3x3(scope, x, true) },
	"attention": func(scope *model.Scope, x *Node) { SimplifiedChannelAttention(scope, x) },
	"linear":    func(scope *model.Scope, x *Node) { Linear(scope, Reshape(x, -1, 4), 5) },
	"residual":  func(scope *model.Scope, x *Node) { PointwiseResidual(scope, "beta", scope.At("conv"), x, x) },
	"norm and pointwise": func(scope *model.Scope, x *Node) {
		NormPointwise(scope.At("norm"), scope.At("conv"), x, 5, 1e-6)
	},
}

// initialWeights builds weightedLayers in the order of names and returns all weights by path.
func initialWeights(t *testing.T, seed int, names []string) map[string][]float32 {
	t.Helper()
	store := model.NewStore()
	store.RootScope().SetParam(model.ParamInitialSeed, seed)
	buildOnly(t, store, func(scope *model.Scope, x *Node) {
		for _, name := range names {
			weightedLayers[name](scope.At("%s", name), x)
		}
	}, 1, 4, 4, 4)
	values := map[string][]float32{}
	for v := range store.IterVariables() {
		values[v.Path()] = tensors.MustCopyFlatData[float32](v.MustValue())
	}
	return values
}

func TestInitialWeightsDependOnSeedAndPathOnly(t *testing.T) {
	names := slices.Sorted(maps.Keys(weightedLayers))
	values := initialWeights(t, 1, names)
	if len(values) != 26 {
		t.Errorf("%d weights, want 26", len(values))
	}
	slices.Reverse(names)
	reversed := initialWeights(t, 1, names)
	if !maps.EqualFunc(values, reversed, slices.Equal) {
		t.Error("the order of building changes initial weights")
	}
	if alone := initialWeights(t, 1, []string{"conv"}); !slices.Equal(alone["/conv/weight"], values["/conv/weight"]) {
		t.Error("other layers change initial weights")
	}
	other := initialWeights(t, 2, names)
	for path, v := range values {
		constant := slices.Min(v) == slices.Max(v)
		if slices.Equal(v, other[path]) != constant {
			t.Errorf("%s: another seed gives the same values %t, want %t", path, !constant, constant)
		}
	}
	if slices.Equal(values["/conv/weight"], values["/conv2/weight"]) {
		t.Error("two layers of one kind start with the same values")
	}
}

// TestDefaultInitialWeights checks PyTorch's defaults: uniform within 1/sqrt(fan in), kernel and bias
// alike, norms 1 and 0, and NAFNet's layer scale 0.
func TestDefaultInitialWeights(t *testing.T) {
	values := initialWeights(t, 1, slices.Collect(maps.Keys(weightedLayers)))
	fans := map[string]float64{
		"/pointwise": 4, "/conv": 9 * 4, "/down": 4 * 4, "/up": 4, "/depthwise": 9, "/attention": 4, "/linear": 4,
		"/residual/conv": 4, "/norm and pointwise/conv": 4,
	}
	for scope, fan := range fans {
		bound := 1 / math.Sqrt(fan)
		for _, name := range []string{"weight", "bias"} {
			v, ok := values[scope+"/"+name]
			if !ok && scope == "/up" {
				continue // it has no bias
			}
			if low, high := float64(slices.Min(v)), float64(slices.Max(v)); low < -bound || high > bound || high-low < bound/2 {
				t.Errorf("%s/%s lies within %g and %g, want uniform within ±%g", scope, name, low, high, bound)
			}
		}
	}
	for path, want := range map[string]float32{
		"/norm/weight": 1, "/norm/bias": 0, "/norm and pointwise/norm/weight": 1, "/norm and pointwise/norm/bias": 0, "/residual/beta": 0,
	} {
		if v := values[path]; len(v) != 4 || slices.Min(v) != want || slices.Max(v) != want {
			t.Errorf("%s = %v, want four times %g", path, v, want)
		}
	}
}

// TestInits checks mean and standard deviation over 100000 values: the standard error of both is at
// most 0.0032 times the deviation, and the seed is fixed.
func TestInits(t *testing.T) {
	for _, c := range []struct {
		name      string
		init      Init
		mean, std float64
		bound     float64 // of the magnitude
	}{
		{"constant", Constant(-3), -3, 0, 3},
		{"uniform", Uniform(0.5), 0, 0.5 / math.Sqrt(3), 0.5},
		{"normal", Normal(0.2), 0, 0.2, 0.2 * 7},
	} {
		values := make([]float32, 100000)
		c.init(values, rand.New(rand.NewPCG(1, 2)))
		sum, squares := 0.0, 0.0
		for _, v := range values {
			if math.Abs(float64(v)) > c.bound {
				t.Errorf("%s: %g is beyond %g", c.name, v, c.bound)
			}
			sum += float64(v)
			squares += (float64(v) - c.mean) * (float64(v) - c.mean)
		}
		n := float64(len(values))
		if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean-c.mean) > 0.013*c.std || math.Abs(std-c.std) > 0.013*c.std {
			t.Errorf("%s: mean %g and deviation %g, want %g and %g", c.name, mean, std, c.mean, c.std)
		}
	}
}

func TestParamIsShared(t *testing.T) {
	store := model.NewStore()
	store.VariableWithValue("/loaded", []float32{3, 4})
	buildOnly(t, store, func(scope *model.Scope, x *Node) {
		first := Param(scope, x.Graph(), "weight", Constant(1), 2, 3)
		if second := Param(scope, x.Graph(), "weight", Constant(2), 2, 3); first != second {
			t.Error("two uses of one weight are two nodes")
		}
		Param(scope, x.Graph(), "loaded", Constant(5), 2)
	}, 1)
	if n := store.NumVariables(); n != 2 {
		t.Errorf("%d variables, want 2", n)
	}
	for path, want := range map[string][]float32{"/weight": {1, 1, 1, 1, 1, 1}, "/loaded": {3, 4}} {
		if got := tensors.MustCopyFlatData[float32](store.GetVariable(path).MustValue()); !slices.Equal(got, want) {
			t.Errorf("%s = %v, want %v: the second use must not fill it again", path, got, want)
		}
	}
}

func TestParamRefusesAnotherShape(t *testing.T) {
	for _, dims := range [][]int{{3, 2}, {6}, {2, 4}} {
		panics(t, func(scope *model.Scope, x *Node) {
			Param(scope, x.Graph(), "weight", Constant(1), 2, 3)
			Param(scope, x.Graph(), "weight", Constant(1), dims...)
		}, []int{1}, "weight", "shape")
	}
}
