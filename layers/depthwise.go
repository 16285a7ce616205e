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
	countMACs(g, 9*x.Shape().Size())
	y := depthwise(training(scope, x), x, kernel)
	if !bias {
		return y
	}
	return addBias(training(scope, x), y, Param(scope, g, "bias", fanIn(9), channels))
}

// depthwise convolves x with a kernel [9, C].
func depthwise(train bool, x, kernel *Node) *Node {
	if !train {
		return depthwiseTaps(x, kernel)
	}
	return withGradient(
		func(in []*Node) *Node { return depthwiseTaps(in[0], in[1]) },
		func(in []*Node, v *Node) []*Node {
			return []*Node{depthwiseTaps(v, Reverse(in[1], 0)), depthwiseKernelGradient(in[0], v)}
		}, x, kernel)
}

// depthwiseTaps is the convolution itself: kernel is [9, C].
func depthwiseTaps(x, kernel *Node) *Node {
	h, w := x.Shape().Dim(1), x.Shape().Dim(2)
	padded := padSpatial(x, 1)
	var sum *Node
	for k := range 9 {
		tap := Mul(window(padded, k/3, k%3, h, w), ExpandLeftToRank(Slice(kernel, AxisElem(k)), 4))
		sum = addTo(sum, tap)
	}
	return sum
}

// kernelGradientChunks is how many parts of the image are added elementwise before the matrix
// product that sums the rest: fewer leave it more work, more thrash the first-level cache.
const kernelGradientChunks = 16

func depthwiseKernelGradient(x, v *Node) *Node {
	n, h, w, channels := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	chunksN, chunksH := 1, 1
	for chunksN*chunksH < kernelGradientChunks {
		if n%(chunksN*2) == 0 {
			chunksN *= 2
		} else if h%(chunksH*2) == 0 {
			chunksH *= 2
		} else {
			break
		}
	}
	images, lines := n/chunksN, h/chunksH
	padded := padSpatial(x, 1)
	taps := make([]*Node, 9)
	for k := range taps {
		var sum *Node
		for i := range chunksN {
			for j := range chunksH {
				top := j * lines
				sum = addTo(sum, Mul(
					Slice(padded, AxisRange(i*images, (i+1)*images), AxisRange(k/3+top, k/3+top+lines), AxisRange(k%3, k%3+w)),
					Slice(v, AxisRange(i*images, (i+1)*images), AxisRange(top, top+lines))))
			}
		}
		taps[k] = Reshape(sumRows(sum), 1, channels)
	}
	return Concatenate(taps, 0)
}

// padSpatial adds a border of zeros to H and W.
func padSpatial(x *Node, border int) *Node {
	return Pad(x, ScalarZero(x.Graph(), x.DType()), PadAxis{}, PadAxis{Start: border, End: border}, PadAxis{Start: border, End: border}, PadAxis{})
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
