package dcpt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

func init() {
	parityNetworks["PromptIR"] = func(arguments json.RawMessage) (Network, error) { return parityPromptIR(arguments, false) }
	parityNetworks["PromptIROriginal"] = func(arguments json.RawMessage) (Network, error) { return parityPromptIR(arguments, true) }
	parityNetworks["PromptIRScaled"] = func(arguments json.RawMessage) (Network, error) {
		a, err := decodeTransformer(arguments)
		p := promptIR(a, false)
		p.Hooks = hooksReduceNoise // what the trace with this class hooks
		var prompts struct{ Pdims, Psizes []int }
		if err == nil {
			err = json.Unmarshal(arguments, &prompts)
		}
		p.PromptDims, p.PromptSizes = prompts.Pdims, prompts.Psizes
		return p, err
	}
	smallNetworks["promptir"] = []NetworkConfig{
		{"arch": "promptir", "dim": 4, "blocks": []int{1, 2, 1, 1}, "refinement": 1, "heads": []int{1, 1, 2, 2}, "expansion": 2.66,
			"norm": "WithBias", "prompt_dims": []int{2, 4, 6}, "prompt_sizes": []int{6, 5, 4}, "prompt_len": 3, "hooks": "decoder"},
		{"arch": "promptir", "dim": 4, "blocks": []int{1, 1, 1, 1}, "refinement": 0, "heads": []int{1, 1, 2, 2}, "expansion": 2, "bias": true,
			"norm": "BiasFree", "prompt_dims": []int{2, 4, 6}, "prompt_sizes": []int{9, 4, 1}, "prompt_len": 2, "hooks": "reduce_noise_level", "original": true},
	}
	pinnedParameters["promptir-5d"] = 35_376_967
	pinnedParameters["promptir-original"] = 35_592_263
}

func promptIR(a transformerArguments, original bool) *PromptIR {
	return &PromptIR{
		Dim: a.Dim, Blocks: a.Blocks, Refinement: a.Refinement, Heads: a.Heads, Expansion: a.Expansion, Bias: a.Bias, Norm: a.Norm,
		PromptDims: []int{64, 128, 320}, PromptSizes: []int{64, 32, 16}, PromptLen: 5, Hooks: hooksDecoder, Original: original,
	}
}

// parityPromptIR builds the official class, whose constants the scaled cases replace.
func parityPromptIR(arguments json.RawMessage, original bool) (Network, error) {
	a, err := decodeTransformer(arguments)
	if err != nil {
		return nil, err
	}
	p := promptIR(a, original)
	var more struct{ Scaled map[string]json.RawMessage }
	if err := json.Unmarshal(arguments, &more); err != nil {
		return nil, err
	}
	for name, value := range more.Scaled {
		// The names go on with the official values.
		for prefix, field := range map[string]any{"prompt_dims": &p.PromptDims, "prompt_sizes": &p.PromptSizes, "prompt_len": &p.PromptLen} {
			if strings.HasPrefix(name, prefix) {
				if err := json.Unmarshal(value, field); err != nil {
					return nil, err
				}
			}
		}
	}
	return p, nil
}

func TestPromptIRValidate(t *testing.T) {
	for _, test := range []struct {
		change NetworkConfig
		want   string
	}{
		{NetworkConfig{"dim": 0}, "dim is 0"},
		{NetworkConfig{"prompt_dims": []int{8, 16}}, "2 prompt_dims and 3 prompt_sizes"},
		{NetworkConfig{"prompt_sizes": []int{8, 0, 16}}, "prompt_sizes [8 0 16]: must be at least 1"},
		{NetworkConfig{"prompt_dims": []int{8, 14, 24}}, "4 heads cannot share the 46 channels of prompt 2"},
		{NetworkConfig{"prompt_len": 0}, "prompt_len is 0"},
		{NetworkConfig{"hooks": "decoders"}, `"decoders"`},
	} {
		test.change["preset"] = "promptir-tiny"
		_, err := NewNetwork(test.change)
		wantError(t, err, test.want)
	}
}

// The convolutions that the original never computes are among the weights, and are not trained.
func TestPromptIRUnused(t *testing.T) {
	for _, original := range []bool{false, true} {
		network, err := NewNetwork(NetworkConfig{"preset": "promptir-tiny", "original": original})
		must(t, err)
		store := model.NewStore()
		must(t, InitNetwork(backendtest.Go(t), store, NetworkScope, network))
		weights, err := ExportWeights(store, NetworkScope)
		must(t, err)
		want := 0
		if original {
			want = 6
		}
		if got := len(weights) - len(trainable(store, NetworkScope)); got != want {
			t.Errorf("original %t: %d weights are not trained, want %d", original, got, want)
		}
		if _, ok := weights["chnl_reduce3.weight"]; ok != original {
			t.Errorf("original %t: chnl_reduce3 is there: %t", original, ok)
		}
		must(t, initEMA(store, variablesBelow(store, NetworkScope)))
		average, err := ExportWeights(store, EMAScope)
		must(t, err)
		if len(average) != len(weights) {
			t.Errorf("original %t: the average has %d of %d weights", original, len(average), len(weights))
		}
	}
}
