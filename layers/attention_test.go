package layers

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceAttend is the attention between the channels of each head, from its definition: queries and
// keys are divided by their norms, the scores of a query are normalised over the keys.
func referenceAttend(qkv, temperature array, heads int, relu bool) array {
	n, h, w, c := qkv.dims[0], qkv.dims[1], qkv.dims[2], qkv.dims[3]/3
	norm := func(image, channel int) float64 {
		sum := 0.0
		for p := range h * w {
			v := qkv.at(image, p/w, p%w, channel)
			sum += v * v
		}
		return max(math.Sqrt(sum), 1e-12)
	}
	out := newArray(n, h, w, c)
	for image := range n {
		for query := range c {
			head := query / (c / heads)
			scores := make([]float64, c/heads)
			total := 0.0
			for i := range scores {
				key := head*(c/heads) + i
				for p := range h * w {
					scores[i] += qkv.at(image, p/w, p%w, query) * qkv.at(image, p/w, p%w, c+key)
				}
				scores[i] *= temperature.at(head, 0, 0) / norm(image, query) / norm(image, c+key)
				if relu {
					scores[i] = max(scores[i], 0)
				} else {
					scores[i] = math.Exp(scores[i])
				}
				total += scores[i]
			}
			for i, score := range scores {
				if !relu {
					score /= total
				}
				for p := range h * w {
					out.values[out.offset([]int{image, p / w, p % w, query})] += score * qkv.at(image, p/w, p%w, 2*c+head*(c/heads)+i)
				}
			}
		}
	}
	return out
}

func attentionCase(a ChannelAttention, dims ...int) layerCase {
	c := dims[3]
	weights := map[string][]int{
		"temperature": {a.Heads, 1, 1},
		"qkv/weight":  {1, 1, c, 3 * c}, "qkv_dwconv/weight": {3, 3, 1, 3 * c}, "project_out/weight": {1, 1, c, c},
	}
	if a.Bias {
		weights["qkv/bias"], weights["qkv_dwconv/bias"], weights["project_out/bias"] = []int{3 * c}, []int{3 * c}, []int{c}
	}
	return layerCase{
		name: fmt.Sprintf("%v, %d heads, relu %t, bias %t", dims, a.Heads, a.ReLU, a.Bias), inputs: [][]int{dims}, weights: weights,
		build: one(a.Apply),
		reference: func(in []array, w map[string]array) array {
			qkv := referencePointwise(in[0], w["qkv/weight"], w["qkv/bias"])
			qkv = referenceDepthwise(qkv, w["qkv_dwconv/weight"], w["qkv_dwconv/bias"])
			return referencePointwise(referenceAttend(qkv, w["temperature"], a.Heads, a.ReLU), w["project_out/weight"], w["project_out/bias"])
		},
	}
}

func TestChannelAttention(t *testing.T) {
	checkLayers(t, []layerCase{
		attentionCase(ChannelAttention{Heads: 1}, 1, 3, 2, 4),
		attentionCase(ChannelAttention{Heads: 2, Bias: true}, 2, 2, 3, 4),
		attentionCase(ChannelAttention{Heads: 2, ReLU: true}, 1, 3, 3, 4),
		attentionCase(ChannelAttention{Heads: 3, ReLU: true, Bias: true}, 2, 1, 4, 3),
	})
}

func TestChannelAttentionRefusesHeads(t *testing.T) {
	panics(t, func(scope *model.Scope, x *Node) { ChannelAttention{Heads: 3}.Apply(scope, x) }, []int{1, 2, 2, 4},
		"layers.ChannelAttention", "4 channels cannot be shared by 3 heads")
}
