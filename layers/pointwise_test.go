package layers

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceLinear maps the last axis by weight [C, out] and bias [out]; the zero array is no bias.
func referenceLinear(x, weight, bias array) array {
	in, out := weight.dims[0], weight.dims[1]
	y := newArray(replaceLast(x.dims, out)...)
	for k := range y.values {
		row, o := k/out, k%out
		if bias.dims != nil {
			y.values[k] = bias.at(o)
		}
		for c := range in {
			y.values[k] += x.values[row*in+c] * weight.at(c, o)
		}
	}
	return y
}

// referencePointwise is referenceLinear for a weight [1, 1, C, out].
func referencePointwise(x, weight, bias array) array {
	return referenceLinear(x, array{dims: weight.dims[2:], values: weight.values}, bias)
}

func pointwiseCase(name string, out int, bias bool, dims ...int) layerCase {
	weights := map[string][]int{"weight": {1, 1, dims[len(dims)-1], out}}
	if bias {
		weights["bias"] = []int{out}
	}
	return layerCase{
		name: name, inputs: [][]int{dims}, weights: weights,
		build: one(func(scope *model.Scope, x *Node) *Node { return Pointwise(scope, x, out, bias) }),
		reference: func(in []array, w map[string]array) array {
			return referencePointwise(in[0], w["weight"], w["bias"])
		},
	}
}

// residualCase is PointwiseResidual of x [..., C] with a residual [..., out].
func residualCase(name string, out int, dims ...int) layerCase {
	c := dims[len(dims)-1]
	return layerCase{
		name: name, inputs: [][]int{dims, replaceLast(dims, out)},
		weights: map[string][]int{"beta": {1, 1, out, 1}, "conv/weight": {1, 1, c, out}, "conv/bias": {out}},
		build: func(scope *model.Scope, in []*Node) *Node {
			return PointwiseResidual(scope, "beta", scope.At("conv"), in[0], in[1])
		},
		reference: func(in []array, w map[string]array) array {
			y := referencePointwise(in[0], w["conv/weight"], w["conv/bias"])
			for i := range y.values {
				y.values[i] = in[1].values[i] + y.values[i]*w["beta"].values[i%out]
			}
			return y
		},
	}
}

func TestPointwise(t *testing.T) {
	twice := pointwiseCase("the same weights twice", 3, true, 1, 2, 2, 3)
	twice.build = func(scope *model.Scope, in []*Node) *Node {
		return Pointwise(scope, Pointwise(scope, in[0], 3, true), 3, true)
	}
	twice.reference = func(in []array, w map[string]array) array {
		return referencePointwise(referencePointwise(in[0], w["weight"], w["bias"]), w["weight"], w["bias"])
	}
	ofItself := residualCase("residual, of its own input", 3, 2, 2, 3, 3)
	ofItself.inputs = ofItself.inputs[:1]
	build, reference := ofItself.build, ofItself.reference
	ofItself.build = func(scope *model.Scope, in []*Node) *Node { return build(scope, []*Node{in[0], in[0]}) }
	ofItself.reference = func(in []array, w map[string]array) array {
		return reference([]array{in[0], in[0]}, w)
	}
	checkLayers(t, []layerCase{
		pointwiseCase("bias", 5, true, 2, 3, 2, 4),
		pointwiseCase("no bias", 2, false, 2, 2, 3, 4),
		pointwiseCase("one channel to one, one pixel", 1, true, 1, 1, 1, 1),
		pointwiseCase("rows", 4, true, 9, 3),
		twice,
		residualCase("residual", 3, 2, 2, 3, 5),
		residualCase("residual, one pixel", 4, 1, 1, 1, 2),
		ofItself,
		{
			name: "linear", inputs: [][]int{{3, 4}},
			weights: map[string][]int{"weight": {4, 5}, "bias": {5}},
			build:   one(func(scope *model.Scope, x *Node) *Node { return Linear(scope, x, 5) }),
			reference: func(in []array, w map[string]array) array {
				return referenceLinear(in[0], w["weight"], w["bias"])
			},
		},
		{
			name: "linear, one row to one", inputs: [][]int{{1, 6}},
			weights: map[string][]int{"weight": {6, 1}, "bias": {1}},
			build:   one(func(scope *model.Scope, x *Node) *Node { return Linear(scope, x, 1) }),
			reference: func(in []array, w map[string]array) array {
				return referenceLinear(in[0], w["weight"], w["bias"])
			},
		},
	})
}
