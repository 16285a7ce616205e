package dcpt

import (
	"encoding/json"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

func init() {
	for class, form := range map[string]string{"Restormer": "", "Restormer_origin": formOrigin, "RestormerOriginal": formOriginal} {
		parityNetworks[class] = func(arguments json.RawMessage) (Network, error) {
			a, err := decodeTransformer(arguments)
			return &Restormer{
				Dim: a.Dim, Blocks: a.Blocks, Refinement: a.Refinement, Heads: a.Heads,
				Expansion: a.Expansion, Bias: a.Bias, Norm: a.Norm, Form: form,
			}, err
		}
	}
	parityNetworks["RestormerLocal"] = func(arguments json.RawMessage) (Network, error) {
		network, err := parityNetworks["RestormerOriginal"](arguments)
		if err != nil {
			return nil, err
		}
		var c constructor
		err = json.Unmarshal(arguments, &c)
		r := network.(*Restormer)
		r.TLC = TLC{Train: [2]int(c.TrainSize[2:]), Window: [2]int(c.BaseSize)}
		return r, err
	}
	smallNetworks["restormer"] = []NetworkConfig{
		{"arch": "restormer", "dim": 4, "blocks": []int{1, 2, 1, 1}, "refinement": 1, "heads": []int{1, 1, 2, 2},
			"expansion": 2.66, "norm": "BiasFree"},
		{"arch": "restormer", "dim": 4, "blocks": []int{1, 2, 1, 1}, "refinement": 0, "heads": []int{1, 1, 2, 2},
			"expansion": 2.66, "norm": "WithBias", "bias": true, "form": "original"},
	}
	pinnedParameters["restormer-5d"] = 26_111_668
}

// transformerArguments are the arguments of the PyTorch classes of Restormer and PromptIR.
type transformerArguments struct {
	Dim        int
	Blocks     []int `json:"num_blocks"`
	Refinement int   `json:"num_refinement_blocks"`
	Heads      []int
	Expansion  float64 `json:"ffn_expansion_factor"`
	Bias       bool
	Norm       string `json:"LayerNorm_type"`
}

func decodeTransformer(arguments json.RawMessage) (transformerArguments, error) {
	a := transformerArguments{Expansion: 2.66, Norm: normWithBias}
	err := json.Unmarshal(arguments, &a)
	return a, err
}

func TestRestormerValidate(t *testing.T) {
	for _, test := range []struct {
		change NetworkConfig
		want   string
	}{
		{NetworkConfig{"dim": 7}, "dim is 7: must be even"},
		{NetworkConfig{"blocks": []int{1, 1, 1}}, "3 blocks and 4 heads"},
		{NetworkConfig{"blocks": []int{1, 0, 1, 1}}, "blocks [1 0 1 1]: must be at least 1"},
		{NetworkConfig{"heads": []int{1, 2, 3, 8}}, "3 cannot share the 32 channels of level 3"},
		{NetworkConfig{"refinement": -1}, "refinement is -1"},
		{NetworkConfig{"expansion": 0.1}, "expansion is 0.1: leaves no channel of 8"},
		{NetworkConfig{"norm": "Biasfree"}, `"Biasfree"`},
		{NetworkConfig{"form": "orignal"}, `"orignal"`},
	} {
		test.change["preset"] = "restormer-tiny"
		_, err := NewNetwork(test.change)
		wantError(t, err, test.want)
	}
}

// A black image has queries and keys of 0: neither they nor their gradients may divide by their norm.
func TestRestormerBlackImage(t *testing.T) {
	backend := backendtest.Go(t)
	for i, config := range smallNetworks["restormer"] {
		network, err := NewNetwork(config)
		must(t, err)
		store := networkStore(t, backend, network)
		exec := model.MustNewExec(backend, store, func(_ *model.Scope, x *Node) []*Node {
			store.SetTraining(x.Graph(), true)
			y, _ := network.Forward(store.Scope(NetworkScope), MulScalar(x, 0))
			var weights []*Node
			for _, v := range trainable(store, NetworkScope) {
				weights = append(weights, v.NodeValue(x.Graph()))
			}
			return append(Gradient(ReduceAllMean(Square(AddScalar(y, 1))), weights...), y)
		})
		for k, result := range exec.MustCall(networkInput(1, 8, 8)) {
			for _, v := range flat(t, result) {
				if v-v != 0 {
					t.Fatalf("network %d, result %d: %v", i, k, v)
				}
			}
		}
		exec.Finalize()
	}
}
