package layers

import (
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceDepthwise convolves each channel with its kernel, zero padding 1.
func referenceDepthwise(x, weight, bias array) array {
	return generate(x.dims, func(i []int) float64 {
		sum := 0.0
		if bias.dims != nil {
			sum = bias.at(i[3])
		}
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				row, column := i[1]+dy, i[2]+dx
				if row >= 0 && row < x.dims[1] && column >= 0 && column < x.dims[2] {
					sum += x.at(i[0], row, column, i[3]) * weight.at(dy+1, dx+1, 0, i[3])
				}
			}
		}
		return sum
	})
}

// TestDepthwise has the sizes for which the kernel's gradient is folded differently: the batch and
// the height are halved while they are even, to 16 parts at most.
func TestDepthwise(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{
		{1, 1, 1, 2},  // one part, all but the central tap outside
		{1, 1, 5, 3},  // one part
		{1, 5, 1, 2},  // one part, odd height
		{3, 5, 3, 2},  // one part, odd batch and height
		{3, 6, 2, 3},  // the height in 2, not further
		{6, 5, 2, 1},  // the batch in 2, not further
		{2, 4, 3, 5},  // 2 and 4: fewer than 16 although nothing is odd
		{4, 8, 2, 2},  // 4 and 4: 16 with lines left
		{16, 1, 2, 1}, // the batch in 16
		{1, 32, 1, 2}, // the height in 16
	} {
		channels := dims[3]
		cases = append(cases, layerCase{
			name: fmt.Sprint(dims), inputs: [][]int{dims},
			weights: map[string][]int{"weight": {3, 3, 1, channels}, "bias": {channels}},
			build:   one(func(scope *model.Scope, x *Node) *Node { return Depthwise3x3(scope, x, true) }),
			reference: func(in []array, w map[string]array) array {
				return referenceDepthwise(in[0], w["weight"], w["bias"])
			},
		})
	}
	stacked := cases[3]
	stacked.name = "the same weights twice"
	stacked.build = one(func(scope *model.Scope, x *Node) *Node {
		return Depthwise3x3(scope, Depthwise3x3(scope, x, true), true)
	})
	stacked.reference = func(in []array, w map[string]array) array {
		return referenceDepthwise(referenceDepthwise(in[0], w["weight"], w["bias"]), w["weight"], w["bias"])
	}
	plain := cases[3]
	plain.name, plain.weights = "without bias", map[string][]int{"weight": {3, 3, 1, 2}}
	plain.build = one(func(scope *model.Scope, x *Node) *Node { return Depthwise3x3(scope, x, false) })
	plain.reference = func(in []array, w map[string]array) array { return referenceDepthwise(in[0], w["weight"], array{}) }
	checkLayers(t, append(cases, stacked, plain))
}

// TestDepthwiseGate has one pixel, odd sides, and sizes whose sums are folded.
func TestDepthwiseGate(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{{1, 1, 1, 2}, {3, 5, 3, 4}, {2, 4, 3, 6}, {4, 8, 2, 2}} {
		channels := dims[3]
		cases = append(cases, layerCase{
			name: fmt.Sprint(dims), inputs: [][]int{dims},
			weights: map[string][]int{"weight": {3, 3, 1, channels}, "bias": {channels}},
			build:   one(DepthwiseGate),
			reference: func(in []array, w map[string]array) array {
				return referenceGate(referenceDepthwise(in[0], w["weight"], w["bias"]))
			},
		})
	}
	stacked := cases[1]
	stacked.name = "after a convolution with the same weights"
	stacked.build = one(func(scope *model.Scope, x *Node) *Node {
		return DepthwiseGate(scope, Depthwise3x3(scope, x, true))
	})
	stacked.reference = func(in []array, w map[string]array) array {
		return referenceGate(referenceDepthwise(referenceDepthwise(in[0], w["weight"], w["bias"]), w["weight"], w["bias"]))
	}
	checkLayers(t, append(cases, stacked))
}
