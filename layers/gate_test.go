package layers

import (
	"fmt"
	"testing"
)

// referenceAverage is the mean over H and W: [N, H, W, C] to [N, C].
func referenceAverage(x array) array {
	return generate([]int{x.dims[0], x.dims[3]}, func(i []int) float64 {
		sum := 0.0
		for row := range x.dims[1] {
			for column := range x.dims[2] {
				sum += x.at(i[0], row, column, i[1])
			}
		}
		return sum / float64(x.dims[1]*x.dims[2])
	})
}

func referenceGate(x array) array {
	last := len(x.dims) - 1
	half := x.dims[last] / 2
	return generate(replaceLast(x.dims, half), func(i []int) float64 {
		other := append([]int{}, i...)
		other[last] += half
		return x.at(i...) * x.at(other...)
	})
}

func TestGateAndAttention(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{{2, 3, 2, 6}, {1, 1, 1, 2}, {5, 4}} {
		cases = append(cases, layerCase{
			name: fmt.Sprintf("gate %v", dims), inputs: [][]int{dims}, build: plain(SimpleGate),
			reference: func(in []array, _ map[string]array) array { return referenceGate(in[0]) },
		})
	}
	// More images than dotWidth, one image, one pixel.
	for _, dims := range [][]int{{2, 3, 2, 4}, {dotWidth + 1, 2, 2, 3}, {1, 4, 3, 2}, {3, 1, 1, 3}} {
		channels := dims[3]
		cases = append(cases, layerCase{
			name: fmt.Sprintf("attention %v", dims), inputs: [][]int{dims},
			weights: map[string][]int{"weight": {1, 1, channels, channels}, "bias": {channels}},
			build:   one(SimplifiedChannelAttention),
			reference: func(in []array, w map[string]array) array {
				s := referencePointwise(referenceAverage(in[0]), w["weight"], w["bias"])
				return generate(dims, func(i []int) float64 { return in[0].at(i...) * s.at(i[0], i[3]) })
			},
		}, layerCase{
			name: fmt.Sprintf("average %v", dims), inputs: [][]int{dims}, build: one(GlobalAverage),
			reference: func(in []array, _ map[string]array) array { return referenceAverage(in[0]) },
		})
	}
	checkLayers(t, cases)
}
