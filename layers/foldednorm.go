package layers

import (
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Norm is a norm over channels in front of a layer that begins with a 1x1 convolution: LayerNorm, or
// with BiasFree BiasFreeNorm, with weights in Scope. The zero Norm, without a scope, is none.
type Norm struct {
	Scope    *model.Scope
	Epsilon  float64
	BiasFree bool
}

// Apply normalises x [..., C].
func (n Norm) Apply(x *Node) *Node {
	switch {
	case n.Scope == nil:
		return x
	case n.BiasFree:
		return BiasFreeNorm(n.Scope, x, n.Epsilon)
	default:
		return LayerNorm(n.Scope, x, n.Epsilon)
	}
}

// conv is Apply followed by a 1x1 convolution with the weights of Conv: x [..., C] to [..., out].
func (n Norm) conv(scope *model.Scope, c Conv, x *Node, out int) *Node {
	in, init, train := x.Shape().Dim(-1), c.Init, training(scope, x)
	if init == nil {
		init = fanIn(in)
	}
	kernel := Reshape(Param(scope, x.Graph(), "weight", init, 1, 1, in, out), in, out)
	noteConvolution(scope, x.Graph(), Convolution{Layer: "Norm.conv", Kernel: 1, Stride: 1, In: in, Out: out})
	normalised, kernel, bias := n.fold(x, kernel)
	if !c.NoBias {
		own := Param(scope, x.Graph(), "bias", fanIn(in), out)
		if bias == nil {
			bias = own
		} else {
			bias = Add(bias, own)
		}
	}
	if bias == nil {
		return matmulChannels(normalised, kernel)
	}
	return dense(train, normalised, kernel, bias)
}

// fold normalises x [..., C] for a product with kernel [C, out] and gives the kernel to use instead, and
// what is to be added to the product, [out] or nil. When training the affine part of the norm is moved
// into these: its gradients then cost parameter-sized work only.
func (n Norm) fold(x, kernel *Node) (normalised, folded, shift *Node) {
	if n.Scope == nil || !training(n.Scope, x) {
		return n.Apply(x), kernel, nil
	}
	channels := x.Shape().Dim(-1)
	if n.BiasFree {
		weight := Param(n.Scope, x.Graph(), "weight", Constant(1), channels)
		return divideByDeviation(true, x, n.Epsilon), Mul(kernel, Reshape(weight, channels, 1)), nil
	}
	weight, bias := normWeights(n.Scope, x)
	shift = Reshape(Dot(Reshape(bias, 1, channels), kernel).Product(), -1)
	return normalise(true, x, n.Epsilon), Mul(kernel, Reshape(weight, channels, 1)), shift
}

// dense is x [..., C] times weight [C, out] plus bias [out].
//
// When training and out is more than C, x has a column of ones beside it in the product that is the
// weight's gradient: its row is the bias's gradient, for less than a sum over all outputs.
func dense(train bool, x, weight, bias *Node) *Node {
	channels, out := weight.Shape().Dim(0), weight.Shape().Dim(1)
	if !train || out <= channels {
		return addBias(train, matmulChannels(x, weight), bias)
	}
	forward := func(in []*Node) *Node {
		return Add(matmulChannels(in[0], in[1]), ExpandLeftToRank(in[2], in[0].Rank()))
	}
	backward := func(in []*Node, v *Node) []*Node {
		m, v := rows(in[0]), rows(v)
		ones := Ones(m.Graph(), shapes.Make(m.DType(), m.Shape().Dim(0), 1))
		gradient := DotGeneral(Concatenate([]*Node{m, ones}, 1), []int{0}, nil, v, []int{0}, nil)
		return []*Node{
			Reshape(DotGeneral(v, []int{1}, nil, in[1], []int{1}, nil), in[0].Shape().Dimensions...),
			Slice(gradient, AxisRange(0, channels)),
			Reshape(Slice(gradient, AxisRange(channels)), out),
		}
	}
	return withGradient(forward, backward, x, weight, bias)
}
