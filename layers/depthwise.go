package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Depthwise3x3 convolves each channel with its own 3x3 kernel, zero padding 1: [N, H, W, C] to the
// same shape. Weights: "weight" [3, 3, 1, C] and, if bias, "bias" [C].
//
// It is written as nine shifted multiply-adds. GoMLX's gradient of a grouped convolution is one pair
// of convolutions per channel, minutes of compilation and then slow; the gradient here is the same
// nine taps for the input and one folded sum per tap for the kernel.
func Depthwise3x3(scope *model.Scope, x *Node, bias bool) *Node {
	return depthwise3x3(scope, x, bias, nil)
}

// depthwise3x3 is Depthwise3x3 with an Init of the kernel; nil is PyTorch's default.
func depthwise3x3(scope *model.Scope, x *Node, bias bool, init Init) *Node {
	if init == nil {
		init = fanIn(9)
	}
	g, channels := x.Graph(), x.Shape().Dim(-1)
	kernel := Reshape(Param(scope, g, "weight", init, 3, 3, 1, channels), 9, channels)
	inputs := []*Node{x, kernel}
	if bias {
		inputs = append(inputs, Param(scope, g, "bias", fanIn(9), channels))
	}
	countMACs(g, 9*x.Shape().Size())
	noteConvolution(scope, g, Convolution{Layer: "Depthwise3x3", Kernel: 3, Stride: 1, Padding: 1, In: channels, Out: channels})
	forward, backward := depthwiseTaps, depthwiseGradients
	if interpreted(g) {
		forward, backward = shiftedConvolution, shiftedGradients
	}
	if !training(scope, x) {
		return forward(inputs)
	}
	return withGradient(forward, backward, inputs...)
}

// DepthwiseGate is Depthwise3x3 with bias followed by SimpleGate: [N, H, W, 2C] to [N, H, W, C].
//
// When training, the convolution's result has the halves of the channels as an axis of its own. It then
// is an operand of both the gate and, in the gradient, of a product that depends on the gate's result:
// XLA writes it to memory once and does not compute it again for the gradient.
func DepthwiseGate(scope *model.Scope, x *Node) *Node {
	// XLA has a form for training, interpreted backends have one for inference.
	if training(scope, x) == interpreted(x.Graph()) {
		return SimpleGate(Depthwise3x3(scope, x, true))
	}
	g, channels := x.Graph(), x.Shape().Dim(-1)
	kernel := Reshape(Param(scope, g, "weight", fanIn(9), 3, 3, 1, channels), 9, channels)
	bias := Param(scope, g, "bias", fanIn(9), channels)
	countMACs(g, 9*x.Shape().Size())
	noteConvolution(scope, g, Convolution{Layer: "Depthwise3x3", Kernel: 3, Stride: 1, Padding: 1, In: channels, Out: channels})
	if interpreted(g) {
		return gateInside(shiftedTaps(x, kernel, bias))
	}
	var convolved *Node
	forward := func(in []*Node) *Node {
		convolved = tapSum(padSpatial(in[0], 1), in[1], in[2], 2, channels/2)
		return gateHalves(convolved)
	}
	backward := func(in []*Node, v *Node) []*Node { return depthwiseGradients(in, gateHalvesGradient(convolved, v)) }
	return withGradient(forward, backward, x, kernel, bias)
}

// depthwiseTaps is the convolution of x [N, H, W, C] with a kernel [9, C] and, if there is one, a bias
// [C]: in holds them.
func depthwiseTaps(in []*Node) *Node {
	x, kernel := in[0], in[1]
	var bias *Node
	if len(in) > 2 {
		bias = in[2]
	}
	return tapSum(padSpatial(x, 1), kernel, bias, x.Shape().Dim(3))
}

