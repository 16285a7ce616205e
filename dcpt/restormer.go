package dcpt

import (
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/internal/suggest"
	"github.com/godcpt/godcpt/layers"
)

// Restormer is the Restoration Transformer: a U-Net of blocks whose attention is across channels.
//
// Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022,
// arXiv 2111.09881. Form tells whose network it is, for weights fit one form only. The features that
// feed the degradation classifier are the outputs of the decoder levels.
type Restormer struct {
	Dim        int     `yaml:"dim" json:"dim"`               // channels of the highest resolution, even; doubled by each level
	Blocks     []int   `yaml:"blocks" json:"blocks"`         // blocks of the four levels, highest resolution first; the decoder's are the encoder's
	Refinement int     `yaml:"refinement" json:"refinement"` // blocks after the decoder
	Heads      []int   `yaml:"heads" json:"heads"`           // attention heads of the four levels
	Expansion  float64 `yaml:"expansion" json:"expansion"`   // hidden over outer channels of the feed-forward networks; rounded down
	Bias       bool    `yaml:"bias" json:"bias"`             // of the convolutions; DCPT's forms have it in those outside the blocks only
	Norm       string  `yaml:"norm" json:"norm"`             // "BiasFree" or "WithBias"

	// Form is "" for DCPT's network: attention by ReLU, norms with epsilon 1e-6 (parity README,
	// section 4.2); "origin" for its class Restormer_origin, the same arithmetic with other weight
	// names; "original" for the paper's network: attention by softmax, epsilon 1e-5.
	Form string `yaml:"form" json:"form"`

	TLC TLC `yaml:"tlc,omitzero" json:"tlc,omitzero"` // attention in windows when restoring (RestormerLocal)
}

// The values of Norm, named as in the published option files, and of Form.
const (
	normBiasFree = "BiasFree"
	normWithBias = "WithBias"

	formOrigin   = "origin"
	formOriginal = "original"
)

// restormerPresets: the network of the DCPT 5D option file and the other forms of the same size, and
// a small one that trains on two cores in minutes.
var restormerPresets = map[string]*Restormer{
	"restormer-5d":                restormerOfPaper(normBiasFree, ""), // 26 111 668 parameters
	"restormer-origin":            restormerOfPaper(normWithBias, formOrigin),
	"restormer-original":          restormerOfPaper(normWithBias, formOriginal),
	"restormer-original-biasfree": restormerOfPaper(normBiasFree, formOriginal),          // the paper's Gaussian denoising
	"restormer-original-tlc":      withTLC(restormerOfPaper(normWithBias, formOriginal)), // the paper's motion deblurring as the TLC project tests it
	"restormer-tiny":              {Dim: 8, Blocks: []int{1, 1, 1, 1}, Refinement: 1, Heads: []int{1, 2, 4, 8}, Expansion: 2.66, Norm: normBiasFree},
}

func restormerOfPaper(norm, form string) *Restormer {
	return &Restormer{Dim: 48, Blocks: []int{4, 6, 6, 8}, Refinement: 4, Heads: []int{1, 2, 4, 8}, Expansion: 2.66, Norm: norm, Form: form}
}

// withTLC restores with the windows of the TLC project for Restormer: 384 pixels.
func withTLC(r *Restormer) *Restormer {
	r.TLC = TLC{Train: [2]int{256, 256}}
	return r
}

// restormerLevels is the number of resolutions of Restormer and PromptIR.
const restormerLevels = 4

// Validate implements Network.
func (r *Restormer) Validate() error {
	if forms := []string{"", formOrigin, formOriginal}; !slices.Contains(forms, r.Form) {
		return suggest.Unknown("form", r.Form, forms[1:])
	}
	if err := r.TLC.validate(); err != nil {
		return err
	}
	return validateRestormer(r.Dim, r.Blocks, r.Refinement, r.Heads, r.Expansion, r.Norm)
}

