package dcpt

import (
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/suggest"
	"github.com/godcpt/godcpt/layers"
)

// PromptIR is a Restormer whose decoder is given prompts, learnt images that tell it the kind of
// degradation.
//
// Potlapalli et al., "PromptIR: Prompting for All-in-One Blind Image Restoration", NeurIPS 2023,
// arXiv 2306.13090; parity README, section 4.3. DCPT computes what the original project does, but
// the weights differ: see Original.
type PromptIR struct {
	Dim         int     `yaml:"dim" json:"dim"`                   // channels of the highest resolution, even; doubled by each level
	Blocks      []int   `yaml:"blocks" json:"blocks"`             // blocks of the four levels, highest resolution first; the decoder's are the encoder's
	Refinement  int     `yaml:"refinement" json:"refinement"`     // blocks after the decoder
	Heads       []int   `yaml:"heads" json:"heads"`               // attention heads of the four levels; the blocks that read the prompts have the third level's
	Expansion   float64 `yaml:"expansion" json:"expansion"`       // hidden over outer channels of the feed-forward networks; rounded down
	Bias        bool    `yaml:"bias" json:"bias"`                 // of the convolutions that may have one
	Norm        string  `yaml:"norm" json:"norm"`                 // "BiasFree" or "WithBias"
	PromptDims  []int   `yaml:"prompt_dims" json:"prompt_dims"`   // channels of the three prompts, highest resolution first
	PromptSizes []int   `yaml:"prompt_sizes" json:"prompt_sizes"` // their height and width, in pixels
	PromptLen   int     `yaml:"prompt_len" json:"prompt_len"`     // components of each prompt

	// Hooks names the modules whose outputs are the features. "decoder": every block of the decoder
	// levels, of which the classifier reads the last of each resolution; the official string
	// "decoder_level" gives many per level, which the official classifier cannot read, and ends before
	// the highest resolution. "reduce_noise_level": the three convolutions after the prompts, for the
	// classifier that also sees the image.
	Hooks string `yaml:"hooks" json:"hooks"`

	// Original adds the six convolutions that the original project has and never computes, so that
	// its weights are read and written whole. They are not trained.
	Original bool `yaml:"original" json:"original"`
}

// The values of Hooks.
const (
	hooksDecoder     = "decoder"
	hooksReduceNoise = "reduce_noise_level"
)

// promptirPresets: the networks of the DCPT 5D option file and of the original project, and a small
// one that trains on two cores in minutes.
var promptirPresets = map[string]*PromptIR{
	"promptir-5d":       promptirOfPaper(false), // 35 376 967 parameters
	"promptir-original": promptirOfPaper(true),  // 35 592 263 parameters
	"promptir-tiny": {
		Dim: 8, Blocks: []int{1, 1, 1, 1}, Refinement: 1, Heads: []int{1, 2, 4, 8}, Expansion: 2.66, Norm: normWithBias,
		PromptDims: []int{8, 16, 24}, PromptSizes: []int{16, 8, 4}, PromptLen: 5, Hooks: hooksDecoder,
	},
}

func promptirOfPaper(original bool) *PromptIR {
	return &PromptIR{
		Dim: 48, Blocks: []int{4, 6, 6, 8}, Refinement: 4, Heads: []int{1, 2, 4, 8}, Expansion: 2.66, Norm: normWithBias,
		PromptDims: []int{64, 128, 320}, PromptSizes: []int{64, 32, 16}, PromptLen: 5, Hooks: hooksDecoder, Original: original,
	}
}

// prompts is the number of prompts: one above each decoder level.
const prompts = restormerLevels - 1

// Validate implements Network.
func (p *PromptIR) Validate() error {
	if err := validateRestormer(p.Dim, p.Blocks, p.Refinement, p.Heads, p.Expansion, p.Norm); err != nil {
		return err
	}
	if len(p.PromptDims) != prompts || len(p.PromptSizes) != prompts {
		return fmt.Errorf("%d prompt_dims and %d prompt_sizes: must be one of each for the %d prompts", len(p.PromptDims), len(p.PromptSizes), prompts)
	}
	for l := range prompts {
		if p.PromptDims[l] < 1 || p.PromptSizes[l] < 1 {
			return fmt.Errorf("prompt_dims %v, prompt_sizes %v: must be at least 1", p.PromptDims, p.PromptSizes)
		}
		if width, heads := p.promptedChannels(l), p.Heads[prompts-1]; width%heads != 0 {
			return fmt.Errorf("prompt_dims %v: the third level's %d heads cannot share the %d channels of prompt %d and what it is given to",
				p.PromptDims, heads, width, l+1)
		}
	}
	if p.PromptLen < 1 {
		return fmt.Errorf("prompt_len is %d: must be at least 1", p.PromptLen)
	}
	if hooks := []string{hooksDecoder, hooksReduceNoise}; !slices.Contains(hooks, p.Hooks) {
		return suggest.Unknown("hooks", p.Hooks, hooks)
	}
	return nil
}

