package layers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func referenceMaxPool(x array) array {
	return generate([]int{x.dims[0], x.dims[1] / 2, x.dims[2] / 2, x.dims[3]}, func(i []int) float64 {
		y, column := 2*i[1], 2*i[2]
		return max(x.at(i[0], y, column, i[3]), x.at(i[0], y, column+1, i[3]),
			x.at(i[0], y+1, column, i[3]), x.at(i[0], y+1, column+1, i[3]))
	})
}

// separate fills with distinct values, in random order and of both signs, so far apart that the
// steps of the central differences never change which is the largest.
func separate(in []array) {
	rng := rand.New(rand.NewPCG(5, 6))
	size := len(in[0].values)
	for i, k := range rng.Perm(size) {
		in[0].values[i] = float64(k-size/2) / 64
	}
}

func TestPool(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{{2, 4, 6, 3}, {1, 5, 3, 2}, {1, 2, 5, 1}, {2, 3, 2, 1}} {
		cases = append(cases, layerCase{
			name: fmt.Sprintf("max %v", dims), inputs: [][]int{dims}, build: plain(MaxPool2x2),
			reference: func(in []array, _ map[string]array) array { return referenceMaxPool(in[0]) },
			prepare:   separate, exact: true,
		})
	}
	for _, c := range []struct {
		factor int
		dims   []int
	}{
		{1, []int{1, 2, 3, 2}}, {2, []int{2, 4, 6, 3}}, {2, []int{1, 5, 7, 2}}, {4, []int{1, 8, 4, 2}}, {3, []int{1, 5, 6, 1}},
	} {
		cases = append(cases, layerCase{
			name: fmt.Sprintf("nearest %d of %v", c.factor, c.dims), inputs: [][]int{c.dims}, exact: true,
			build: plain(func(x *Node) *Node { return NearestDownsample(x, c.factor) }),
			reference: func(in []array, _ map[string]array) array {
				return generate([]int{c.dims[0], c.dims[1] / c.factor, c.dims[2] / c.factor, c.dims[3]}, func(i []int) float64 {
					return in[0].at(i[0], i[1]*c.factor, i[2]*c.factor, i[3])
				})
			},
		})
	}
	checkLayers(t, cases)
}

// TestMaxPoolTies has a window for each set of corners that share the maximum, negative in every
// second window: the whole gradient goes to the first of them in row order.
func TestMaxPoolTies(t *testing.T) {
	const windows = 15
	values, want := make([]float32, 2*2*windows), make([]float32, 2*2*windows)
	weights := make([]float32, windows)
	for k := range windows {
		weights[k] = float32(k + 1)
		largest, rest := float32(5), float32(0)
		if k%2 == 1 {
			largest, rest = -1, -2
		}
		first := true
		for corner := range 4 {
			at := corner/2*2*windows + 2*k + corner%2
			values[at] = rest
			if (k+1)>>corner&1 == 0 {
				continue
			}
			values[at] = largest
			if first {
				want[at], first = weights[k], false
			}
		}
	}
	for _, backend := range testBackends(t) {
		out, err := CallOnce(backend, func(x, r *Node) *Node {
			return Gradient(ReduceAllSum(Mul(MaxPool2x2(x), r)), x)[0]
		}, tensors.FromFlatDataAndDimensions(values, 1, 2, 2*windows, 1), tensors.FromFlatDataAndDimensions(weights, 1, 1, windows, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got := tensors.MustCopyFlatData[float32](out); !slices.Equal(got, want) {
			t.Errorf("%s: gradient %v, want %v", backend.Name(), got, want)
		}
	}
}
