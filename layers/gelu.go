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

// Apply maps x [N, H, W, C] to the same shape. Weights: those of a convolution in "project_in",
// "dwconv" and "project_out".
func (f GatedFeedForward) Apply(scope *model.Scope, x *Node) *Node {
	pointwise := Conv{Kernel: 1, NoBias: !f.Bias, Init: f.Init}
	y := f.Norm.conv(scope.At("project_in"), pointwise, x, 2*f.Hidden)
	y = depthwise3x3(scope.At("dwconv"), y, f.Bias, f.Init)
	gated := Mul(gelu(training(scope, x), channelRange(y, 0, f.Hidden)), channelRange(y, f.Hidden, 2*f.Hidden))
	return pointwise.Apply(scope.At("project_out"), gated, x.Shape().Dim(-1))
}

// channelRange cuts channels [from, to) out of x [..., C].
func channelRange(x *Node, from, to int) *Node {
	return Slice(x, AxisRange().Spacer(), AxisRange(from, to))
}