// validateRestormer checks what Restormer and PromptIR share.
func validateRestormer(dim int, blocks []int, refinement int, heads []int, expansion float64, norm string) error {
	if dim < 2 || dim%2 != 0 {
		return fmt.Errorf("dim is %d: must be even and at least 2", dim)
	}
	if len(blocks) != restormerLevels || len(heads) != restormerLevels {
		return fmt.Errorf("%d blocks and %d heads: must be one of each for the %d levels", len(blocks), len(heads), restormerLevels)
	}
	for level := range restormerLevels {
		if blocks[level] < 1 {
			return fmt.Errorf("blocks %v: must be at least 1", blocks)
		}
		if heads[level] < 1 || dim<<level%heads[level] != 0 {
			return fmt.Errorf("heads %v: %d cannot share the %d channels of level %d", heads, heads[level], dim<<level, level+1)
		}
	}
	if refinement < 0 {
		return fmt.Errorf("refinement is %d: must not be negative", refinement)
	}
	if int(float64(dim)*expansion) < 1 {
		return fmt.Errorf("expansion is %g: leaves no channel of %d", expansion, dim)
	}
	if norms := []string{normBiasFree, normWithBias}; !slices.Contains(norms, norm) {
		return suggest.Unknown("norm", norm, norms)
	}
	return nil
}

// SizeMultiple implements Network: three levels halve the resolution.
func (r *Restormer) SizeMultiple() int { return 1 << (restormerLevels - 1) }

// Features implements Network: of DCPT's form the three decoder levels, whose modules the official
// hooks see; of the others every block of them, for their levels are plain sequences.
func (r *Restormer) Features() []Feature {
	if r.Form != "" {
		return decoderBlockFeatures(r.Dim, r.Blocks)
	}
	var features []Feature
	for level := range restormerLevels - 1 {
		features = append(features, Feature{fmt.Sprintf("decoder_level%d.body", level+1), decoderChannels(r.Dim, level), 1 << level})
	}
	return features
}

// decoderBlockFeatures are the features of decoder levels that are plain sequences of blocks.
func decoderBlockFeatures(dim int, blocks []int) []Feature {
	var features []Feature
	for level := range restormerLevels - 1 {
		for b := blocks[level] - 1; b >= 0; b-- {
			features = append(features, Feature{fmt.Sprintf("decoder_level%d.%d", level+1, b), decoderChannels(dim, level), 1 << level})
		}
	}
	return features
}

// decoderChannels are the channels of a decoder level, 0 being the highest resolution: that level
// keeps the skip's channels beside its own.
func decoderChannels(dim, level int) int { return max(2*dim, dim<<level) }

// Forward implements Network.
func (r *Restormer) Forward(scope *model.Scope, image *Node) (restored *Node, features []*Node) {
	checkRestormerSize("Restormer", image, r.SizeMultiple())
	t := r.transformer()
	t.height = image.Shape().Dim(1)
	level := func(name string, x *Node, blocks, heads int) []*Node {
		s := scope.At("%s", name)
		if r.Form == "" {
			s = s.At("body")
		}
		return t.level(s, x, blocks, heads)
	}
	x := t.conv(at(scope, "patch_embed", "proj"), image, 3, r.Dim, false)
	var skips []*Node
	for l := range restormerLevels - 1 {
		x = last(level(fmt.Sprintf("encoder_level%d", l+1), x, r.Blocks[l], r.Heads[l]))
		skips = append(skips, x)
		x = t.down(scope, l, x)
	}
	x = last(level("latent", x, r.Blocks[restormerLevels-1], r.Heads[restormerLevels-1]))
	for l := restormerLevels - 2; l >= 0; l-- {
		x = Concatenate([]*Node{t.up(scope, l, x), skips[l]}, -1)
		if l > 0 {
			x = t.conv(scope.At("reduce_chan_level%d", l+1), x, 1, r.Dim<<l, r.Bias)
		}
		outputs := level(fmt.Sprintf("decoder_level%d", l+1), x, r.Blocks[l], r.Heads[l])
		x = last(outputs)
		if r.Form == "" {
			outputs = outputs[len(outputs)-1:]
		}
		for _, y := range outputs {
			features = append([]*Node{y}, features...)
		}
	}
	if r.Refinement > 0 {
		x = last(level("refinement", x, r.Refinement, r.Heads[0]))
	}
	return Add(t.conv(scope.At("output"), x, 3, image.Shape().Dim(-1), r.Bias), image), features
}

