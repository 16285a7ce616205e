package layers

import (
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// foldedNormCase is a norm and a Dense to out channels behind it.
func foldedNormCase(biasFree bool, out int, dims ...int) layerCase {
	const epsilon = 1e-2
	c := dims[len(dims)-1]
	weights := map[string][]int{"norm/weight": {c}, "weight": {c, out}, "bias": {out}}
	if !biasFree {
		weights["norm/bias"] = []int{c}
	}
	return layerCase{
		name: fmt.Sprintf("bias-free %t, to %d, %v", biasFree, out, dims), inputs: [][]int{dims}, weights: weights,
		build: one(func(scope *model.Scope, x *Node) *Node {
			norm := Norm{Scope: scope.At("norm"), Epsilon: epsilon, BiasFree: biasFree}
			x, weight, bias := norm.denseWeights(scope, x, out)
			return dense(training(scope, x), x, weight, bias)
		}),
		reference: func(in []array, w map[string]array) array {
			if biasFree {
				return referenceLinear(referenceBiasFree(in[0], w["norm/weight"], epsilon), w["weight"], w["bias"])
			}
			return referenceLinear(referenceNorm(in[0], w["norm/weight"], w["norm/bias"], epsilon), w["weight"], w["bias"])
		},
	}
}

func TestFoldedNorm(t *testing.T) {
	checkLayers(t, []layerCase{
		foldedNormCase(true, 5, 2, 2, 3, 4),
		foldedNormCase(true, 2, 3, 5),
		foldedNormCase(false, 5, 2, 2, 3, 4),
		foldedNormCase(false, 2, 3, 5),
	})
}

// The same norm without a 1x1 convolution's bias, as Restormer has it.
func TestFoldedNormPointwise(t *testing.T) {
	const epsilon = 1e-2
	for _, biasFree := range []bool{true, false} {
		t.Run(fmt.Sprint(biasFree), func(t *testing.T) {
			attention := attentionCase(ChannelAttention{Heads: 2}, 1, 2, 3, 4)
			attention.weights["norm/weight"] = []int{4}
			if !biasFree {
				attention.weights["norm/bias"] = []int{4}
			}
			attention.build = one(func(scope *model.Scope, x *Node) *Node {
				norm := Norm{Scope: scope.At("norm"), Epsilon: epsilon, BiasFree: biasFree}
				return ChannelAttention{Heads: 2, Norm: norm}.Apply(scope, x)
			})
			behind := attention.reference
			attention.reference = func(in []array, w map[string]array) array {
				if biasFree {
					return behind([]array{referenceBiasFree(in[0], w["norm/weight"], epsilon)}, w)
				}
				return behind([]array{referenceNorm(in[0], w["norm/weight"], w["norm/bias"], epsilon)}, w)
			}
			checkLayers(t, []layerCase{attention})
		})
	}
}
