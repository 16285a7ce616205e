package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// MaxPool2x2 takes the largest of each 2x2 window: [N, H, W, C] to [N, H/2, W/2, C], an odd last
// row or column is left out. As in PyTorch the gradient goes to the first largest in row order.
func MaxPool2x2(x *Node) *Node {
	n, h, w, c := x.Shape().Dim(0), x.Shape().Dim(1)/2, x.Shape().Dim(2)/2, x.Shape().Dim(3)
	oddH, oddW := x.Shape().Dim(1)-2*h, x.Shape().Dim(2)-2*w
	corners := func(x *Node) []*Node {
		windows := Reshape(window(x, 0, 0, 2*h, 2*w), n, h, 2, w, 2, c)
		parts := make([]*Node, 4)
		for k := range parts {
			parts[k] = Reshape(Slice(windows, AxisRange(), AxisRange(), AxisElem(k/2), AxisRange(), AxisElem(k%2)), n, h, w, c)
		}
		return parts
	}
	largest := func(parts []*Node) *Node { return Max(Max(parts[0], parts[1]), Max(parts[2], parts[3])) }
	forward := func(in []*Node) *Node { return largest(corners(in[0])) }
	backward := func(in []*Node, v *Node) []*Node {
		parts := corners(in[0])
		top := largest(parts)
		zero := ZerosLike(v)
		rest := v // the gradient not yet given to an earlier corner
		grads := make([]*Node, 4)
		for k, part := range parts {
			isTop := Equal(part, top)
			grads[k] = Where(isTop, rest, zero)
			rest = Where(isTop, zero, rest)
		}
		lines := make([]*Node, 2)
		for i := range lines {
			lines[i] = Concatenate([]*Node{Reshape(grads[2*i], n, h, 1, w, 1, c), Reshape(grads[2*i+1], n, h, 1, w, 1, c)}, 4)
		}
		full := Reshape(Concatenate(lines, 2), n, 2*h, 2*w, c)
		if oddH+oddW > 0 {
			full = Pad(full, ScalarZero(full.Graph(), full.DType()), PadAxis{}, PadAxis{End: oddH}, PadAxis{End: oddW}, PadAxis{})
		}
		return []*Node{full}
	}
	return withGradient(forward, backward, x)
}

// NearestDownsample keeps every factor-th pixel of each axis: [N, H, W, C] to [N, H/factor, W/factor, C],
// nearest sampling with source index = target index * factor.
func NearestDownsample(x *Node, factor int) *Node {
	n, h, w, c := x.Shape().Dim(0), x.Shape().Dim(1)/factor, x.Shape().Dim(2)/factor, x.Shape().Dim(3)
	blocks := Reshape(window(x, 0, 0, h*factor, w*factor), n, h, factor, w, factor, c)
	return Reshape(Slice(blocks, AxisRange(), AxisRange(), AxisElem(0), AxisRange(), AxisElem(0)), n, h, w, c)
}
