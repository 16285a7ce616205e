package layers

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"
)

// ChannelAttention is Restormer's transposed attention: the channels of a head attend to each other,
// so that its cost is linear in the number of pixels (arXiv 2111.09881, section 3.1; parity README,
// section 4.2).
type ChannelAttention struct {
	Heads int  // share the channels in order; must divide their number
	ReLU  bool // scores pass a ReLU and are not normalised, as in DCPT; else a softmax over the keys
	Bias  bool // of all three convolutions
	Init  Init // of their kernels; nil is PyTorch's default

	// Window makes the channels attend within overlapping windows (RestormerLocal), not in training.
	Window Window
}

// Apply maps x [N, H, W, C] to the same shape. Weights: those of a convolution in "qkv", "qkv_dwconv"
// and "project_out", and "temperature" [Heads, 1, 1], a factor of the scores.
func (a ChannelAttention) Apply(scope *model.Scope, x *Node) *Node {
	c := x.Shape().Dim(-1)
	if c%a.Heads != 0 {
		exceptions.Panicf("layers.ChannelAttention: %d channels cannot be shared by %d heads", c, a.Heads)
	}
	pointwise := Conv{Kernel: 1, NoBias: !a.Bias, Init: a.Init}
	qkv := pointwise.Apply(scope.At("qkv"), x, 3*c)
	qkv = depthwise3x3(scope.At("qkv_dwconv"), qkv, a.Bias, a.Init)
	temperature := Param(scope, x.Graph(), "temperature", Constant(1), a.Heads, 1, 1)
	attend := func(qkv *Node) *Node { return a.attend(training(scope, x), qkv, temperature) }
	if training(scope, x) || a.Window.covers(x.Shape().Dim(1), x.Shape().Dim(2)) {
		return pointwise.Apply(scope.At("project_out"), attend(qkv), c)
	}
	return pointwise.Apply(scope.At("project_out"), inWindows(qkv, a.Window, attend), c)
}

// smallestSquare is the square of the norm below which PyTorch does not divide by a norm (1e-12).
const smallestSquare = 1e-24

// attend lets the channels attend: qkv [N, H, W, 3C] to [N, H, W, C]. The queries and keys are to be
// divided by their norms over the pixels; dividing the scores is the same and much less work.
func (a ChannelAttention) attend(train bool, qkv, temperature *Node) *Node {
	n, h, w, c := qkv.Shape().Dim(0), qkv.Shape().Dim(1), qkv.Shape().Dim(2), qkv.Shape().Dim(3)/3
	perHead := c / a.Heads
	countMACs(qkv.Graph(), 2*n*h*w*c*perHead)
	inverseNorms := func(x *Node) *Node { // [N, C]
		var squares *Node
		if train {
			squares = sumPixels(Square(x))
		} else {
			squares = ReduceSum(Square(x), 1, 2)
		}
		// Of what is all but zero, as of an image that is all black, neither the root nor its gradient
		// is taken: that would be infinite, and times 0 not a number.
		large := GreaterThan(squares, Scalar(x.Graph(), x.DType(), smallestSquare))
		safe := Where(large, squares, OnesLike(squares))
		return Where(large, Inverse(Sqrt(safe)), MulScalar(OnesLike(squares), 1/math.Sqrt(smallestSquare)))
	}
	split := func(x *Node) *Node { return Reshape(x, n, h*w, a.Heads, perHead) }
	q, k, v := channelRange(qkv, 0, c), channelRange(qkv, c, 2*c), channelRange(qkv, 2*c, 3*c)
	scores := Einsum("npic,npid->nicd", split(q), split(k))
	scores = Mul(scores, Reshape(inverseNorms(q), n, a.Heads, perHead, 1))
	scores = Mul(scores, Reshape(inverseNorms(k), n, a.Heads, 1, perHead))
	scores = Mul(scores, Reshape(temperature, 1, a.Heads, 1, 1))
	if a.ReLU {
		scores = MaxScalar(scores, 0)
	} else {
		scores = softmax(train, scores)
	}
	return Reshape(Einsum("npid,nicd->npic", split(v), scores), n, h, w, c)
}
