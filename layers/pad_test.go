package layers

import (
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// mirror is the source of index i in a side of the given size: size-1+k comes from size-1-k.
func mirror(i, size int) int {
	if i < size {
		return i
	}
	return 2*(size-1) - i
}

func TestReflectPad(t *testing.T) {
	var cases []layerCase
	for _, c := range []struct {
		bottom, right int
		dims          []int
	}{
		{0, 0, []int{1, 2, 3, 2}},
		{1, 2, []int{2, 4, 3, 3}},
		{3, 0, []int{1, 4, 2, 1}},
		{0, 3, []int{1, 1, 4, 2}},
		{2, 4, []int{1, 3, 5, 2}}, // the largest possible
	} {
		cases = append(cases, layerCase{
			name: fmt.Sprintf("%v by %d and %d", c.dims, c.bottom, c.right), inputs: [][]int{c.dims}, exact: true,
			build: plain(func(x *Node) *Node { return ReflectPad(x, c.bottom, c.right) }),
			reference: func(in []array, _ map[string]array) array {
				return generate([]int{c.dims[0], c.dims[1] + c.bottom, c.dims[2] + c.right, c.dims[3]}, func(i []int) float64 {
					return in[0].at(i[0], mirror(i[1], c.dims[1]), mirror(i[2], c.dims[2]), i[3])
				})
			},
		})
	}
	checkLayers(t, cases)
}

func TestReflectPadRefusesTooMuch(t *testing.T) {
	for _, c := range []struct {
		bottom, right int
		text          string
	}{
		{4, 0, "cannot mirror 4 pixels of a side of 4"},
		{0, 7, "cannot mirror 7 pixels of a side of 3"},
	} {
		panics(t, func(_ *model.Scope, x *Node) { ReflectPad(x, c.bottom, c.right) }, []int{1, 4, 3, 2}, "layers.ReflectPad", c.text)
	}
}
