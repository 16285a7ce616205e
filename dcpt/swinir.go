package dcpt

import (
	"encoding/binary"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/layers"
)

// SwinIR restores images with window attention at full resolution: layers of transformer blocks, each
// closed by a convolution and added to its input, without a pyramid.
//
// Liang et al., "SwinIR: Image Restoration Using Swin Transformer", ICCVW 2021, arXiv 2108.10257, for
// images of the same size. It comes in two forms. That of DCPT (parity README, section 4.4) has no
// position bias, lets pixels that the cyclic shift has brought together attend to each other, and calls
// its layers encode_layers.i and decode_layersi. The original form has bias and mask, and layers.i.
//
// The features that feed the degradation classifier are the outputs of the blocks, before the
// convolution, of the layers in the second half, last first, all at full resolution: the official hook
// string "residual_group". ("decode_layers" would hook four modules per layer, one inside the other.)
type SwinIR struct {
	Embed    int     `yaml:"embed" json:"embed"`                             // channels
	Depths   []int   `yaml:"depths" json:"depths"`                           // blocks of each layer
	Heads    []int   `yaml:"heads" json:"heads"`                             // attention heads of each layer
	Window   int     `yaml:"window" json:"window"`                           // side of the attention windows
	MLPRatio float64 `yaml:"mlp_ratio" json:"mlp_ratio"`                     // hidden channels of the feed-forward networks over Embed
	ImgRange float64 `yaml:"img_range,omitempty" json:"img_range,omitempty"` // what 1 becomes inside the network; 0 means 1
	Original bool    `yaml:"original,omitempty" json:"original,omitempty"`   // the original form
}

// swinirPresets: the network of the DCPT 5D option file; the original's for colour denoising and for
// JPEG artefacts, of the same size; and a small one that trains on two cores in minutes.
var swinirPresets = map[string]*SwinIR{
	"swinir-5d":            swinirOfSize(SwinIR{Window: 8}), // 11 455 563 parameters
	"swinir-original":      swinirOfSize(SwinIR{Window: 8, Original: true}),
	"swinir-original-jpeg": swinirOfSize(SwinIR{Window: 7, ImgRange: 255, Original: true}),
	"swinir-tiny":          {Embed: 16, Depths: []int{2, 2, 2, 2, 2, 2}, Heads: []int{2, 2, 2, 2, 2, 2}, Window: 8, MLPRatio: 2},
}

// swinirOfSize gives s the size of the published networks.
func swinirOfSize(s SwinIR) *SwinIR {
	s.Embed, s.MLPRatio = 180, 2
	s.Depths, s.Heads = []int{6, 6, 6, 6, 6, 6}, []int{6, 6, 6, 6, 6, 6}
	return &s
}

const (
	swinirEpsilon    = 1e-5
	swinirForkLayers = 6
	swinirImgSize    = 128 // for which the original's published models store their masks; 126 for windows of 7
	swinirMaxWindow  = swinirImgSize / 2
)

// meanRGB is the mean colour of DIV2K, which SwinIR and RCAN subtract.
var meanRGB = []float32{0.4488, 0.4371, 0.4040}

// Validate implements Network.
func (s *SwinIR) Validate() error {
	if s.Embed < 1 {
		return fmt.Errorf("embed is %d: must be at least 1", s.Embed)
	}
	if len(s.Depths) == 0 || len(s.Depths) != len(s.Heads) {
		return fmt.Errorf("%d depths and %d heads: must be equal and at least 1", len(s.Depths), len(s.Heads))
	}
	if !s.Original && len(s.Depths) != swinirForkLayers {
		return fmt.Errorf("%d depths: must be %d, because the official code takes depths and heads of the second half from index 3 on, "+
			"which is the second half of %d layers only (original: true takes any number)", len(s.Depths), swinirForkLayers, swinirForkLayers)
	}
	for i, depth := range s.Depths {
		if depth < 1 {
			return fmt.Errorf("layer %d has %d blocks: must be at least 1", i, depth)
		}
		if heads := s.Heads[i]; heads < 1 || s.Embed%heads != 0 {
			return fmt.Errorf("layer %d has %d heads: must divide embed %d", i, heads, s.Embed)
		}
	}
	if s.Window < 1 || s.Window > swinirMaxWindow {
		return fmt.Errorf("window is %d: must be 1 to %d", s.Window, swinirMaxWindow)
	}
	if s.hidden() < 1 {
		return fmt.Errorf("mlp_ratio is %v: must leave at least one of %d channels", s.MLPRatio, s.Embed)
	}
	if s.ImgRange < 0 {
		return fmt.Errorf("img_range is %v: must not be negative", s.ImgRange)
	}
	return nil
}

// hidden is the number of channels inside the feed-forward networks.
func (s *SwinIR) hidden() int { return int(float64(s.Embed) * s.MLPRatio) }

// SizeMultiple implements Network: windows tile the image.
func (s *SwinIR) SizeMultiple() int { return s.Window }

// layerPath is where the weights of a layer are.
func (s *SwinIR) layerPath(layer int) []any {
	half := len(s.Depths) / 2
	switch {
	case s.Original:
		return []any{"layers", layer}
	case layer < half:
		return []any{"encode_layers", layer}
	default:
		return []any{fmt.Sprintf("decode_layers%d", layer-half)}
	}
}

// Features implements Network.
func (s *SwinIR) Features() []Feature {
	var features []Feature
	for layer := len(s.Depths) - 1; layer >= len(s.Depths)/2; layer-- {
		features = append(features, Feature{moduleName(append(s.layerPath(layer), "residual_group")...), s.Embed, 1})
	}
	return features
}

