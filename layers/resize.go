package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// ResizeBilinear resizes x [N, H, W, C] to [N, height, width, C] by linear interpolation along each
// side, without antialiasing: PyTorch's interpolate with align_corners=False. Pixel i of the result
// lies at (i+0.5)*from/to - 0.5 of the input, and at the edge pixel where that is outside.
func ResizeBilinear(x *Node, height, width int) *Node {
	g, n, h, w, c := x.Graph(), x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	if h != height {
		countMACs(g, n*height*h*w*c)
		x = Einsum("ah,nhwc->nawc", Const(g, interpolation(h, height)), x)
	}
	if w != width {
		countMACs(g, n*height*width*w*c)
		x = Einsum("bw,nawc->nabc", Const(g, interpolation(w, width)), x)
	}
	return x
}

// interpolation is the matrix [to, from] of linear interpolation along one side.
func interpolation(from, to int) [][]float32 {
	matrix := make([][]float32, to)
	for i := range matrix {
		matrix[i] = make([]float32, from)
		position := max(0, (float64(i)+0.5)*float64(from)/float64(to)-0.5)
		first := min(int(position), from-1)
		share := position - float64(first)
		matrix[i][first] += float32(1 - share)
		matrix[i][min(first+1, from-1)] += float32(share)
	}
	return matrix
}
