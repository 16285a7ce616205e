package layers

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// WindowAttention is multi-head self-attention within windows of Window x Window pixels, which may be
// shifted (Swin Transformer, arXiv 2103.14030, section 3.2; SwinIR, arXiv 2108.10257, section 3.1).
type WindowAttention struct {
	Window       int
	Heads        int  // divides the channels
	Shift        int  // pixels by which the image is rolled up and to the left first, and back after; 0: not at all
	PositionBias bool // add a learnt value per head and offset of two pixels to the scores
	Mask         bool // keep pixels that only the roll has put into one window from attending to each other
	Norm         Norm // in front
}

// maskedScore is added to the scores of pairs that the mask keeps apart. It is the original's: their
// share is below e^-80 and not exactly zero.
const maskedScore = -100

// transformerStd is the standard deviation of the first weights of token layers and position biases.
// PyTorch's models cut the distribution off at 2, some hundred deviations away.
const transformerStd = 0.02

// Apply maps x [N, H, W, C] to the same shape, H and W multiples of Window. Weights: "qkv" and "proj",
// as Dense, and with PositionBias "relative_position_bias_table" [heads, (2*Window-1)^2].
func (a WindowAttention) Apply(scope *model.Scope, x *Node) *Node {
	n, h, w, channels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	tokens, train := a.Window*a.Window, training(scope, x)
	normalised, weight, bias := a.Norm.denseWeights(scope.At("qkv"), x, 3*channels)
	windows := WindowPartition(roll(normalised, a.Shift), a.Window)
	count := windows.Shape().Dim(0)

	qkv := Reshape(dense(train, windows, weight, bias), count, tokens, 3, a.Heads, channels/a.Heads)
	qkv = TransposeAllAxes(qkv, 2, 0, 3, 1, 4)
	part := func(i int) *Node { return Reshape(Slice(qkv, AxisElem(i)), qkv.Shape().Dimensions[1:]...) }
	q := MulScalar(part(0), 1/math.Sqrt(float64(channels/a.Heads)))
	scores := Einsum("bhqd,bhkd->bhqk", q, part(1))
	if a.PositionBias {
		scores = Add(scores, ExpandLeftToRank(a.positionBias(scope, x), 4))
	}
	if a.Mask && a.Shift > 0 {
		mask := Reshape(a.mask(x.Graph(), h, w), 1, count/n, 1, tokens, tokens)
		scores = Reshape(Add(Reshape(scores, n, count/n, a.Heads, tokens, tokens), mask), scores.Shape().Dimensions...)
	}
	y := Einsum("bhqk,bhkd->bhqd", softmax(train, scores), part(2))
	countMACs(x.Graph(), 2*x.Shape().Size()*tokens)
	y = Reshape(TransposeAllAxes(y, 0, 2, 1, 3), count, tokens, channels)
	return roll(WindowReverse(Dense(scope.At("proj"), y, channels), n, h, w), -a.Shift)
}

// positionBias returns the bias of each pair of pixels of a window: [heads, Window^2, Window^2]. That of
// pixels (yi, xi) and (yj, xj) is entry (yi-yj+Window-1)*(2*Window-1) + xi-xj+Window-1 of the table.
// It is made of slices, not of a gather: the gradient is then a sum in a fixed order.
func (a WindowAttention) positionBias(scope *model.Scope, x *Node) *Node {
	w, side := a.Window, 2*a.Window-1
	table := Param(scope, x.Graph(), "relative_position_bias_table", Normal(transformerStd), a.Heads, side*side)
	offsets := Reverse(Reshape(table, a.Heads, side, side), 1, 2) // now by yj-yi and xj-xi
	columns := TransposeAllAxes(slide(offsets, w), 0, 2, 3, 1)    // heads, xi, xj, y
	pairs := TransposeAllAxes(slide(columns, w), 0, 3, 1, 4, 2)   // heads, yi, xi, yj, xj
	return Reshape(pairs, a.Heads, w*w, w*w)
}

// slide cuts w windows of w values out of each row of 2w-1: [..., 2w-1] to [..., w, w], where window i
// starts at w-1-i. Rows of 2w values, read as rows of 2w-1, move by one from each to the next.
func slide(x *Node, w int) *Node {
	lead := x.Shape().Dimensions[:x.Rank()-1]
	rows := Pad(rows(x), ScalarZero(x.Graph(), x.DType()), PadAxis{}, PadAxis{End: 1})
	count := rows.Shape().Dim(0)
	repeated := Reshape(BroadcastToDims(Reshape(rows, count, 1, 2*w), count, w, 2*w), count, 2*w*w)
	moved := Reshape(Slice(repeated, AxisRange(), AxisRange(0, w*(2*w-1))), count, w, 2*w-1)
	return Reshape(Slice(moved, AxisRange(), AxisRange(), AxisRange(w-1, 2*w-1)), append(append([]int{}, lead...), w, w)...)
}