// checkRestormerSize refuses images whose sides do not fit.
func checkRestormerSize(name string, image *Node, multiple int) {
	h, w := image.Shape().Dim(1), image.Shape().Dim(2)
	if h%multiple != 0 || w%multiple != 0 {
		exceptions.Panicf("%s: image of %dx%d is not a multiple of %d in both sides: pad it", name, w, h, multiple)
	}
}

// transformer is what the blocks of a network have in common.
type transformer struct {
	expansion float64
	norm      string
	epsilon   float64
	relu      bool        // in the attention, in place of the softmax
	bias      bool        // of the convolutions within the blocks
	init      layers.Init // of all kernels, with biases 0; nil is PyTorch's default
	tlc       TLC
	height    int // of the image; with tlc
}

// window is TLC's for a feature x.
func (t transformer) window(x *Node) layers.Window {
	if t.tlc.IsZero() {
		return layers.Window{}
	}
	return t.tlc.level(t.height/x.Shape().Dim(1), 1<<(restormerLevels-1))
}

func (r *Restormer) transformer() transformer {
	t := transformer{expansion: r.Expansion, norm: r.Norm, epsilon: 1e-6, relu: true, tlc: r.TLC}
	switch r.Form {
	case "":
		// Truncated at 2, a hundred standard deviations away.
		t.init = layers.Normal(0.02)
	case formOriginal:
		t.epsilon, t.relu, t.bias = 1e-5, false, r.Bias
	}
	return t
}

// level is a sequence of blocks, named by their numbers; it returns the output of each.
func (t transformer) level(scope *model.Scope, x *Node, blocks, heads int) []*Node {
	var outputs []*Node
	for b := range blocks {
		x = t.block(at(scope, b), x, heads)
		outputs = append(outputs, x)
	}
	return outputs
}

func last(nodes []*Node) *Node { return nodes[len(nodes)-1] }

// block is one transformer block: attention across channels, then a gated feed-forward network, each
// after a norm and added to the stream (arXiv 2111.09881, figure 2).
func (t transformer) block(scope *model.Scope, x *Node, heads int) *Node {
	attention := layers.ChannelAttention{
		Heads: heads, ReLU: t.relu, Bias: t.bias, Init: t.init, Norm: t.normIn(scope.At("norm1")), Window: t.window(x),
	}
	x = Add(x, attention.Apply(scope.At("attn"), x))
	feedForward := layers.GatedFeedForward{
		Hidden: int(float64(x.Shape().Dim(-1)) * t.expansion), Bias: t.bias, Init: t.init, Norm: t.normIn(scope.At("norm2")),
	}
	return Add(x, feedForward.Apply(scope.At("ffn"), x))
}

func (t transformer) normIn(scope *model.Scope) layers.Norm {
	return layers.Norm{Scope: scope.At("body"), Epsilon: t.epsilon, BiasFree: t.norm == normBiasFree}
}

// down halves the resolution and doubles the channels: level l to l+1, 0 being the highest resolution.
func (t transformer) down(scope *model.Scope, l int, x *Node) *Node {
	name := fmt.Sprintf("down%d_%d", l+1, l+2)
	return layers.PixelUnshuffle(t.conv(at(scope, name, "body", 0), x, 3, x.Shape().Dim(-1)/2, false))
}

// up doubles the resolution and halves the channels: level l+1 to l.
func (t transformer) up(scope *model.Scope, l int, x *Node) *Node {
	name := fmt.Sprintf("up%d_%d", l+2, l+1)
	return layers.PixelShuffle(t.conv(at(scope, name, "body", 0), x, 3, 2*x.Shape().Dim(-1), false))
}

func (t transformer) conv(scope *model.Scope, x *Node, kernel, out int, bias bool) *Node {
	if bias && t.init != nil {
		// Created here, the convolution finds it.
		layers.Param(scope, x.Graph(), "bias", layers.Constant(0), out)
	}
	return layers.Conv{Kernel: kernel, NoBias: !bias, Init: t.init}.Apply(scope, x, out)
}
