package layers

import (
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// SimpleGate multiplies the first half of the channels by the second: [..., 2C] to [..., C]
// (NAFNet, arXiv 2204.04676, section 3.3).
func SimpleGate(x *Node) *Node {
	c := x.Shape().Dim(-1) / 2
	return Mul(
		Slice(x, AxisRange().Spacer(), AxisRange(0, c)),
		Slice(x, AxisRange().Spacer(), AxisRange(c, 2*c)))
}

// gateHalves multiplies the two halves of x: [..., 2, C] to [..., C].
func gateHalves(x *Node) *Node {
	half := func(i int) *Node {
		part := Slice(x, AxisRange().Spacer(), AxisElem(i), AxisRange())
		return Reshape(part, append(slices.Clone(x.Shape().Dimensions[:x.Rank()-2]), x.Shape().Dim(-1))...)
	}
	return Mul(half(0), half(1))
}

// gateHalvesGradient is the gradient for x, given that for the result: each half gets v times the other.
// As the reverse of a product it is one pass without cases, which sums of padded halves are not.
func gateHalvesGradient(x, v *Node) *Node {
	v = BroadcastToDims(Reshape(v, append(slices.Clone(v.Shape().Dimensions[:v.Rank()-1]), 1, v.Shape().Dim(-1))...), x.Shape().Dimensions...)
	return Reverse(Mul(v, x), x.Rank()-2)
}

// SimplifiedChannelAttention multiplies each channel of x [N, H, W, C] by a 1x1 convolution of the
// channels' global averages, with no activation (NAFNet, section 3.3). The convolution's weights,
// "weight" [1, 1, C, C] and "bias" [C], are in scope.
func SimplifiedChannelAttention(scope *model.Scope, x *Node) *Node {
	train := training(scope, x)
	kernel, bias := pointwiseWeights(scope, x, x.Shape().Dim(-1), true)
	countMACs(x.Graph(), x.Shape().Dim(0)*kernel.Shape().Size())
	attention := Add(Dot(globalAverage(train, x), kernel).Product(), ExpandLeftToRank(bias, 2))
	return scaleImages(train, x, attention)
}

// globalAverage is the mean over the pixels: [N, H, W, C] to [N, C].
func globalAverage(train bool, x *Node) *Node {
	n, h, w, c := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	perPixel := 1 / float64(h*w)
	forward := func(in []*Node) *Node { return MulScalar(sumPixels(in[0]), perPixel) }
	if !train {
		return forward([]*Node{x})
	}
	return withGradient(forward, func(_ []*Node, v *Node) []*Node {
		return []*Node{BroadcastToDims(Reshape(MulScalar(v, perPixel), n, 1, 1, c), n, h, w, c)}
	}, x)
}

// GlobalAverage is the mean over the pixels: [N, H, W, C] to [N, C].
func GlobalAverage(scope *model.Scope, x *Node) *Node { return globalAverage(training(scope, x), x) }

// scaleImages multiplies x [N, H, W, C] by s [N, C].
func scaleImages(train bool, x, s *Node) *Node {
	n, c := x.Shape().Dim(0), x.Shape().Dim(3)
	forward := func(in []*Node) *Node { return Mul(in[0], Reshape(in[1], n, 1, 1, c)) }
	if interpreted(x.Graph()) {
		forward = func(in []*Node) *Node {
			return Mul(in[0], Reshape(repeatPixels(in[1], x.Shape().Size()/(n*c)), x.Shape().Dimensions...))
		}
	}
	if !train {
		return forward([]*Node{x, s})
	}
	backward := func(in []*Node, v *Node) []*Node {
		return []*Node{Mul(v, Reshape(in[1], n, 1, 1, c)), sumPixels(Mul(v, in[0]))}
	}
	return withGradient(forward, backward, x, s)
}
