package layers

import (
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The forms below are for backends that run a graph operation by operation (see interpreted). On
// GoMLX's pure Go one (compute 0.1.6), in times of the product of two images of equal shape, 0.6 ns an
// element on one core: a broadcast takes 2.7, a product with an operand to broadcast 4.3, a slice 2, a
// padding 1.5, a transpose 3 to 7, the mean over the pixels 3.3; but a concatenation of long runs 0.4, and
// matrix products have kernels of their own that use all cores: a repetition as one takes 0.4, a mean 0.4.

// repeatPixels repeats s [N, C] for each pixel: [N, pixels, C]. A product with ones is faster
// than a broadcast.
func repeatPixels(s *Node, pixels int) *Node {
	n, c := s.Shape().Dim(0), s.Shape().Dim(1)
	ones := Ones(s.Graph(), shapes.Make(s.DType(), n, pixels, 1))
	return DotGeneral(ones, []int{2}, []int{0}, Reshape(s, n, 1, c), []int{1}, []int{0})
}

// channelsLike repeats s [C] for each pixel of x: [..., C].
func channelsLike(s, x *Node) *Node {
	c := s.Shape().Dim(0)
	return Reshape(repeatPixels(Reshape(s, 1, c), x.Shape().Size()/c), x.Shape().Dimensions...)
}

// sumOfImages adds the pixels of each of n images, as a product: [..., C] to [n, C].
func sumOfImages(x *Node, n int) *Node {
	x = Reshape(x, n, -1, x.Shape().Dim(-1))
	ones := Ones(x.Graph(), shapes.Make(x.DType(), n, 1, x.Shape().Dim(1)))
	return Reshape(DotGeneral(ones, []int{2}, []int{0}, x, []int{1}, []int{0}), n, x.Shape().Dim(2))
}

// meanOfRows is the mean of each row, for each column: [R, C] to the same shape.
func meanOfRows(m *Node) *Node {
	channels := m.Shape().Dim(1)
	mean := Dot(m, MulScalar(Ones(m.Graph(), shapes.Make(m.DType(), channels, 1)), 1/float64(channels))).Product()
	return Dot(mean, Ones(m.Graph(), shapes.Make(m.DType(), 1, channels))).Product()
}

// shiftedConvolution is depthwiseTaps by shiftedTaps.
func shiftedConvolution(in []*Node) *Node {
	x := in[0]
	var bias *Node
	if len(in) > 2 {
		bias = in[2]
	}
	return window(shiftedTaps(x, in[1], bias), 1, 1, x.Shape().Dim(1), x.Shape().Dim(2))
}

// shiftedGradients is depthwiseGradients for shiftedConvolution.
func shiftedGradients(in []*Node, v *Node) []*Node {
	kernel, inside := in[1], shiftInto(shiftInto(v, 2, 1), 1, 1)
	taps := make([]*Node, 9)
	for k := range taps {
		shifted := shiftInto(shiftInto(in[0], 2, 2-k%3), 1, 2-k/3)
		taps[k] = Reshape(sumRows(Mul(shifted, inside)), 1, -1)
	}
	gradients := []*Node{shiftedConvolution([]*Node{v, Reverse(kernel, 0)}), Concatenate(taps, 0)}
	if len(in) > 2 {
		gradients = append(gradients, sumRows(v))
	}
	return gradients
}

// shiftedTaps is the sum of the nine taps of a kernel [9, C] on x [N, H, W, C], plus bias [C] if it is
// not nil, with a border: [N, H+2, W+2, C], of which one pixel on each side is to be cut off. Shifts
// are concatenations with zeros; the border makes a single slice of the nine that shifts would be.
func shiftedTaps(x, kernel, bias *Node) *Node {
	var columns [3]*Node
	for i := range columns {
		columns[i] = shiftInto(x, 2, 2-i)
	}
	var sum *Node
	for i := range 3 {
		var row *Node
		for j, column := range columns {
			tap := Reshape(Slice(kernel, AxisElem(3*i+j)), -1)
			row = addTo(row, Mul(column, channelsLike(tap, column)))
		}
		sum = addTo(sum, shiftInto(row, 1, 2-i))
	}
	if bias != nil {
		sum = Add(sum, channelsLike(bias, sum))
	}
	return sum
}

// gateInside is SimpleGate of an image [N, H+2, W+2, 2C] without its border: [N, H, W, C].
func gateInside(x *Node) *Node {
	c := x.Shape().Dim(3) / 2
	half := func(from int) *Node {
		return Slice(x, AxisRange(), AxisRange(1, -1), AxisRange(1, -1), AxisRange(from, from+c))
	}
	return Mul(half(0), half(c))
}

// shiftInto puts x into zeros that are longer by 2 along an axis, from start on.
func shiftInto(x *Node, axis, start int) *Node {
	parts := []*Node{x}
	zeros := func(count int) *Node {
		shape := x.Shape().Clone()
		shape.Dimensions[axis] = count
		return Zeros(x.Graph(), shape)
	}
	if start > 0 {
		parts = append([]*Node{zeros(start)}, parts...)
	}
	if start < 2 {
		parts = append(parts, zeros(2-start))
	}
	return Concatenate(parts, axis)
}

// convolvePatches is a 3x3 convolution with stride 1 and zero padding, as one product with what the
// kernel [3, 3, C, out] covers at each pixel: [N, H, W, C] to [N, H, W, out]. It takes nine times the
// memory of x, and of the time of the backend's convolution a fortieth with SIMD kernels, else a fourth.
func convolvePatches(x, kernel *Node) *Node {
	padded := padSpatial(x, 1)
	patches := make([]*Node, 9)
	for k := range patches {
		patches[k] = tapOf(padded, k)
	}
	return matmulChannels(Concatenate(patches, -1), Reshape(kernel, -1, kernel.Shape().Dim(3)))
}
