package layers

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

func TestSqueezeAttention(t *testing.T) {
	var cases []layerCase
	// More images than dotWidth, one image, one pixel.
	for _, dims := range [][]int{{2, 3, 2, 4}, {dotWidth + 1, 2, 2, 3}, {1, 4, 3, 2}, {3, 1, 1, 3}} {
		channels := dims[3]
		cases = append(cases, layerCase{
			name: fmt.Sprint(dims), inputs: [][]int{dims},
			weights: map[string][]int{"1/weight": {1, 1, channels, 2}, "1/bias": {2}, "3/weight": {1, 1, 2, channels}, "3/bias": {channels}},
			build: one(func(scope *model.Scope, x *Node) *Node {
				return SqueezeAttention(scope.At("1"), scope.At("3"), x, 2)
			}),
			reference: func(in []array, w map[string]array) array {
				hidden := referencePointwise(referenceAverage(in[0]), w["1/weight"], w["1/bias"])
				for i, v := range hidden.values {
					hidden.values[i] = max(v, 0)
				}
				s := referencePointwise(hidden, w["3/weight"], w["3/bias"])
				return generate(dims, func(i []int) float64 { return in[0].at(i...) / (1 + math.Exp(-s.at(i[0], i[3]))) })
			},
		})
	}
	checkLayers(t, cases)
}