// Forward implements Network.
func (s *SwinIR) Forward(scope *model.Scope, image *Node) (restored *Node, features []*Node) {
	h, w := image.Shape().Dim(1), image.Shape().Dim(2)
	if h%s.Window != 0 || w%s.Window != 0 {
		exceptions.Panicf("SwinIR: image of %dx%d is not a multiple of %d in both sides: pad it", w, h, s.Window)
	}
	imgRange := s.ImgRange
	if imgRange == 0 {
		imgRange = 1
	}
	centred := centreRGB(image, imgRange)
	shallow := layers.Conv{Kernel: 3}.Apply(scope.At("conv_first"), centred, s.Embed)
	x := layers.LayerNorm(at(scope, "patch_embed", "norm"), shallow, swinirEpsilon)
	for layer := range s.Depths {
		var blocks *Node
		x, blocks = s.layer(at(scope, s.layerPath(layer)...), layer, x)
		if layer >= len(s.Depths)/2 {
			features = append([]*Node{blocks}, features...)
		}
	}
	x = layers.LayerNorm(scope.At("norm"), x, swinirEpsilon)
	x = Add(layers.Conv{Kernel: 3}.Apply(scope.At("conv_after_body"), x, s.Embed), shallow)
	x = Add(centred, layers.Conv{Kernel: 3}.Apply(scope.At("conv_last"), x, image.Shape().Dim(-1)))
	return uncentreRGB(x, imgRange), features
}

// layer is a residual Swin transformer layer (RSTB): blocks, a convolution, plus the input. blocks is
// what it is before the convolution.
func (s *SwinIR) layer(scope *model.Scope, layer int, x *Node) (y, blocks *Node) {
	blocks = x
	for b := range s.Depths[layer] {
		blocks = s.block(at(scope, "residual_group", "blocks", b), s.attention(layer, b), blocks)
	}
	return Add(layers.Conv{Kernel: 3}.Apply(scope.At("conv"), blocks, s.Embed), x), blocks
}

// attention is that of a block: the windows of every second block are shifted.
func (s *SwinIR) attention(layer, block int) layers.WindowAttention {
	return layers.WindowAttention{
		Window: s.Window, Heads: s.Heads[layer], Shift: block % 2 * (s.Window / 2),
		PositionBias: s.Original, Mask: s.Original,
	}
}

// block is a transformer block: attention, then a feed-forward network, each behind a norm and added.
func (s *SwinIR) block(scope *model.Scope, attention layers.WindowAttention, x *Node) *Node {
	attention.Norm = layers.Norm{Scope: scope.At("norm1"), Epsilon: swinirEpsilon}
	x = Add(x, attention.Apply(scope.At("attn"), x))
	return Add(x, layers.MLP(layers.Norm{Scope: scope.At("norm2"), Epsilon: swinirEpsilon}, scope.At("mlp"), x, s.hidden()))
}

// centreRGB subtracts the mean colour from an image of [0, 1] and scales it to a range.
func centreRGB(image *Node, imgRange float64) *Node {
	return MulScalar(Sub(image, rgbMean(image)), imgRange)
}

// uncentreRGB is the inverse of centreRGB.
func uncentreRGB(x *Node, imgRange float64) *Node {
	return Add(MulScalar(x, 1/imgRange), rgbMean(x))
}

func rgbMean(x *Node) *Node { return Reshape(Const(x.Graph(), meanRGB), 1, 1, 1, len(meanRGB)) }

// Buffers are the tensors in the original's state dict that are not learnt, by their names in PyTorch:
// in every block the position index, int64 [Window^2, Window^2], and in shifted blocks the mask, float32
// [windows, Window^2, Window^2], for images of 128x128 (or the largest multiple of Window below). Files
// for the original code must have them; what is computed here does not use them. The form of DCPT has none.
func (s *SwinIR) Buffers() map[string]torch.Tensor {
	return s.buffers(swinirImgSize / s.Window * s.Window)
}

// buffers are Buffers for images of side x side pixels. Blocks share the memory.
func (s *SwinIR) buffers(side int) map[string]torch.Tensor {
	buffers := map[string]torch.Tensor{}
	if !s.Original {
		return buffers
	}
	index, mask := relativePositionIndex(s.Window), attentionMask(side, s.Window, s.Window/2)
	for layer, depth := range s.Depths {
		for b := range depth {
			block := moduleName(append(s.layerPath(layer), "residual_group", "blocks", b)...)
			buffers[block+".attn.relative_position_index"] = index
			if s.attention(layer, b).Shift > 0 {
				buffers[block+".attn_mask"] = mask
			}
		}
	}
	return buffers
}

// relativePositionIndex is the row of the table of position biases for each pair of pixels of a window.
func relativePositionIndex(window int) torch.Tensor {
	tokens := window * window
	var data []byte
	for i := range tokens {
		for j := range tokens {
			dy, dx := i/window-j/window, i%window-j%window
			data = binary.LittleEndian.AppendUint64(data, uint64((dy+window-1)*(2*window-1)+dx+window-1))
		}
	}
	return torch.Tensor{Shape: []int{tokens, tokens}, DType: "I64", Data: data}
}

// attentionMask is -100 for each pair of pixels of a window that only the shift has brought together, for
// every window of an image.
func attentionMask(side, window, shift int) torch.Tensor {
	across, tokens := side/window, window*window
	wrapped := func(windowAt, at int) bool { return windowAt*window+at >= side-shift }
	var values []float32
	for row := range across {
		for column := range across {
			for i := range tokens {
				for j := range tokens {
					value := float32(0)
					if wrapped(row, i/window) != wrapped(row, j/window) || wrapped(column, i%window) != wrapped(column, j%window) {
						value = -100
					}
					values = append(values, value)
				}
			}
		}
	}
	return torch.Float32Tensor(values, across*across, tokens, tokens)
}
