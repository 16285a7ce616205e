package layers

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// GELU is the exact Gaussian error linear unit, x * Phi(x) by the error function (PyTorch's default;
// the approximation by tanh differs in the fourth digit).
func GELU(x *Node) *Node {
	return MulScalar(Mul(x, AddScalar(Erf(MulScalar(x, math.Sqrt2/2)), 1)), 0.5)
}

// GatedFeedForward is Restormer's gated depthwise feed-forward network: a 1x1 convolution to twice
// Hidden channels, a 3x3 depthwise convolution, the GELU of the first half times the second half,
// and a 1x1 convolution back (arXiv 2111.09881, section 3.2).
type GatedFeedForward struct {
	Hidden int
	Bias   bool // of all three convolutions
	Init   Init // of their kernels; nil is PyTorch's default
}

// Apply maps x [N, H, W, C] to the same shape. Weights: those of a convolution in "project_in",
// "dwconv" and "project_out".
func (f GatedFeedForward) Apply(scope *model.Scope, x *Node) *Node {
	pointwise := Conv{Kernel: 1, NoBias: !f.Bias, Init: f.Init}
	y := pointwise.Apply(scope.At("project_in"), x, 2*f.Hidden)
	y = depthwise3x3(scope.At("dwconv"), y, f.Bias, f.Init)
	gated := Mul(GELU(channelRange(y, 0, f.Hidden)), channelRange(y, f.Hidden, 2*f.Hidden))
	return pointwise.Apply(scope.At("project_out"), gated, x.Shape().Dim(-1))
}

// channelRange cuts channels [from, to) out of x [..., C].
func channelRange(x *Node, from, to int) *Node {
	return Slice(x, AxisRange().Spacer(), AxisRange(from, to))
}
