package layers

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// withGradient returns forward(inputs) with the gradients that backward gives: one per input, for
// the gradient v of the result. GoMLX offers a custom gradient for one input only; an identity
// around each input and one around the result carry several. The gradient that autodiff builds for
// forward is never used, so XLA drops it.
func withGradient(forward func(in []*Node) *Node, backward func(in []*Node, v *Node) []*Node, inputs ...*Node) *Node {
	var v *Node
	var gradients []*Node
	wrapped := make([]*Node, len(inputs))
	for i := range inputs {
		wrapped[i] = IdentityWithCustomGradient(inputs[i], func(_, _ *Node) *Node {
			// Reverse autodiff reaches the result's identity first, so v is set here.
			if gradients == nil {
				gradients = backward(inputs, v)
			}
			return gradients[i]
		})
	}
	return IdentityWithCustomGradient(forward(wrapped), func(_, g *Node) *Node {
		v, gradients = g, nil // anew for each loss that is differentiated in this graph
		return g
	})
}

// dotWidth is how many equal rows or columns of ones a sum over a matrix is given: a product with
// a single vector is fused by XLA into the producers of the matrix, which is what must not happen.
const dotWidth = 8

// rows views x as a matrix with one row per pixel: [..., C] to [R, C].
func rows(x *Node) *Node {
	return Reshape(x, -1, x.Shape().Dim(-1))
}

// sumRows adds all pixels: [..., C] to [C].
func sumRows(x *Node) *Node {
	if interpreted(x.Graph()) {
		return Reshape(sumOfImages(x, 1), -1)
	}
	m := rows(x)
	if accelerated(x.Graph()) {
		return ReduceSum(m, 0)
	}
	ones := Ones(x.Graph(), shapes.Make(x.DType(), dotWidth, m.Shape().Dim(0)))
	return Reshape(Slice(Dot(ones, m).Product(), AxisRange(0, 1)), -1)
}

// meanChannels averages the channels of each row: [R, C] to [R, 1], or to [R, C] where that is faster.
func meanChannels(m *Node) *Node {
	if interpreted(m.Graph()) {
		return meanOfRows(m)
	}
	if accelerated(m.Graph()) {
		return ReduceAndKeep(m, ReduceMean, -1)
	}
	channels := m.Shape().Dim(1)
	weights := MulScalar(Ones(m.Graph(), shapes.Make(m.DType(), channels, dotWidth)), 1/float64(channels))
	return Slice(Dot(m, weights).Product(), AxisRange(), AxisRange(0, 1))
}

// sumPixels adds the pixels of each image: [N, H, W, C] to [N, C].
func sumPixels(x *Node) *Node {
	n, pixels := x.Shape().Dim(0), x.Shape().Dim(1)*x.Shape().Dim(2)
	g := x.Graph()
	if interpreted(g) {
		return sumOfImages(x, n)
	}
	if accelerated(g) {
		return ReduceSum(x, 1, 2)
	}
	shape := shapes.Make(dtypes.Int32, max(n, dotWidth), n*pixels)
	member := Equal(Iota(g, shape, 0), Div(Iota(g, shape, 1), Scalar(g, dtypes.Int32, pixels)))
	return Slice(Dot(ConvertDType(member, x.DType()), rows(x)).Product(), AxisRange(0, n))
}

// addBias adds b [C] to y [..., C].
func addBias(train bool, y, b *Node) *Node {
	forward := func(in []*Node) *Node { return Add(in[0], ExpandLeftToRank(in[1], in[0].Rank())) }
	if interpreted(y.Graph()) {
		forward = func(in []*Node) *Node { return Add(in[0], channelsLike(in[1], in[0])) }
	}
	if !train {
		return forward([]*Node{y, b})
	}
	return withGradient(forward, func(_ []*Node, v *Node) []*Node { return []*Node{v, sumRows(v)} }, y, b)
}
