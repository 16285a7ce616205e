package layers

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// gelu is the exact Gaussian error linear unit, x times the standard normal distribution function, by
// erf (PyTorch's default; the approximation by tanh differs in the fourth digit).
func gelu(train bool, x *Node) *Node {
	distribution := func(x *Node) *Node { return MulScalar(OnePlus(Erf(MulScalar(x, math.Sqrt2/2))), 0.5) }
	forward := func(in []*Node) *Node { return Mul(in[0], distribution(in[0])) }
	if !train {
		return forward([]*Node{x})
	}
	backward := func(in []*Node, v *Node) []*Node {
		density := MulScalar(Exp(MulScalar(Square(in[0]), -0.5)), 1/math.Sqrt(2*math.Pi))
		return []*Node{Mul(v, Add(distribution(in[0]), Mul(in[0], density)))}
	}
	return withGradient(forward, backward, x)
}

// GatedFeedForward is Restormer's gated depthwise feed-forward network: a 1x1 convolution to twice
// Hidden channels, a 3x3 depthwise convolution, the GELU of the first half times the second half,
// and a 1x1 convolution back (arXiv 2111.09881, section 3.2).
type GatedFeedForward struct {
	Hidden int
	Bias   bool // of all three convolutions
	Init   Init // of their kernels; nil is PyTorch's default
	Norm   Norm // in front
}

// vectorWidth is the number of channels to a multiple of which GatedFeedForward fills up: what the
// processor computes at a time. Its Hidden is 127, 255 ..., so that all but the first pixel would lie
// across such vectors.
const vectorWidth = 16

// Apply maps x [N, H, W, C] to the same shape. Weights: those of a convolution in "project_in",
// "dwconv" and "project_out". The channels that fill up have weights of 0 and are 0.
func (f GatedFeedForward) Apply(scope *model.Scope, x *Node) *Node {
	g, channels, train := x.Graph(), x.Shape().Dim(-1), training(scope, x)
	width := (f.Hidden + vectorWidth - 1) / vectorWidth * vectorWidth
	if recordOf(g) != nil {
		width = f.Hidden // nothing is computed: what counts is what the network has
	}
	countMACs(g, 9*x.Shape().Size()/channels*2*f.Hidden)
	zero := ScalarZero(g, x.DType())
	fill := func(w *Node, parts int) *Node { // last axis: parts*Hidden to parts*width
		lead := rows(w).Shape().Dim(0)
		filled := Pad(Reshape(w, lead, parts, f.Hidden), zero, PadAxis{}, PadAxis{}, PadAxis{End: width - f.Hidden})
		return Reshape(filled, lead, parts*width)
	}
	addFilled := func(y *Node, bias *Node) *Node {
		if bias == nil {
			return y
		}
		return addBias(train, y, Reshape(fill(bias, 2), -1))
	}
	pointwise := Conv{Kernel: 1, NoBias: !f.Bias, Init: f.Init}
	kernel, bias := pointwise.weights(scope.At("project_in"), g, channels, 2*f.Hidden)
	y := addFilled(f.Norm.pointwise(x, fill(kernel, 2)), bias)
	kernel, bias = depthwiseWeights(scope.At("dwconv"), g, 2*f.Hidden, f.Bias, f.Init)
	y = addFilled(depthwise(train, y, fill(kernel, 2)), bias)
	gated := Mul(gelu(train, channelRange(y, 0, width)), channelRange(y, width, 2*width))
	kernel, bias = pointwise.weights(scope.At("project_out"), g, f.Hidden, channels)
	y = matmulChannels(gated, Pad(kernel, zero, PadAxis{End: width - f.Hidden}, PadAxis{}))
	if bias == nil {
		return y
	}
	return addBias(train, y, bias)
}

// channelRange cuts channels [from, to) out of x [..., C].
func channelRange(x *Node, from, to int) *Node {
	return Slice(x, AxisRange().Spacer(), AxisRange(from, to))
}
