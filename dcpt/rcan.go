package dcpt

import (
	"fmt"
	"math/bits"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/layers"
)

// RCAN is the residual channel attention network: groups of residual blocks at full resolution, each
// block with a channel attention. Where Scale is not 1 the output is larger than the input by that
// factor: such a network can be built and run, but what restores or trains wants images of one size.
//
// Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018,
// arXiv 1807.02758, in the form of the DCPT code (parity README, section 4.5).
//
// The official class takes no hook, so what the degradation classifier would read is not given. Here it
// is the outputs of the last three residual groups (of all, if there are fewer), last first: like SwinIR,
// RCAN has no pyramid, and DCPT's SwinIR gives three features.
type RCAN struct {
	NumFeatures int `yaml:"features" json:"features"` // channels
	Groups      int `yaml:"groups" json:"groups"`     // residual groups
	Blocks      int `yaml:"blocks" json:"blocks"`     // residual blocks of each group
	Squeeze     int `yaml:"squeeze" json:"squeeze"`   // channels over those inside the channel attention
	Scale       int `yaml:"scale" json:"scale"`       // sides of the output over the input's: 1, 2, 4, 8 ...
}

// rcanPresets: the paper's network without its upsampling, and a small one that trains on two cores in
// minutes.
var rcanPresets = map[string]*RCAN{
	"rcan":      {NumFeatures: 64, Groups: 10, Blocks: 20, Squeeze: 16, Scale: 1},
	"rcan-tiny": {NumFeatures: 16, Groups: 3, Blocks: 2, Squeeze: 4, Scale: 1},
}

const (
	rcanImgRange = 255
	rcanHooks    = 3 // residual groups whose outputs are features
)

// Validate implements Network.
func (r *RCAN) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{{"features", r.NumFeatures}, {"groups", r.Groups}, {"blocks", r.Blocks}, {"squeeze", r.Squeeze}} {
		if field.value < 1 {
			return fmt.Errorf("%s is %d: must be at least 1", field.name, field.value)
		}
	}
	if r.NumFeatures < r.Squeeze {
		return fmt.Errorf("squeeze is %d: leaves none of %d features", r.Squeeze, r.NumFeatures)
	}
	if r.Scale < 1 || bits.OnesCount(uint(r.Scale)) != 1 {
		return fmt.Errorf("scale is %d: must be 1, 2, 4 or another power of two", r.Scale)
	}
	return nil
}

// SizeMultiple implements Network: every size will do.
func (r *RCAN) SizeMultiple() int { return 1 }

// Features implements Network. They have the resolution of the input, whatever Scale is.
func (r *RCAN) Features() []Feature {
	var features []Feature
	for group := r.Groups - 1; group >= r.firstHook(); group-- {
		features = append(features, Feature{moduleName("body", group), r.NumFeatures, 1})
	}
	return features
}

// firstHook is the first residual group whose output is a feature.
func (r *RCAN) firstHook() int { return max(r.Groups-rcanHooks, 0) }

// Forward implements Network; restored is [N, H*Scale, W*Scale, 3].
func (r *RCAN) Forward(scope *model.Scope, image *Node) (restored *Node, features []*Node) {
	conv := layers.Conv{Kernel: 3}
	shallow := conv.Apply(scope.At("conv_first"), centreRGB(image, rcanImgRange), r.NumFeatures)
	x := shallow
	for group := range r.Groups {
		x = r.group(at(scope, "body", group), x)
		if group >= r.firstHook() {
			features = append([]*Node{x}, features...)
		}
	}
	x = Add(conv.Apply(scope.At("conv_after_body"), x, r.NumFeatures), shallow)
	for step := range bits.TrailingZeros(uint(r.Scale)) {
		// Convolutions and shuffles alternate in one sequence: the convolutions are 0, 2, 4 ...
		x = layers.PixelShuffle(conv.Apply(at(scope, "upsample", 2*step), x, 4*r.NumFeatures))
	}
	x = conv.Apply(scope.At("conv_last"), x, image.Shape().Dim(-1))
	return uncentreRGB(x, rcanImgRange), features
}

// group is a residual group: blocks and a convolution, plus the input.
func (r *RCAN) group(scope *model.Scope, x *Node) *Node {
	y := x
	for b := range r.Blocks {
		y = r.block(at(scope, "residual_group", b, "rcab"), y)
	}
	return Add(layers.Conv{Kernel: 3}.Apply(scope.At("conv"), y, r.NumFeatures), x)
}

// block is a residual channel attention block (RCAB).
func (r *RCAN) block(scope *model.Scope, x *Node) *Node {
	y := relu(layers.Conv{Kernel: 3}.Apply(at(scope, 0), x, r.NumFeatures))
	y = layers.Conv{Kernel: 3}.Apply(at(scope, 2), y, r.NumFeatures)
	attention := at(scope, 3, "attention")
	return Add(layers.SqueezeAttention(at(attention, 1), at(attention, 3), y, r.NumFeatures/r.Squeeze), x)
}
