package dcpt

import (
	"fmt"
	"strconv"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/layers"
)

// NAFNet is the Nonlinear Activation Free Network for image restoration: a U-Net of blocks with
// depthwise convolutions, gates and simplified channel attention, and no activation functions.
//
// Chen et al., "Simple Baselines for Image Restoration", ECCV 2022, arXiv 2204.04676, in the form
// that DCPT uses (NAFNetBaseline; parity README, section 4.1), or the original project's, which differs
// in the names of the decoder's weights. The decoder level features that feed
// the degradation classifier are the outputs of every decoder block, last block first.
type NAFNet struct {
	Width        int   `yaml:"width" json:"width"`                           // channels of the highest resolution; doubled by each level
	EncBlocks    []int `yaml:"enc_blocks" json:"enc_blocks"`                 // blocks of each encoder level, highest resolution first
	MiddleBlocks int   `yaml:"middle_blocks" json:"middle_blocks"`           // blocks at the lowest resolution
	DecBlocks    []int `yaml:"dec_blocks" json:"dec_blocks"`                 // blocks of each decoder level, lowest resolution first
	Original     bool  `yaml:"original,omitempty" json:"original,omitempty"` // weights named as in the original project
	TLC          TLC   `yaml:"tlc,omitzero" json:"tlc,omitzero"`             // local averages when restoring (NAFNetLocal)
}

// nafnetPresets: the layouts of the DCPT 5D option file and of the original project, and a small
// one that trains on two cores in minutes.
var nafnetPresets = map[string]*NAFNet{
	"nafnet-5d":        {Width: 64, EncBlocks: []int{1, 1, 1, 28}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1, 1}}, // 67 888 835 parameters
	"nafnet-5d-w32":    {Width: 32, EncBlocks: []int{1, 1, 1, 28}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1, 1}},
	"nafnet-gopro-w32": nafnetOriginal(32, []int{1, 1, 1, 28}, 1, []int{1, 1, 1, 1}, true),
	"nafnet-gopro-w64": nafnetOriginal(64, []int{1, 1, 1, 28}, 1, []int{1, 1, 1, 1}, true),
	"nafnet-reds-w64":  nafnetOriginal(64, []int{1, 1, 1, 28}, 1, []int{1, 1, 1, 1}, true),
	"nafnet-sidd-w32":  nafnetOriginal(32, []int{2, 2, 4, 8}, 12, []int{2, 2, 2, 2}, false),
	"nafnet-sidd-w64":  nafnetOriginal(64, []int{2, 2, 4, 8}, 12, []int{2, 2, 2, 2}, false),
	"nafnet-tiny":      {Width: 16, EncBlocks: []int{1, 1, 1}, MiddleBlocks: 1, DecBlocks: []int{1, 1, 1}},
}

// nafnetOriginal is a network of the original project; with tlc as its GoPro and REDS networks are
// tested, trained on crops of 256x256.
func nafnetOriginal(width int, enc []int, middle int, dec []int, tlc bool) *NAFNet {
	n := &NAFNet{Width: width, EncBlocks: enc, MiddleBlocks: middle, DecBlocks: dec, Original: true}
	if tlc {
		n.TLC = TLC{Train: [2]int{256, 256}}
	}
	return n
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
	return n.TLC.validate()
}

// SizeMultiple implements Network: each level halves the resolution.
func (n *NAFNet) SizeMultiple() int { return 1 << len(n.EncBlocks) }

// decoderPath is where the weights of a decoder level are: the forms differ in it alone.
func (n *NAFNet) decoderPath(level int) []any {
	if n.Original {
		return []any{"decoders", level}
	}
	return []any{fmt.Sprintf("decoder%d", level)}
}

// Features implements Network.
func (n *NAFNet) Features() []Feature {
	var features []Feature
	for level := len(n.DecBlocks) - 1; level >= 0; level-- {
		factor := 1 << (len(n.DecBlocks) - 1 - level)
		for block := n.DecBlocks[level] - 1; block >= 0; block-- {
			features = append(features, Feature{moduleName(append(n.decoderPath(level), block)...), n.Width * factor, factor})
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
			x = n.block(at(scope, "encoders", level, b), x, 1<<level)
		}
		skips[level] = x
		x = layers.Downsample2x2(at(scope, "downs", level), x, 2*x.Shape().Dim(-1))
	}
	for b := range n.MiddleBlocks {
		x = n.block(at(scope, "middle_blks", b), x, n.SizeMultiple())
	}
	for level, blocks := range n.DecBlocks {
		x = layers.Upsample2x2(at(scope, "ups", level, 0), x, 2*x.Shape().Dim(-1))
		x = Add(x, skips[len(skips)-1-level])
		decoder := at(scope, n.decoderPath(level)...)
		for b := range blocks {
			x = n.block(at(decoder, b), x, 1<<(len(n.DecBlocks)-1-level))
			features = append([]*Node{x}, features...)
		}
	}
	residual := layers.Conv{Kernel: 3}.Apply(scope.At("ending"), x, image.Shape().Dim(-1))
	return Add(residual, image), features
}

// block is one block: gated depthwise convolution with channel attention, then a gated 1x1 pair,
// each added to the stream with a learnt scale per channel (arXiv 2204.04676, figure 4c), on features
// of a stride.
func (n *NAFNet) block(scope *model.Scope, x *Node, stride int) *Node {
	c := x.Shape().Dim(-1)
	y := layers.NormPointwise(scope.At("norm1"), scope.At("conv1"), x, 2*c, nafnetEpsilon)
	y = layers.DepthwiseGate(scope.At("conv2"), y)
	y = layers.LocalChannelAttention(at(scope, "sca", 1), y, n.TLC.level(stride, n.SizeMultiple()))
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

// moduleName is the PyTorch name of the module at a path of at.
func moduleName(path ...any) string {
	names := make([]string, len(path))
	for i, p := range path {
		names[i] = fmt.Sprint(p)
	}
	return strings.Join(names, ".")
}