// mask is maskedScore for pairs of pixels of a window that do not belong together, 0 for others:
// [windows of an image of HxW, Window^2, Window^2]. Of the rolled image the last Window-Shift rows
// before the last Shift ones, and those, are two regions of their own; the columns likewise.
func (a WindowAttention) mask(g *Graph, h, w int) *Node {
	shape := shapes.Make(dtypes.Int32, 1, h, w, 1)
	region := func(axis, size int) *Node {
		i := Iota(g, shape, axis)
		from := func(start int) *Node {
			return ConvertDType(GreaterOrEqual(i, Scalar(g, dtypes.Int32, start)), dtypes.Int32)
		}
		return Add(from(size-a.Window), from(size-a.Shift))
	}
	regions := WindowPartition(Add(MulScalar(region(1, h), 3), region(2, w)), a.Window)
	windows, tokens := regions.Shape().Dim(0), a.Window*a.Window
	dims := []int{windows, tokens, tokens}
	apart := NotEqual(BroadcastToDims(Reshape(regions, windows, tokens, 1), dims...), BroadcastToDims(Reshape(regions, windows, 1, tokens), dims...))
	return MulScalar(ConvertDType(apart, dtypes.Float32), maskedScore)
}

// WindowPartition cuts images into windows, in row order: [N, H, W, C] to [N*windows, size*size, C],
// H and W multiples of size.
func WindowPartition(x *Node, size int) *Node {
	n, h, w, c := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	windows := TransposeAllAxes(Reshape(x, n, h/size, size, w/size, size, c), 0, 1, 3, 2, 4, 5)
	return Reshape(windows, n*(h/size)*(w/size), size*size, c)
}

// WindowReverse is the inverse of WindowPartition, for n images of h x w pixels.
func WindowReverse(x *Node, n, h, w int) *Node {
	size, c := int(math.Round(math.Sqrt(float64(x.Shape().Dim(1))))), x.Shape().Dim(2)
	windows := Reshape(x, n, h/size, w/size, size, size, c)
	return Reshape(TransposeAllAxes(windows, 0, 1, 3, 2, 4, 5), n, h, w, c)
}

// roll moves the pixels of x [N, H, W, C] up and to the left by shift, those that leave come back on the
// other side; a negative shift moves them down and to the right.
func roll(x *Node, shift int) *Node {
	if shift == 0 {
		return x
	}
	h, w := x.Shape().Dim(1), x.Shape().Dim(2)
	top, left := (shift+h)%h, (shift+w)%w
	x = Concatenate([]*Node{window(x, top, 0, h-top, w), window(x, 0, 0, top, w)}, 1)
	return Concatenate([]*Node{window(x, 0, left, h, w-left), window(x, 0, 0, h, left)}, 2)
}

// softmax is Softmax over the last axis. The gradient of the training form needs the result only.
func softmax(train bool, x *Node) *Node {
	if !train {
		return Softmax(x, -1)
	}
	var shares *Node
	forward := func(in []*Node) *Node {
		shares = Softmax(in[0], -1)
		return shares
	}
	backward := func(_ []*Node, v *Node) []*Node {
		product := Mul(shares, v)
		return []*Node{Sub(product, Mul(shares, ReduceAndKeep(product, ReduceSum, -1)))}
	}
	return withGradient(forward, backward, x)
}

// Dense is PyTorch's nn.Linear on the channels of each pixel or token: x [..., C] to [..., out], with the
// first weights of transformers. Weights: "weight" [C, out], normal with deviation 0.02, "bias" [out], 0.
func Dense(scope *model.Scope, x *Node, out int) *Node {
	x, weight, bias := Norm{}.denseWeights(scope, x, out)
	return dense(training(scope, x), x, weight, bias)
}

// denseWeights are x and the weights of a Dense behind the norm, as fold gives them.
func (n Norm) denseWeights(scope *model.Scope, x *Node, out int) (normalised, weight, bias *Node) {
	g := x.Graph()
	normalised, weight, shift := n.fold(x, Param(scope, g, "weight", Normal(transformerStd), x.Shape().Dim(-1), out))
	bias = Param(scope, g, "bias", Constant(0), out)
	if shift != nil {
		bias = Add(bias, shift)
	}
	return normalised, weight, bias
}

// MLP is a transformer's feed-forward network on the channels of each pixel or token, behind a norm: Dense
// to hidden channels, exact GELU, Dense back. Weights: "fc1" and "fc2", as Dense.
func MLP(norm Norm, scope *model.Scope, x *Node, hidden int) *Node {
	train := training(scope, x)
	normalised, weight, bias := norm.denseWeights(scope.At("fc1"), x, hidden)
	return Dense(scope.At("fc2"), gelu(train, dense(train, normalised, weight, bias)), x.Shape().Dim(-1))
}
