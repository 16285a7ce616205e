package layers

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Window is the height and width, in pixels of a feature, of the neighbourhood over which a statistic
// of the whole image is taken instead; the zero Window stands for the whole image. It is the test-time
// local converter (TLC, Chu et al., ECCV 2022, arXiv 2112.04491): networks that train on crops have
// learnt statistics of crops, and a large photo's are others. It has no part in training.
type Window [2]int

// covers tells whether the window is the whole of an h x w feature.
func (k Window) covers(h, w int) bool { return k == Window{} || k[0] >= h && k[1] >= w }

// LocalAverage is the mean over the window around each pixel, moved inwards where it would leave the
// image: [N, H, W, C] to the same shape. An even window has its middle after the pixel, as in the
// official code (NAFNetLocal). It is two products with matrices of zeros and equal numbers, of H*H and
// W*W: exact to rounding, which differences of running sums are not.
func LocalAverage(x *Node, window Window) *Node {
	n, h, w, c := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	countMACs(x.Graph(), n*h*w*c*(h+w))
	x = Einsum("ij,njwc->niwc", averages(x.Graph(), h, window[0]), x)
	return Einsum("ij,nhjc->nhic", averages(x.Graph(), w, window[1]), x)
}

// averages is the matrix [side, side] whose product with a line of pixels is their moving average.
func averages(g *Graph, side, window int) *Node {
	window = min(window, side)
	rows, columns := Iota(g, shapes.Make(dtypes.Int32, side, side), 0), Iota(g, shapes.Make(dtypes.Int32, side, side), 1)
	start := ClipScalar(SubScalar(rows, (window-1)/2), 0, float64(side-window))
	inside := LogicalAnd(GreaterOrEqual(columns, start), LessThan(columns, AddScalar(start, window)))
	return MulScalar(ConvertDType(inside, dtypes.Float32), 1/float64(window))
}

// LocalChannelAttention is SimplifiedChannelAttention with averages over a window (NAFNetLocal).
func LocalChannelAttention(scope *model.Scope, x *Node, window Window) *Node {
	if training(scope, x) || window.covers(x.Shape().Dim(1), x.Shape().Dim(2)) {
		return SimplifiedChannelAttention(scope, x)
	}
	return Mul(x, Pointwise(scope, LocalAverage(x, window), x.Shape().Dim(-1), true))
}

// windowStarts are where windows of a size begin that cover a side with equal, rounded steps and the
// last of them at its end (RestormerLocal).
func windowStarts(side, window int) []int {
	window = min(window, side)
	count := (side-1)/window + 1
	if count == 1 {
		return []int{0}
	}
	step := int(math.Ceil(float64(side-window)/float64(count-1) - 1e-8))
	var starts []int
	for start := 0; ; start += step {
		if start+window >= side {
			return append(starts, side-window)
		}
		starts = append(starts, start)
	}
}

// inWindows applies f, which keeps height and width, to overlapping windows of x [N, H, W, C], and
// averages the results where they overlap: [N, H, W, C'].
func inWindows(x *Node, window Window, f func(x *Node) *Node) *Node {
	h, w := x.Shape().Dim(1), x.Shape().Dim(2)
	height, width := min(window[0], h), min(window[1], w)
	zero := ScalarZero(x.Graph(), x.DType())
	place := func(y *Node, top, left int) *Node {
		return Pad(y, zero, PadAxis{}, PadAxis{Start: top, End: h - top - height}, PadAxis{Start: left, End: w - left - width}, PadAxis{})
	}
	ones := OnesLike(Slice(x, AxisRange(0, 1), AxisRange(0, height), AxisRange(0, width), AxisRange(0, 1)))
	var sum, count *Node
	for _, top := range windowStarts(h, height) {
		for _, left := range windowStarts(w, width) {
			part := Slice(x, AxisRange(), AxisRange(top, top+height), AxisRange(left, left+width))
			sum = addTo(sum, place(f(part), top, left))
			count = addTo(count, place(ones, top, left))
		}
	}
	return Div(sum, count)
}
