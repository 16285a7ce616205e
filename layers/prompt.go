package layers

import (
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Prompt is PromptIR's prompt block: learnt images of features, mixed by what x holds on average
// (arXiv 2306.13090, section 3.1; parity README, section 4.3).
type Prompt struct {
	Components int // images in the mix
	Size       int // their height and width
	Channels   int // theirs, and the result's
}

// Apply returns the prompt for x [N, H, W, C]: [N, H, W, Channels]. Weights: "prompt_param"
// [1, Components, Size, Size, Channels], those of a Linear in "linear_layer" and of a 3x3 convolution
// without bias in "conv3x3".
func (p Prompt) Apply(scope *model.Scope, x *Node) *Node {
	g, n := x.Graph(), x.Shape().Dim(0)
	values := p.Size * p.Size * p.Channels
	images := Reshape(Param(scope, g, "prompt_param", unit, 1, p.Components, p.Size, p.Size, p.Channels), p.Components, values)
	mix := Softmax(Linear(scope.At("linear_layer"), GlobalAverage(scope, x), p.Components), -1)
	countMACs(g, n*p.Components*values)
	prompt := Reshape(Dot(mix, images).Product(), n, p.Size, p.Size, p.Channels)
	prompt = ResizeBilinear(prompt, x.Shape().Dim(1), x.Shape().Dim(2))
	return Conv{Kernel: 3, NoBias: true}.Apply(scope.At("conv3x3"), prompt, p.Channels)
}

// unit fills uniformly in [0, 1).
func unit(values []float32, rng *rand.Rand) {
	for i := range values {
		values[i] = rng.Float32()
	}
}
