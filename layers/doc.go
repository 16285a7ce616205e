// Package layers holds the building blocks of image restoration networks as GoMLX graphs.
//
// Images and features are NHWC float32: [batch, height, width, channels]. A layer that owns
// weights takes the scope that holds them and names them as the PyTorch implementations do
// ("weight", "bias"), with kernels as [kernel height, kernel width, input channels, output
// channels]; package dcpt/torch converts between the two layouts.
//
// Most layers have two formulations that compute the same values. The training form carries a
// gradient of its own, made of matrix products that XLA runs fast and that stop it from fusing
// whole chains of layers into every one of their users. The inference form is the plain graph.
// The flag that scope.IsTraining reads chooses between them, in one place: training. Where they are
// slow on a backend that compiles nothing, there is a third (interpreted.go), chosen by interpreted; on a
// GPU sums are reductions, chosen by accelerated.
package layers

import (
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// training reports whether the graph under construction needs gradients that are fast.
func training(scope *model.Scope, x *graph.Node) bool {
	return scope.IsTraining(x.Graph())
}

// interpreted reports whether the graph's backend runs it operation by operation, as GoMLX's pure Go
// one does: it fuses nothing, and what an operation costs depends on how it is written.
func interpreted(g *graph.Graph) bool {
	return g.Backend().String() == "go"
}

// accelerated reports whether the graph is for XLA on something else than a CPU. There sums are
// reductions: what stops XLA's fusion on a CPU is not needed, and its matrix products round what they
// multiply to 10 bits (TF32) unless told otherwise, which the mean of a norm must not be.
func accelerated(g *graph.Graph) bool {
	device, ok := g.Backend().(interface{ IsCPU() bool })
	return ok && !device.IsCPU()
}
