package dcpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

func init() {
	for class, original := range map[string]bool{"SwinIR": false, "SwinIROriginal": true} {
		parityNetworks[class] = func(arguments json.RawMessage) (Network, error) {
			var c struct {
				Embed    int     `json:"embed_dim"`
				Depths   []int   `json:"depths"`
				Heads    []int   `json:"num_heads"`
				Window   int     `json:"window_size"`
				MLPRatio float64 `json:"mlp_ratio"`
				ImgRange float64 `json:"img_range"`
			}
			err := json.Unmarshal(arguments, &c)
			return &SwinIR{Embed: c.Embed, Depths: c.Depths, Heads: c.Heads, Window: c.Window, MLPRatio: c.MLPRatio, ImgRange: c.ImgRange, Original: original}, err
		}
	}
	smallNetworks["swinir"] = []NetworkConfig{
		{"arch": "swinir", "embed": 4, "depths": []int{2, 1, 1, 1, 1, 2}, "heads": []int{2, 1, 2, 1, 2, 2}, "window": 4, "mlp_ratio": 2},
		{"arch": "swinir", "embed": 6, "depths": []int{2, 2, 1}, "heads": []int{2, 3, 1}, "window": 3, "mlp_ratio": 1.5, "img_range": 255, "original": true},
	}
	pinnedParameters["swinir-5d"] = 11_455_563
}

// Configurations that cannot be built are refused in words.
func TestSwinIRValidate(t *testing.T) {
	for _, test := range []struct {
		change func(s *SwinIR)
		want   string
	}{
		{func(s *SwinIR) { s.Embed = 0 }, "embed is 0: must be at least 1"},
		{func(s *SwinIR) { s.Depths = []int{2, 2} }, "2 depths and 6 heads: must be equal"},
		{func(s *SwinIR) { s.Depths, s.Heads = []int{2, 2}, []int{2, 2} }, "2 depths: must be 6, because the official code"},
		{func(s *SwinIR) { s.Original, s.Depths, s.Heads = true, nil, nil }, "0 depths and 0 heads"},
		{func(s *SwinIR) { s.Depths = []int{2, 2, 0, 2, 2, 2} }, "layer 2 has 0 blocks"},
		{func(s *SwinIR) { s.Heads = []int{2, 3, 2, 2, 2, 2} }, "layer 1 has 3 heads: must divide embed 16"},
		{func(s *SwinIR) { s.Heads = []int{0, 2, 2, 2, 2, 2} }, "layer 0 has 0 heads"},
		{func(s *SwinIR) { s.Window = 0 }, "window is 0: must be 1 to 64"},
		{func(s *SwinIR) { s.Window = 65 }, "window is 65: must be 1 to 64"},
		{func(s *SwinIR) { s.MLPRatio = 0.01 }, "mlp_ratio is 0.01: must leave at least one of 16 channels"},
		{func(s *SwinIR) { s.ImgRange = -1 }, "img_range is -1: must not be negative"},
	} {
		network := *swinirPresets["swinir-tiny"]
		test.change(&network)
		wantError(t, network.Validate(), test.want)
	}
}

// The classifier reads features of one resolution: those of the second half of the layers.
func TestSwinIRFeatures(t *testing.T) {
	for _, test := range []struct {
		preset, want string
	}{
		{"swinir-5d", "[decode_layers2.residual_group decode_layers1.residual_group decode_layers0.residual_group]"},
		{"swinir-original-jpeg", "[layers.5.residual_group layers.4.residual_group layers.3.residual_group]"},
	} {
		network := swinirPresets[test.preset]
		var modules []string
		for _, f := range network.Features() {
			modules = append(modules, f.Module)
		}
		if got := fmt.Sprint(modules); got != test.want {
			t.Errorf("%s: features %s, want %s", test.preset, got, test.want)
		}
		c := Classifier{}.Complete(network, 5)
		if !c.SameRes || !slices.Equal(c.FeatureDims, []int{180, 180, 180}) {
			t.Errorf("%s: classifier %+v", test.preset, c)
		}
	}
}

// The tensors that are not learnt have the names, types and shapes of the published files.
func TestSwinIRBuffers(t *testing.T) {
	for preset, want := range map[string]struct {
		indices, masks string
	}{
		"swinir-original":      {"I64 [64 64]", "F32 [256 64 64]"},
		"swinir-original-jpeg": {"I64 [49 49]", "F32 [324 49 49]"},
	} {
		buffers := swinirPresets[preset].Buffers()
		if len(buffers) != 36+18 {
			t.Errorf("%s has %d buffers, want 36 position indices and 18 masks", preset, len(buffers))
		}
		for layer := range 6 {
			for block := range 6 {
				prefix := fmt.Sprintf("layers.%d.residual_group.blocks.%d.", layer, block)
				index := buffers[prefix+"attn.relative_position_index"]
				if got := fmt.Sprint(index.DType, " ", index.Shape); got != want.indices {
					t.Errorf("%s: position index %s, want %s", prefix, got, want.indices)
				}
				mask, ok := buffers[prefix+"attn_mask"]
				if got := fmt.Sprint(mask.DType, " ", mask.Shape); ok != (block%2 == 1) || ok && got != want.masks {
					t.Errorf("%s: mask %s, %t, want %s in odd blocks", prefix, got, ok, want.masks)
				}
			}
		}
	}
	if buffers := swinirPresets["swinir-5d"].Buffers(); len(buffers) != 0 {
		t.Errorf("DCPT's form has %d buffers", len(buffers))
	}
}

// They are, to the bit, those of the original code.
func TestParitySwinIRBuffers(t *testing.T) {
	const prefix = "buffer:"
	compared := 0
	for _, folder := range paritytest.Cases(t, networkPrefixes...) {
		var c struct {
			Architecture string
			Constructor  json.RawMessage
		}
		paritytest.Case(t, folder, &c)
		if c.Architecture != "SwinIROriginal" {
			continue
		}
		var size struct {
			ImgSize int `json:"img_size"`
		}
		must(t, json.Unmarshal(c.Constructor, &size))
		network, err := parityNetworks[c.Architecture](c.Constructor)
		must(t, err)
		buffers := network.(*SwinIR).buffers(size.ImgSize)
		for name, want := range readVectors(t, filepath.Join(folder, "data.safetensors")) {
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			compared++
			got := buffers[strings.TrimPrefix(name, prefix)]
			if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("%s: %s is %s %v and differs", filepath.Base(folder), name, got.DType, got.Shape)
			}
		}
	}
	if compared == 0 {
		t.Skip("there is no case with the original's buffers here")
	}
}