// tapSum adds bias [C], if not nil, and the nine taps of a kernel [9, C] on images padded by 1. The
// channels of the result have the shape pixel, of C elements.
//
// The padded images are reshaped, not the result: XLA keeps the padded images in memory, and a kernel
// runs over vectors of channels only where the shape that it writes splits them as those it reads.
func tapSum(padded, kernel, bias *Node, pixel ...int) *Node {
	n, h, w := padded.Shape().Dim(0), padded.Shape().Dim(1), padded.Shape().Dim(2)
	padded = Reshape(padded, append([]int{n, h, w}, pixel...)...)
	perChannel := func(x *Node) *Node { return ExpandLeftToRank(Reshape(x, pixel...), padded.Rank()) }
	// The bias comes first: a sum whose last part is small would be computed again by each of its users.
	var sum *Node
	if bias != nil {
		sum = BroadcastToDims(perChannel(bias), append([]int{n, h - 2, w - 2}, pixel...)...)
	}
	for k := range 9 {
		sum = addTo(sum, Mul(tapOf(padded, k), perChannel(Slice(kernel, AxisElem(k)))))
	}
	return sum
}

// tapOf is what tap k of a 3x3 kernel reads of an image that is padded by 1.
func tapOf(padded *Node, k int) *Node {
	return window(padded, k/3, k%3, padded.Shape().Dim(1)-2, padded.Shape().Dim(2)-2)
}

// depthwiseGradients are the gradients for the arguments of depthwiseTaps; v is that for its result, the
// channels of which may be split. Only v is padded: for x with it, and for the kernel, of which it is
// read from the other side.
func depthwiseGradients(in []*Node, v *Node) []*Node {
	x, kernel := in[0], in[1]
	n, h, w, channels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	padded := Reshape(padSpatial(v, 1), n, h+2, w+2, channels)
	taps := make([]*Node, 9)
	for k := range taps {
		taps[k] = Reshape(sumImages(x, tapOf(padded, 8-k)), 1, channels)
	}
	gradients := []*Node{tapSum(padded, Reverse(kernel, 0), nil, channels), Concatenate(taps, 0)}
	if len(in) > 2 {
		gradients = append(gradients, sumImages(tapOf(padded, 4), nil))
	}
	return gradients
}

// sumImagesChunks is how many parts of the images are added elementwise before the matrix product
// that sums the rest: fewer leave it more work, more thrash the first-level cache.
const sumImagesChunks = 16

// sumImages adds the pixels of x*y [N, H, W, C], or of x if y is nil: [C].
func sumImages(x, y *Node) *Node {
	n, h := x.Shape().Dim(0), x.Shape().Dim(1)
	chunksN, chunksH := 1, 1
	for chunksN*chunksH < sumImagesChunks {
		if n%(chunksN*2) == 0 {
			chunksN *= 2
		} else if h%(chunksH*2) == 0 {
			chunksH *= 2
		} else {
			break
		}
	}
	images, lines := n/chunksN, h/chunksH
	var sum *Node
	for i := range chunksN {
		for j := range chunksH {
			part := func(x *Node) *Node {
				return Slice(x, AxisRange(i*images, (i+1)*images), AxisRange(j*lines, (j+1)*lines))
			}
			if y == nil {
				sum = addTo(sum, part(x))
			} else {
				sum = addTo(sum, Mul(part(x), part(y)))
			}
		}
	}
	return sumRows(sum)
}

// padSpatial adds a border of zeros to H and W of x [N, H, W, ...].
func padSpatial(x *Node, border int) *Node {
	pads := make([]PadAxis, x.Rank())
	pads[1] = PadAxis{Start: border, End: border}
	pads[2] = pads[1]
	return Pad(x, ScalarZero(x.Graph(), x.DType()), pads...)
}

// window cuts [top:top+h, left:left+w] out of every image.
func window(x *Node, top, left, h, w int) *Node {
	return Slice(x, AxisRange(), AxisRange(top, top+h), AxisRange(left, left+w))
}

// addTo is sum + x where sum may not exist yet.
func addTo(sum, x *Node) *Node {
	if sum == nil {
		return x
	}
	return Add(sum, x)
}
