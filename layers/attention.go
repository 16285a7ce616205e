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
	Norm  Norm // in front

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
	qkv := a.Norm.conv(scope.At("qkv"), pointwise, x, 3*c)
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
	inverse := inverseNorms(train, channelRange(qkv, 0, 2*c))
	// A head axis makes XLA move all pixels for the products: with one head, as in all networks at full
	// resolution, there is none. (Products of all channels, of which the heads' blocks are then taken, are
	// more work than the moves from four heads on.)
	ofScores, ofValues, pixels := "npic,npid->nicd", "npid,nicd->npic", []int{n, h * w, a.Heads, perHead}
	if a.Heads == 1 {
		ofScores, ofValues, pixels = "npc,npd->ncd", "npd,ncd->npc", []int{n, h * w, c}
	}
	q, k, v := channelRange(qkv, 0, c), channelRange(qkv, c, 2*c), channelRange(qkv, 2*c, 3*c)
	product := Einsum(ofScores, Reshape(q, pixels...), Reshape(k, pixels...))
	scores := Reshape(product, n, a.Heads, perHead, perHead)
	scores = Mul(scores, Reshape(channelRange(inverse, 0, c), n, a.Heads, perHead, 1))
	scores = Mul(scores, Reshape(channelRange(inverse, c, 2*c), n, a.Heads, 1, perHead))
	scores = Mul(scores, Reshape(temperature, 1, a.Heads, 1, 1))
	if a.ReLU {
		scores = MaxScalar(scores, 0)
	} else {
		scores = softmax(train, scores)
	}
	scores = Reshape(scores, product.Shape().Dimensions...)
	return Reshape(Einsum(ofValues, Reshape(v, pixels...), scores), n, h, w, c)
}

// inverseNorms is 1 over the norm of each channel over the pixels: [N, H, W, C] to [N, C].
func inverseNorms(train bool, x *Node) *Node {
	squares := sumSquares(train, x)
	// Of what is all but zero, as of an image that is all black, neither the root nor its gradient
	// is taken: that would be infinite, and times 0 not a number.
	large := GreaterThan(squares, Scalar(x.Graph(), x.DType(), smallestSquare))
	safe := Where(large, squares, OnesLike(squares))
	return Where(large, Inverse(Sqrt(safe)), MulScalar(OnesLike(squares), 1/math.Sqrt(smallestSquare)))
}

// sumSquares adds the squares of the pixels of each image: [N, H, W, C] to [N, C].
func sumSquares(train bool, x *Node) *Node {
	if !train {
		return ReduceSum(Square(x), 1, 2)
	}
	n, c := x.Shape().Dim(0), x.Shape().Dim(3)
	return withGradient(
		func(in []*Node) *Node { return sumPixels(Square(in[0])) },
		func(in []*Node, v *Node) []*Node { return []*Node{Mul(in[0], Reshape(MulScalar(v, 2), n, 1, 1, c))} }, x)
}
