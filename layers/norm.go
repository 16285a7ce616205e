package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/nn"
)

// LayerNorm normalises the channels of each pixel and applies a weight and a bias per channel:
// (x-mean)/sqrt(var+epsilon)*weight+bias with the biased variance. x is [..., C]; the weights are
// "weight" and "bias" [C]. NAFNet and the degradation classifier use epsilon 1e-6
// (parity README, sections 4.1 and 4.6).
func LayerNorm(scope *model.Scope, x *Node, epsilon float64) *Node {
	weight, bias := normWeights(scope, x)
	h := normalise(training(scope, x), x, epsilon)
	return addBias(training(scope, x), scaleChannels(training(scope, x), h, weight), bias)
}

// BiasFreeNorm divides the channels of each pixel by sqrt(var+epsilon) and applies a weight per
// channel. The biased variance is about the mean, but the mean is not subtracted from x: this is not
// an RMS norm (Restormer, arXiv 2111.09881, "BiasFree"; parity README, section 4.2). x is [..., C];
// the weight is "weight" [C].
func BiasFreeNorm(scope *model.Scope, x *Node, epsilon float64) *Node {
	weight := Param(scope, x.Graph(), "weight", Constant(1), x.Shape().Dim(-1))
	return scaleChannels(training(scope, x), divideByDeviation(training(scope, x), x, epsilon), weight)
}

// divideByDeviation returns x/sqrt(var+epsilon) over the channels of each pixel.
func divideByDeviation(train bool, x *Node, epsilon float64) *Node {
	if !train {
		centred := Sub(x, ReduceAndKeep(x, ReduceMean, -1))
		variance := ReduceAndKeep(Square(centred), ReduceMean, -1)
		return Div(x, Sqrt(AddScalar(variance, epsilon)))
	}
	var centred, inverse *Node
	forward := func(in []*Node) *Node {
		centred = Sub(in[0], meanChannels(in[0]))
		inverse = Inverse(Sqrt(AddScalar(meanChannels(Square(centred)), epsilon)))
		return Mul(in[0], inverse)
	}
	backward := func(in []*Node, v *Node) []*Node {
		// The deviation's share is along the centred channels.
		share := Mul(Mul(Square(inverse), inverse), meanChannels(Mul(v, in[0])))
		return []*Node{Sub(Mul(v, inverse), Mul(centred, share))}
	}
	return Reshape(withGradient(forward, backward, rows(x)), x.Shape().Dimensions...)
}

// NormPointwise is LayerNorm followed by Pointwise. When training, the affine part of the norm is
// folded into the weights of the convolution, and the division by the deviation is done after the
// product: what a step adds to the products is then little more than two passes over x.
func NormPointwise(norm, conv *model.Scope, x *Node, out int, epsilon float64) *Node {
	weight, bias := normWeights(norm, x)
	kernel, convBias := pointwiseWeights(conv, x, out, true)
	if !training(norm, x) && interpreted(x.Graph()) {
		return addBias(false, matmulChannels(nn.LayerNorm(x, []int{-1}, epsilon, weight, bias, nil), kernel), convBias)
	}
	if !training(norm, x) {
		h := Add(Mul(normalise(false, x, epsilon), ExpandLeftToRank(weight, x.Rank())), ExpandLeftToRank(bias, x.Rank()))
		return addBias(false, matmulChannels(h, kernel), convBias)
	}
	channels := x.Shape().Dim(-1)
	folded := Mul(kernel, Reshape(weight, channels, 1))
	convBias = Add(convBias, Reshape(Dot(Reshape(bias, 1, channels), kernel).Product(), out))
	if interpreted(x.Graph()) {
		return addBias(true, matmulChannels(normalise(true, x, epsilon), folded), convBias)
	}
	dims := append([]int{}, x.Shape().Dimensions...)
	dims[len(dims)-1] = out
	return Reshape(normLinear(rows(x), folded, convBias, epsilon), dims...)
}