// promptedChannels are the channels that prompt l and what it is given to have together.
func (p *PromptIR) promptedChannels(l int) int { return p.Dim<<(l+1) + p.PromptDims[l] }

// reducedChannels are the channels that are left of these: for levels 3 and 2 the third level's.
func (p *PromptIR) reducedChannels(l int) int { return p.Dim << min(l+1, prompts-1) }

// SizeMultiple implements Network: three levels halve the resolution.
func (p *PromptIR) SizeMultiple() int { return 1 << (restormerLevels - 1) }

// Features implements Network: see Hooks.
func (p *PromptIR) Features() []Feature {
	if p.Hooks == hooksDecoder {
		return decoderBlockFeatures(p.Dim, p.Blocks)
	}
	var features []Feature
	for l := range prompts {
		features = append(features, Feature{fmt.Sprintf("reduce_noise_level%d", l+1), p.reducedChannels(l), 2 << l})
	}
	return features
}

// Forward implements Network.
func (p *PromptIR) Forward(scope *model.Scope, image *Node) (restored *Node, features []*Node) {
	checkRestormerSize("PromptIR", image, p.SizeMultiple())
	if p.Original {
		p.unused(scope, image.Graph())
	}
	t := transformer{expansion: p.Expansion, norm: p.Norm, epsilon: 1e-5, bias: p.Bias}
	x := t.conv(at(scope, "patch_embed", "proj"), image, 3, p.Dim, false)
	var skips []*Node
	for l := range restormerLevels - 1 {
		x = last(t.level(scope.At("encoder_level%d", l+1), x, p.Blocks[l], p.Heads[l]))
		skips = append(skips, x)
		x = t.down(scope, l, x)
	}
	x = last(t.level(scope.At("latent"), x, p.Blocks[restormerLevels-1], p.Heads[restormerLevels-1]))
	var decoded, reduced []*Node // the features of either kind, highest resolution first
	for l := restormerLevels - 2; l >= 0; l-- {
		x = p.prompted(scope, t, l, x)
		reduced = append([]*Node{x}, reduced...)
		x = Concatenate([]*Node{t.up(scope, l, x), skips[l]}, -1)
		if l > 0 {
			x = t.conv(scope.At("reduce_chan_level%d", l+1), x, 1, p.Dim<<l, p.Bias)
		}
		for _, y := range t.level(scope.At("decoder_level%d", l+1), x, p.Blocks[l], p.Heads[l]) {
			decoded, x = append([]*Node{y}, decoded...), y
		}
	}
	if p.Refinement > 0 {
		x = last(t.level(scope.At("refinement"), x, p.Refinement, p.Heads[0]))
	}
	restored = Add(t.conv(scope.At("output"), x, 3, image.Shape().Dim(-1), p.Bias), image)
	if p.Hooks == hooksReduceNoise {
		return restored, reduced
	}
	return restored, decoded
}

// prompted gives x prompt l, lets a block read both and reduces the channels.
func (p *PromptIR) prompted(scope *model.Scope, t transformer, l int, x *Node) *Node {
	prompt := layers.Prompt{Components: p.PromptLen, Size: p.PromptSizes[l], Channels: p.PromptDims[l]}
	x = Concatenate([]*Node{x, prompt.Apply(scope.At("prompt%d", l+1), x)}, -1)
	x = t.block(scope.At("noise_level%d", l+1), x, p.Heads[prompts-1])
	return t.conv(scope.At("reduce_noise_level%d", l+1), x, 1, p.reducedChannels(l), p.Bias)
}

// unused creates the convolutions of the original project that nothing is computed with. All their
// widths are constants there, which fit Dim 48 and its prompts; these rules give them.
func (p *PromptIR) unused(scope *model.Scope, g *Graph) {
	widths := []int{p.PromptDims[0], p.PromptDims[1], 4 * p.PromptDims[0]}
	for l, width := range widths {
		layers.UnusedPointwise(scope.At("chnl_reduce%d", l+1), g, p.PromptDims[l], width, p.Bias)
		layers.UnusedPointwise(scope.At("reduce_noise_channel_%d", l+1), g, p.Dim<<l+width, p.Dim<<l, p.Bias)
	}
}
