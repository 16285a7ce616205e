package layers

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceDense is a matrix [in, out] and a bias [out] on the last axis.
func referenceDense(x, weight, bias array) array {
	last := len(x.dims) - 1
	return generate(replaceLast(x.dims, weight.dims[1]), func(i []int) float64 {
		from := append([]int{}, i...)
		sum := bias.at(i[last])
		for k := range weight.dims[0] {
			from[last] = k
			sum += x.at(from...) * weight.at(k, i[last])
		}
		return sum
	})
}

// referenceAttention lets every pixel look, head by head, at all pixels that share a window with it once
// the image has been rolled. A pair is masked if the roll has brought it together: if their distance in
// the image is another than in the window.
func (a WindowAttention) reference(x array, w map[string]array) array {
	height, width, channels := x.dims[1], x.dims[2], x.dims[3]
	qkv := referenceDense(x, w["qkv/weight"], w["qkv/bias"])
	each, size := channels/a.Heads, a.Window
	rolled := func(v, side int) int { return (v - a.Shift + side) % side }
	attended := generate(x.dims, func(i []int) float64 {
		image, yi, xi, head := i[0], rolled(i[1], height), rolled(i[2], width), i[3]/each
		top, left := yi/size*size, xi/size*size
		sum, total := 0.0, 0.0
		for yj := top; yj < top+size; yj++ {
			for xj := left; xj < left+size; xj++ {
				y, column := (yj+a.Shift)%height, (xj+a.Shift)%width
				score := 0.0
				for k := range each {
					score += qkv.at(image, i[1], i[2], head*each+k) * qkv.at(image, y, column, channels+head*each+k)
				}
				score /= math.Sqrt(float64(each))
				if a.PositionBias {
					score += w["relative_position_bias_table"].at(head, (yi-yj+size-1)*(2*size-1)+xi-xj+size-1)
				}
				if a.Mask && (i[1]-y != yi-yj || i[2]-column != xi-xj) {
					score += maskedScore
				}
				share := math.Exp(score)
				sum += share * qkv.at(image, y, column, 2*channels+i[3])
				total += share
			}
		}
		return sum / total
	})
	return referenceDense(attended, w["proj/weight"], w["proj/bias"])
}

func TestWindowAttention(t *testing.T) {
	var cases []layerCase
	for _, c := range []struct {
		attention WindowAttention
		dims      []int
	}{
		{WindowAttention{Window: 2, Heads: 1}, []int{1, 4, 2, 3}},
		{WindowAttention{Window: 2, Heads: 2, Shift: 1}, []int{2, 4, 6, 4}},
		{WindowAttention{Window: 2, Heads: 2, PositionBias: true}, []int{1, 2, 4, 2}},
		{WindowAttention{Window: 3, Heads: 2, Shift: 1, PositionBias: true, Mask: true}, []int{2, 3, 6, 4}},
		{WindowAttention{Window: 3, Heads: 1, PositionBias: true, Mask: true}, []int{1, 6, 3, 2}},
		{WindowAttention{Window: 4, Heads: 1, Shift: 2, Mask: true}, []int{1, 8, 4, 2}},
	} {
		channels, side := c.dims[3], 2*c.attention.Window-1
		weights := map[string][]int{
			"qkv/weight": {channels, 3 * channels}, "qkv/bias": {3 * channels},
			"proj/weight": {channels, channels}, "proj/bias": {channels},
		}
		if c.attention.PositionBias {
			weights["relative_position_bias_table"] = []int{c.attention.Heads, side * side}
		}
		cases = append(cases, layerCase{
			name: fmt.Sprintf("%+v of %v", c.attention, c.dims), inputs: [][]int{c.dims}, weights: weights,
			build:     one(c.attention.Apply),
			reference: func(in []array, w map[string]array) array { return c.attention.reference(in[0], w) },
		})
	}
	checkLayers(t, cases)
}

func TestWindows(t *testing.T) {
	var cases []layerCase
	for _, c := range []struct {
		size int
		dims []int
	}{{1, []int{1, 2, 3, 2}}, {2, []int{2, 4, 6, 3}}, {3, []int{2, 6, 3, 1}}} {
		n, h, w := c.dims[0], c.dims[1], c.dims[2]
		across, down := w/c.size, h/c.size
		cases = append(cases, layerCase{
			name: fmt.Sprintf("windows %d of %v", c.size, c.dims), inputs: [][]int{c.dims}, exact: true,
			build: plain(func(x *Node) *Node { return WindowPartition(x, c.size) }),
			reference: func(in []array, _ map[string]array) array {
				return generate([]int{n * down * across, c.size * c.size, c.dims[3]}, func(i []int) float64 {
					row, column := i[0]/across%down, i[0]%across
					return in[0].at(i[0]/across/down, row*c.size+i[1]/c.size, column*c.size+i[1]%c.size, i[2])
				})
			},
		}, layerCase{
			name: fmt.Sprintf("windows %d of %v and back", c.size, c.dims), inputs: [][]int{c.dims}, exact: true,
			build: plain(func(x *Node) *Node { return WindowReverse(WindowPartition(x, c.size), n, h, w) }),
			reference: func(in []array, _ map[string]array) array {
				return generate(c.dims, func(i []int) float64 { return in[0].at(i...) })
			},
		})
	}
	checkLayers(t, cases)
}

func TestDense(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{{2, 3, 2, 4}, {5, 3}, {1, 1, 1, 1}, {2, 7, 2}} {
		channels := dims[len(dims)-1]
		cases = append(cases, layerCase{
			name: fmt.Sprintf("dense %v", dims), inputs: [][]int{dims},
			weights: map[string][]int{"weight": {channels, 5}, "bias": {5}},
			build:   one(func(scope *model.Scope, x *Node) *Node { return Dense(scope, x, 5) }),
			reference: func(in []array, w map[string]array) array {
				return referenceDense(in[0], w["weight"], w["bias"])
			},
		}, layerCase{
			name: fmt.Sprintf("MLP %v", dims), inputs: [][]int{dims},
			weights: map[string][]int{"fc1/weight": {channels, 3}, "fc1/bias": {3}, "fc2/weight": {3, channels}, "fc2/bias": {channels}},
			build:   one(func(scope *model.Scope, x *Node) *Node { return MLP(Norm{}, scope, x, 3) }),
			reference: func(in []array, w map[string]array) array {
				return referenceDense(referenceGELU(referenceDense(in[0], w["fc1/weight"], w["fc1/bias"])), w["fc2/weight"], w["fc2/bias"])
			},
		})
	}
	checkLayers(t, cases)
}

// All matrix products of a block are counted.
func TestWindowMACs(t *testing.T) {
	const n, h, w, channels, size = 2, 6, 3, 4, 3
	pixels := int64(n * h * w)
	record := Record{}
	buildOnly(t, model.NewStore(), func(scope *model.Scope, x *Node) {
		r := NewRecord(x.Graph())
		defer r.Close(x.Graph())
		y := WindowAttention{Window: size, Heads: 2, Shift: 1, PositionBias: true, Mask: true}.Apply(scope.At("attn"), x)
		MLP(Norm{}, scope.At("mlp"), y, 8)
		record = *r
	}, n, h, w, channels)
	attention := pixels * (4*channels*channels + 2*size*size*channels)
	if want := attention + pixels*2*channels*8; record.MACs != want {
		t.Errorf("%d multiply-accumulates, want %d", record.MACs, want)
	}
	if got := record.Weights["/attn/relative_position_bias_table"]; fmt.Sprint(got) != "[2 25]" {
		t.Errorf("the table of position biases is %v", got)
	}
}
