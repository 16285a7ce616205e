package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/support/exceptions"
)

// ReflectPad extends x [N, H, W, C] by bottom rows and right columns mirrored at the last pixel,
// which is not repeated (numpy's and PyTorch's "reflect"). The pad must be smaller than the side:
// the test protocol asks for no more (parity README, section 7).
func ReflectPad(x *Node, bottom, right int) *Node {
	return reflectEnd(reflectEnd(x, 1, bottom), 2, right)
}

func reflectEnd(x *Node, axis, pad int) *Node {
	if pad == 0 {
		return x
	}
	size := x.Shape().Dim(axis)
	if pad >= size {
		exceptions.Panicf("layers.ReflectPad: cannot mirror %d pixels of a side of %d", pad, size)
	}
	ranges := make([]SliceAxisSpec, axis+1)
	for i := range ranges {
		ranges[i] = AxisRange()
	}
	ranges[axis] = AxisRange(size-1-pad, size-1)
	return Concatenate([]*Node{x, Reverse(Slice(x, ranges...), axis)}, axis)
}
