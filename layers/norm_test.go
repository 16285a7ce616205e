package layers

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceNorm is (x-mean)/sqrt(var+epsilon)*weight+bias over the last axis.
func referenceNorm(x, weight, bias array, epsilon float64) array {
	c := x.dims[len(x.dims)-1]
	y := newArray(x.dims...)
	for start := 0; start < len(x.values); start += c {
		pixel := x.values[start : start+c]
		mean, variance := 0.0, 0.0
		for _, v := range pixel {
			mean += v / float64(c)
		}
		for _, v := range pixel {
			variance += (v - mean) * (v - mean) / float64(c)
		}
		for i, v := range pixel {
			y.values[start+i] = (v-mean)/math.Sqrt(variance+epsilon)*weight.values[i] + bias.values[i]
		}
	}
	return y
}

func normCase(name string, epsilon float64, dims ...int) layerCase {
	c := dims[len(dims)-1]
	return layerCase{
		name: name, inputs: [][]int{dims},
		weights: map[string][]int{"weight": {c}, "bias": {c}},
		build:   one(func(scope *model.Scope, x *Node) *Node { return LayerNorm(scope, x, epsilon) }),
		reference: func(in []array, w map[string]array) array {
			return referenceNorm(in[0], w["weight"], w["bias"], epsilon)
		},
	}
}

// referenceBiasFree divides by the deviation about the mean, and does not subtract the mean.
func referenceBiasFree(x, weight array, epsilon float64) array {
	c := x.dims[len(x.dims)-1]
	y := newArray(x.dims...)
	for start := 0; start < len(y.values); start += c {
		mean, squares := 0.0, 0.0
		for _, v := range x.values[start : start+c] {
			mean += v / float64(c)
			squares += v * v / float64(c)
		}
		for i, v := range x.values[start : start+c] {
			y.values[start+i] = v / math.Sqrt(squares-mean*mean+epsilon) * weight.values[i]
		}
	}
	return y
}

func biasFreeCase(name string, epsilon float64, dims ...int) layerCase {
	c := dims[len(dims)-1]
	return layerCase{
		name: name, inputs: [][]int{dims}, weights: map[string][]int{"weight": {c}},
		build: one(func(scope *model.Scope, x *Node) *Node { return BiasFreeNorm(scope, x, epsilon) }),
		reference: func(in []array, w map[string]array) array {
			return referenceBiasFree(in[0], w["weight"], epsilon)
		},
	}
}

func normPointwiseCase(name string, epsilon float64, out int, dims ...int) layerCase {
	c := dims[len(dims)-1]
	return layerCase{
		name: name, inputs: [][]int{dims},
		weights: map[string][]int{"norm/weight": {c}, "norm/bias": {c}, "conv/weight": {1, 1, c, out}, "conv/bias": {out}},
		build: one(func(scope *model.Scope, x *Node) *Node {
			return NormPointwise(scope.At("norm"), scope.At("conv"), x, out, epsilon)
		}),
		reference: func(in []array, w map[string]array) array {
			h := referenceNorm(in[0], w["norm/weight"], w["norm/bias"], epsilon)
			return referencePointwise(h, w["conv/weight"], w["conv/bias"])
		},
	}
}

// flatPixels makes the channels of every pixel equal, as in a black border: the variance is 0, and
// the result depends on epsilon alone.
func flatPixels(in []array) {
	x := in[0]
	c := x.dims[len(x.dims)-1]
	for i := range x.values {
		x.values[i] = float64(i/c) / 4
	}
}

func TestNorm(t *testing.T) {
	flat := normCase("flat pixels", 1e-6, 1, 2, 3, 4)
	flatPointwise := normPointwiseCase("flat pixels, then pointwise", 1e-6, 3, 1, 2, 3, 4)
	for _, c := range []*layerCase{&flat, &flatPointwise} {
		c.prepare = flatPixels
		c.step = 1e-7 // far below sqrt(epsilon)
	}
	checkLayers(t, []layerCase{
		normCase("images", 1e-6, 2, 3, 2, 5),
		normCase("large epsilon", 0.5, 1, 2, 3, 4),
		normCase("one pixel", 1e-6, 1, 1, 1, 6),
		normCase("rows", 1e-6, 4, 7),
		biasFreeCase("bias free, images", 1e-6, 2, 3, 2, 5),
		biasFreeCase("bias free, large epsilon", 0.5, 1, 2, 3, 4),
		flat,
		normPointwiseCase("pointwise, more channels", 1e-6, 6, 2, 3, 2, 5),
		normPointwiseCase("pointwise, fewer channels, large epsilon", 0.5, 2, 1, 3, 1, 4),
		normPointwiseCase("pointwise, rows", 1e-6, 3, 4, 5),
		flatPointwise,
	})
}
