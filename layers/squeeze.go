package layers

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// SqueezeAttention multiplies each channel of x [N, H, W, C] by a number in (0, 1) computed from the
// channels' global averages: a 1x1 convolution to hidden channels, ReLU, one back, sigmoid (the channel
// attention of RCAN, arXiv 1807.02758, section 3.2). Weights: those of Pointwise in squeeze and excite.
func SqueezeAttention(squeeze, excite *model.Scope, x *Node, hidden int) *Node {
	train := training(squeeze, x)
	y := Pointwise(squeeze, globalAverage(train, x), hidden, true)
	y = Max(y, ScalarZero(x.Graph(), x.DType()))
	return scaleImages(train, x, Sigmoid(Pointwise(excite, y, x.Shape().Dim(-1), true)))
}
