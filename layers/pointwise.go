package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Pointwise is a 1x1 convolution: x [..., C] to [..., out], as one matrix product over the pixels.
// Weights: "weight" [1, 1, C, out] and, if bias, "bias" [out].
func Pointwise(scope *model.Scope, x *Node, out int, bias bool) *Node {
	kernel, b := pointwiseWeights(scope, x, out, bias)
	y := matmulChannels(x, kernel)
	if b == nil {
		return y
	}
	return addBias(training(scope, x), y, b)
}

// PointwiseResidual is residual + Pointwise(x)*scale, NAFNet's way out of a block: scale is the
// weight scaleName of the owner's scope, [1, 1, out, 1] (PyTorch: 1, out, 1, 1), zero at first.
// When training, scale is folded into the convolution's weights.
func PointwiseResidual(owner *model.Scope, scaleName string, conv *model.Scope, x, residual *Node) *Node {
	out := residual.Shape().Dim(-1)
	scale := Reshape(Param(owner, x.Graph(), scaleName, Constant(0), 1, 1, out, 1), out)
	kernel, bias := pointwiseWeights(conv, x, out, true)
	if !training(owner, x) && !interpreted(x.Graph()) {
		return Add(residual, Mul(addBias(false, matmulChannels(x, kernel), bias), ExpandLeftToRank(scale, x.Rank())))
	}
	columns := Reshape(scale, 1, out)
	if interpreted(x.Graph()) {
		columns = channelsLike(scale, kernel)
	}
	y := addBias(training(owner, x), matmulChannels(x, Mul(kernel, columns)), Mul(bias, scale))
	// The sum comes last and reads two big inputs: XLA does not duplicate it into its users.
	return Add(residual, y)
}

func pointwiseWeights(scope *model.Scope, x *Node, out int, bias bool) (kernel, b *Node) {
	g, in := x.Graph(), x.Shape().Dim(-1)
	kernel = Reshape(Param(scope, g, "weight", fanIn(in), 1, 1, in, out), in, out)
	noteConvolution(scope, g, Convolution{Layer: "Pointwise", Kernel: 1, Stride: 1, In: in, Out: out})
	if bias {
		b = Param(scope, g, "bias", fanIn(in), out)
	}
	return kernel, b
}

// matmulChannels multiplies the channels of each pixel by w: [..., C] x [C, K] to [..., K].
func matmulChannels(x, w *Node) *Node {
	dims := append([]int{}, x.Shape().Dimensions...)
	dims[len(dims)-1] = w.Shape().Dim(1)
	countMACs(x.Graph(), x.Shape().Size()*w.Shape().Dim(1))
	return Reshape(Dot(rows(x), w).Product(), dims...)
}

// Linear is PyTorch's nn.Linear: x [N, C] to [N, out]. Weights: "weight" [C, out], "bias" [out].
func Linear(scope *model.Scope, x *Node, out int) *Node {
	g, in := x.Graph(), x.Shape().Dim(-1)
	w := Param(scope, g, "weight", fanIn(in), in, out)
	b := Param(scope, g, "bias", fanIn(in), out)
	countMACs(g, x.Shape().Size()*out)
	return Add(Dot(x, w).Product(), ExpandLeftToRank(b, 2))
}

// UnusedPointwise creates the weights of a 1x1 convolution that nothing is computed with, so that
// weight files that have it are read and written whole. They are not trained.
func UnusedPointwise(scope *model.Scope, g *Graph, in, out int, bias bool) {
	Param(scope, g, "weight", fanIn(in), 1, 1, in, out)
	noteConvolution(scope, g, Convolution{Layer: "UnusedPointwise", Kernel: 1, Stride: 1, In: in, Out: out})
	if bias {
		Param(scope, g, "bias", fanIn(in), out)
	}
	for v := range scope.IterVariables() {
		v.SetTrainable(false)
	}
}
