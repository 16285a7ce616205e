package dcpt

import (
	"fmt"
	"strconv"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/layers"
)

// NAFNet is the Nonlinear Activation Free Network for image restoration: a U-Net of blocks with
// depthwise convolutions, gates and simplified channel attention, and no activation functions.
//
// Chen et al., "Simple Baselines for Image Restoration", ECCV 2022, arXiv 2204.04676, in the form
// that DCPT uses (NAFNetBaseline; parity README, section 4.1). The decoder level features that feed
// the degradation classifier are the outputs of every decoder block, last block first.
type NAFNet struct {
	Width        int   `yaml:"width" json:"width"`                 // channels of the highest resolution; doubled by each level
	EncBlocks    []int `yaml:"enc_blocks" json:"enc_blocks"`       // blocks of each encoder level, highest resolution first
	MiddleBlocks int   `yaml:"middle_blocks" json:"middle_blocks"` // blocks at the lowest resolution
	DecBlocks    []int `yaml:"dec_blocks" json:"dec_blocks"`       // blocks of each decoder level, lowest resolution first
}

// nafnetPresets: the layouts of the DCPT 5D option file and of the original project, and a small
// one that trains on two cores in minutes.
var nafnetPresets = map[string]*NAFNet{
	"nafnet-5d":     {Width: 64, EncBlocks: []int{1, 1, 1, 28}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1, 1}}, // 67 888 835 parameters
	"nafnet-5d-w32": {Width: 32, EncBlocks: []int{1, 1, 1, 28}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1, 1}},
	"nafnet-tiny":   {Width: 16, EncBlocks: []int{1, 1, 1}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1}},
}

const nafnetEpsilon = 1e-6

// Validate implements Network.
func (n *NAFNet) Validate() error {
	if n.Width < 1 {
		return fmt.Errorf("width is %d: must be at least 1", n.Width)
	}
	if len(n.EncBlocks) == 0 || len(n.EncBlocks) != len(n.DecBlocks) {
		return fmt.Errorf("%d encoder and %d decoder levels: must be equal and at least 1", len(n.EncBlocks), len(n.DecBlocks))
	}
	for _, blocks := range [][]int{n.EncBlocks, n.DecBlocks, {n.MiddleBlocks}} {
		for _, b := range blocks {
			if b < 0 {
				return fmt.Errorf("a level has %d blocks: must not be negative", b)
			}
		}
	}
	return nil
}

// SizeMultiple implements Network: each level halves the resolution.
func (n *NAFNet) SizeMultiple() int { return 1 << len(n.EncBlocks) }

// Features implements Network.
func (n *NAFNet) Features() []Feature {
	var features []Feature
	for level := len(n.DecBlocks) - 1; level >= 0; level-- {
		factor := 1 << (len(n.DecBlocks) - 1 - level)
		for block := n.DecBlocks[level] - 1; block >= 0; block-- {
			features = append(features, Feature{fmt.Sprintf("decoder%d.%d", level, block), n.Width * factor, factor})
		}
	}
	return features
}

// Forward implements Network.
func (n *NAFNet) Forward(scope *model.Scope, image *Node) (restored *Node, features []*Node) {
	h, w, multiple := image.Shape().Dim(1), image.Shape().Dim(2), n.SizeMultiple()
	if h%multiple != 0 || w%multiple != 0 {
		exceptions.Panicf("NAFNet: image of %dx%d is not a multiple of %d in both sides: pad it", w, h, multiple)
	}
	x := layers.Conv{Kernel: 3}.Apply(scope.At("intro"), image, n.Width)
	skips := make([]*Node, len(n.EncBlocks))
	for level, blocks := range n.EncBlocks {
		for b := range blocks {
			x = nafBlock(at(scope, "encoders", level, b), x)
		}
		skips[level] = x
		x = layers.Downsample2x2(at(scope, "downs", level), x, 2*x.Shape().Dim(-1))
	}
	for b := range n.MiddleBlocks {
		x = nafBlock(at(scope, "middle_blks", b), x)
	}
	for level, blocks := range n.DecBlocks {
		x = layers.Upsample2x2(at(scope, "ups", level, 0), x, 2*x.Shape().Dim(-1))
		x = Add(x, skips[len(skips)-1-level])
		decoder := scope.At("decoder%d", level)
		for b := range blocks {
			x = nafBlock(at(decoder, b), x)
			features = append([]*Node{x}, features...)
		}
	}
	residual := layers.Conv{Kernel: 3}.Apply(scope.At("ending"), x, image.Shape().Dim(-1))
	return Add(residual, image), features
}

// nafBlock is one block: gated depthwise convolution with channel attention, then a gated 1x1 pair,
// each added to the stream with a learnt scale per channel (arXiv 2204.04676, figure 4c).
func nafBlock(scope *model.Scope, x *Node) *Node {
	c := x.Shape().Dim(-1)
	y := layers.NormPointwise(scope.At("norm1"), scope.At("conv1"), x, 2*c, nafnetEpsilon)
	y = layers.SimpleGate(layers.Depthwise3x3(scope.At("conv2"), y, true))
	y = layers.SimplifiedChannelAttention(at(scope, "sca", 1), y)
	x = layers.PointwiseResidual(scope, "beta", scope.At("conv3"), y, x)
	y = layers.SimpleGate(layers.NormPointwise(scope.At("norm2"), scope.At("conv4"), x, 2*c, nafnetEpsilon))
	return layers.PointwiseResidual(scope, "gamma", scope.At("conv5"), y, x)
}

// at descends into numbered and named sub-scopes: at(s, "encoders", 0, 1) is "encoders/0/1". The
// path with dots for slashes is the weight's name in PyTorch.
func at(scope *model.Scope, path ...any) *model.Scope {
	for _, p := range path {
		switch p := p.(type) {
		case int:
			scope = scope.At("%s", strconv.Itoa(p))
		case string:
			scope = scope.At("%s", p)
		}
	}
	return scope
}
