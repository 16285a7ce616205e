package layers

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Init fills the values of a new weight; rng is seeded by the store's seed and the weight's path,
// so that initial weights do not depend on the backend or on the order in which layers are built.
type Init func(values []float32, rng *rand.Rand)

// Constant fills with one value.
func Constant(value float32) Init {
	return func(values []float32, _ *rand.Rand) {
		for i := range values {
			values[i] = value
		}
	}
}

// Uniform fills uniformly in [-bound, bound). PyTorch's default for convolutions and linear layers,
// weight and bias alike, is bound = 1/sqrt(fan in).
func Uniform(bound float64) Init {
	return func(values []float32, rng *rand.Rand) {
		for i := range values {
			values[i] = float32((2*rng.Float64() - 1) * bound)
		}
	}
}

// Normal fills with a zero-mean normal distribution.
func Normal(std float64) Init {
	return func(values []float32, rng *rand.Rand) {
		for i := range values {
			values[i] = float32(rng.NormFloat64() * std)
		}
	}
}

// fanIn is PyTorch's default initialisation for a layer whose outputs each read n inputs.
func fanIn(n int) Init { return Uniform(1 / math.Sqrt(float64(n))) }

// Param returns the weight called name in scope, shaped dims, creating it with init where it does
// not exist. It may be called again for the same weight in one graph: both uses share it.
// It panics, as graph building does, if the weight exists with another shape.
func Param(scope *model.Scope, g *Graph, name string, init Init, dims ...int) *Node {
	shape := shapes.Make(dtypes.Float32, dims...)
	if r := recordOf(g); r != nil {
		r.note(scope, name, dims)
		return Zeros(g, shape)
	}
	if scope.GetVariable(name) != nil {
		return scope.VariableWithShape(name, shape).NodeValue(g)
	}
	path := model.JoinPath(scope.Scope(), name)
	values := make([]float32, shape.Size())
	init(values, paramRand(scope, path))
	return scope.VariableWithValue(name, tensors.FromFlatDataAndDimensions(values, dims...)).NodeValue(g)
}

func paramRand(scope *model.Scope, path string) *rand.Rand {
	hash := fnv.New64a()
	hash.Write([]byte(path))
	seed := model.GetRootParamOr(scope.Store(), model.ParamInitialSeed, 0)
	return rand.New(rand.NewPCG(uint64(seed), hash.Sum64()))
}
