package layers

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

func referenceGELU(x array) array {
	return generate(x.dims, func(i []int) float64 { return x.at(i...) * (1 + math.Erf(x.at(i...)/math.Sqrt2)) / 2 })
}

func feedForwardCase(f GatedFeedForward, dims ...int) layerCase {
	c := dims[3]
	weights := map[string][]int{
		"project_in/weight": {1, 1, c, 2 * f.Hidden}, "dwconv/weight": {3, 3, 1, 2 * f.Hidden}, "project_out/weight": {1, 1, f.Hidden, c},
	}
	if f.Bias {
		weights["project_in/bias"], weights["dwconv/bias"], weights["project_out/bias"] = []int{2 * f.Hidden}, []int{2 * f.Hidden}, []int{c}
	}
	return layerCase{
		name: fmt.Sprintf("%v by %d, bias %t", dims, f.Hidden, f.Bias), inputs: [][]int{dims}, weights: weights, build: one(f.Apply),
		reference: func(in []array, w map[string]array) array {
			y := referencePointwise(in[0], w["project_in/weight"], w["project_in/bias"])
			y = referenceDepthwise(y, w["dwconv/weight"], w["dwconv/bias"])
			activated := referenceGELU(y)
			gated := generate(replaceLast(y.dims, f.Hidden), func(i []int) float64 {
				return activated.at(i...) * y.at(i[0], i[1], i[2], i[3]+f.Hidden)
			})
			return referencePointwise(gated, w["project_out/weight"], w["project_out/bias"])
		},
	}
}

func TestFeedForward(t *testing.T) {
	checkLayers(t, []layerCase{
		{
			name: "gelu", inputs: [][]int{{3, 40}}, build: one(func(scope *model.Scope, x *Node) *Node { return gelu(training(scope, x), x) }),
			prepare: func(in []array) {
				for i := range in[0].values { // far into both tails
					in[0].values[i] = float64(i-60) / 8
				}
			},
			reference: func(in []array, _ map[string]array) array {
				return referenceGELU(in[0])
			},
		},
		feedForwardCase(GatedFeedForward{Hidden: 5}, 2, 3, 2, 3),
		feedForwardCase(GatedFeedForward{Hidden: 2, Bias: true}, 1, 2, 4, 4),
	})
}
