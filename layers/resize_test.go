package layers

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceResize interpolates between the four pixels around each position.
func referenceResize(x array, height, width int) array {
	around := func(i, from, to int) (low, high int, share float64) {
		position := max(0, (float64(i)+0.5)*float64(from)/float64(to)-0.5)
		low = int(math.Floor(position))
		return low, min(low+1, from-1), position - float64(low)
	}
	return generate([]int{x.dims[0], height, width, x.dims[3]}, func(i []int) float64 {
		top, bottom, down := around(i[1], x.dims[1], height)
		left, right, across := around(i[2], x.dims[2], width)
		line := func(row int) float64 {
			return x.at(i[0], row, left, i[3])*(1-across) + x.at(i[0], row, right, i[3])*across
		}
		return line(top)*(1-down) + line(bottom)*down
	})
}

func resizeCase(height, width int, dims ...int) layerCase {
	return layerCase{
		name: fmt.Sprintf("%v to %dx%d", dims, height, width), inputs: [][]int{dims},
		build:     plain(func(x *Node) *Node { return ResizeBilinear(x, height, width) }),
		reference: func(in []array, _ map[string]array) array { return referenceResize(in[0], height, width) },
	}
}

func TestResizeBilinear(t *testing.T) {
	checkLayers(t, []layerCase{
		resizeCase(6, 4, 2, 3, 2, 2),
		resizeCase(5, 7, 1, 3, 3, 1),
		resizeCase(2, 3, 1, 5, 7, 2), // two of every five rows and columns are skipped
		resizeCase(3, 2, 1, 3, 5, 2),
		resizeCase(4, 3, 1, 1, 1, 3),
		resizeCase(1, 1, 1, 4, 3, 1),
		resizeCase(3, 4, 1, 3, 4, 1),
	})
}

// TestResizeBilinearPyTorch holds values of torch.nn.functional.interpolate.
func TestResizeBilinearPyTorch(t *testing.T) {
	for _, test := range []struct {
		to   int
		want [][]float32
	}{
		{6, [][]float32{{1, 0, 0}, {.75, .25, 0}, {.25, .75, 0}, {0, .75, .25}, {0, .25, .75}, {0, 0, 1}}},
		{2, [][]float32{{.75, .25, 0}, {0, .25, .75}}},
		{1, [][]float32{{0, 1, 0}}},
	} {
		for i, row := range interpolation(3, test.to) {
			for k, v := range row {
				if v != test.want[i][k] {
					t.Errorf("3 to %d: %v, want %v", test.to, interpolation(3, test.to), test.want)
				}
			}
		}
	}
}

// TestPrompt checks the mix, which the resizing and the convolution then only pass on.
func TestPrompt(t *testing.T) {
	p := Prompt{Components: 3, Size: 2, Channels: 2}
	checkLayers(t, []layerCase{{
		name: "prompt", inputs: [][]int{{2, 4, 3, 5}},
		weights: map[string][]int{
			"prompt_param": {1, 3, 2, 2, 2}, "linear_layer/weight": {5, 3}, "linear_layer/bias": {3}, "conv3x3/weight": {3, 3, 2, 2},
		},
		build: one(p.Apply),
		reference: func(in []array, w map[string]array) array {
			average := referenceAverage(in[0])
			mixed := newArray(2, 2, 2, 2)
			for n := range 2 {
				weights, total := make([]float64, 3), 0.0
				for k := range weights {
					sum := w["linear_layer/bias"].at(k)
					for c := range 5 {
						sum += average.at(n, c) * w["linear_layer/weight"].at(c, k)
					}
					weights[k] = math.Exp(sum)
					total += weights[k]
				}
				for k, weight := range weights {
					for i := range 8 {
						mixed.values[n*8+i] += weight / total * w["prompt_param"].values[k*8+i]
					}
				}
			}
			return referenceConv(referenceResize(mixed, 4, 3), w["conv3x3/weight"], array{}, 1, 1)
		},
	}})
}

// TestUnusedPointwise checks that the weights exist, with their sizes, and are not trained.
func TestUnusedPointwise(t *testing.T) {
	store := model.NewStore()
	buildOnly(t, store, func(scope *model.Scope, x *Node) { UnusedPointwise(scope.At("a"), x.Graph(), 3, 2, true) }, 1)
	for path, size := range map[string]int{"/a/weight": 6, "/a/bias": 2} {
		v := store.GetVariable(path)
		if v == nil || v.Shape().Size() != size || v.Trainable {
			t.Errorf("%s is %v", path, v)
		}
	}
}