// normLinear is (x-mean)/sqrt(var+epsilon) of each row, times w, plus b: [R, C] to [R, K], with a
// gradient of its own. The gradient v of the result enters as u = v/sqrt(var+epsilon) everywhere.
func normLinear(x, w, b *Node, epsilon float64) *Node {
	var centred, deviation, inverse *Node
	forward := func(in []*Node) *Node {
		countMACs(x.Graph(), x.Shape().Size()*w.Shape().Dim(1))
		// The mean as a real matrix product also keeps XLA from recomputing x, and with it the whole
		// residual stream, inside each of its users.
		centred = Sub(in[0], meanChannels(in[0]))
		deviation = Sqrt(AddScalar(meanChannels(Square(centred)), epsilon))
		inverse = Inverse(deviation)
		return Add(Mul(Dot(centred, in[1]).Product(), inverse), ExpandLeftToRank(in[2], 2))
	}
	backward := func(in []*Node, v *Node) []*Node {
		u := Mul(v, inverse)
		dw := DotGeneral(centred, []int{0}, nil, u, []int{0}, nil)
		// The gradient of a mean is taken off in the weights: their columns get the mean 0.
		columns := Sub(in[1], ReduceAndKeep(in[1], ReduceMean, 0))
		g := DotGeneral(u, []int{1}, nil, columns, []int{1}, nil)
		along := Mul(Square(inverse), meanChannels(Mul(centred, g)))
		return []*Node{Sub(g, Mul(centred, along)), dw, biasGradient(deviation, u)}
	}
	return withGradient(forward, backward, x, w, b)
}

// biasGradient is the sum of the rows of v = u*deviation: [R, K] to [K]. As a product with u it needs no v.
func biasGradient(deviation, u *Node) *Node {
	if accelerated(u.Graph()) {
		return sumRows(Mul(u, deviation))
	}
	deviations := BroadcastToDims(deviation, u.Shape().Dim(0), dotWidth)
	return Reshape(Slice(DotGeneral(deviations, []int{0}, nil, u, []int{0}, nil), AxisElem(0)), -1)
}

func normWeights(scope *model.Scope, x *Node) (weight, bias *Node) {
	g, channels := x.Graph(), x.Shape().Dim(-1)
	return Param(scope, g, "weight", Constant(1), channels), Param(scope, g, "bias", Constant(0), channels)
}

// normalise returns (x-mean)/sqrt(var+epsilon) over the channels of each pixel.
func normalise(train bool, x *Node, epsilon float64) *Node {
	if !train && interpreted(x.Graph()) {
		return nn.LayerNorm(x, []int{-1}, epsilon, nil, nil, nil) // one operation
	}
	if !train {
		centred := Sub(x, ReduceAndKeep(x, ReduceMean, -1))
		variance := ReduceAndKeep(Square(centred), ReduceMean, -1)
		return Div(centred, Sqrt(AddScalar(variance, epsilon)))
	}
	// The mean as a real matrix product also keeps XLA from recomputing x, and with it the whole
	// residual stream, inside each of its users.
	var inverse, normalised *Node
	forward := func(in []*Node) *Node {
		centred := Sub(in[0], meanChannels(in[0]))
		inverse = Inverse(Sqrt(AddScalar(meanChannels(Square(centred)), epsilon))) // Rsqrt has no gradient
		normalised = Mul(centred, inverse)
		return normalised
	}
	backward := func(_ []*Node, v *Node) []*Node {
		return []*Node{Mul(inverse, Sub(Sub(v, meanChannels(v)), Mul(normalised, meanChannels(Mul(v, normalised)))))}
	}
	return Reshape(withGradient(forward, backward, rows(x)), x.Shape().Dimensions...)
}

// scaleChannels multiplies x [..., C] by s [C].
func scaleChannels(train bool, x, s *Node) *Node {
	forward := func(in []*Node) *Node { return Mul(in[0], ExpandLeftToRank(in[1], in[0].Rank())) }
	if interpreted(x.Graph()) {
		forward = func(in []*Node) *Node { return Mul(in[0], channelsLike(in[1], in[0])) }
	}
	if !train {
		return forward([]*Node{x, s})
	}
	backward := func(in []*Node, v *Node) []*Node {
		return []*Node{Mul(v, ExpandLeftToRank(in[1], v.Rank())), sumRows(Mul(v, in[0]))}
	}
	return withGradient(forward, backward, x, s)
}
