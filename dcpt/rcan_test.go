package dcpt

import (
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

func init() {
	parityNetworks["RCAN"] = func(arguments json.RawMessage) (Network, error) {
		var c struct {
			Features int `json:"num_feat"`
			Groups   int `json:"num_group"`
			Blocks   int `json:"num_block"`
			Squeeze  int `json:"squeeze_factor"`
			Scale    int `json:"upscale"`
		}
		err := json.Unmarshal(arguments, &c)
		return &RCAN{NumFeatures: c.Features, Groups: c.Groups, Blocks: c.Blocks, Squeeze: c.Squeeze, Scale: c.Scale}, err
	}
	smallNetworks["rcan"] = []NetworkConfig{
		{"arch": "rcan", "features": 4, "groups": 4, "blocks": 1, "squeeze": 2, "scale": 1},
		{"arch": "rcan", "features": 5, "groups": 1, "blocks": 2, "squeeze": 1, "scale": 1},
	}
	// The weights of the paper's network counted by hand from its layers; nothing official gives a number
	// for scale 1.
	const conv, attention = 64*64*9 + 64, 64*4 + 4 + 4*64 + 64
	pinnedParameters["rcan"] = (3*64*9 + 64) + 10*(20*(2*conv+attention)+conv) + conv + (64*3*9 + 3)
}

// Configurations that cannot be built are refused in words.
func TestRCANValidate(t *testing.T) {
	for _, test := range []struct {
		change func(r *RCAN)
		want   string
	}{
		{func(r *RCAN) { r.NumFeatures = 0 }, "features is 0: must be at least 1"},
		{func(r *RCAN) { r.Groups = -1 }, "groups is -1"},
		{func(r *RCAN) { r.Blocks = 0 }, "blocks is 0"},
		{func(r *RCAN) { r.Squeeze = 0 }, "squeeze is 0"},
		{func(r *RCAN) { r.Squeeze = 17 }, "squeeze is 17: leaves none of 16 features"},
		{func(r *RCAN) { r.Scale = 0 }, "scale is 0"},
		{func(r *RCAN) { r.Scale = 3 }, "scale is 3: must be 1, 2, 4 or another power of two"},
	} {
		network := *rcanPresets["rcan-tiny"]
		test.change(&network)
		wantError(t, network.Validate(), test.want)
	}
}

// The output grows by the scale; the features do not.
// A network that enlarges is no restorer: recipes and weights files cannot name one.
func TestRCANEnlarges(t *testing.T) {
	_, err := NewNetwork(NetworkConfig{"preset": "rcan-tiny", "scale": 2})
	wantError(t, err, "scale 2 enlarges images", "set scale to 1")
}

func TestRCANScale(t *testing.T) {
	for _, scale := range []int{1, 2, 4} {
		network := *rcanPresets["rcan-tiny"]
		network.Scale = scale
		must(t, network.Validate())
		store := model.NewStore()
		must(t, buildOnly(backendtest.Go(t), store, func(g *Graph) {
			restored, features := network.Forward(store.Scope(NetworkScope), Const(g, networkInput(2, 5, 7)))
			if got, want := fmt.Sprint(restored.Shape().Dimensions), fmt.Sprint([]int{2, 5 * scale, 7 * scale, 3}); got != want {
				t.Errorf("scale %d: output %v, want %v", scale, got, want)
			}
			for _, f := range features {
				if got := fmt.Sprint(f.Shape().Dimensions); got != "[2 5 7 16]" {
					t.Errorf("scale %d: feature %v, want [2 5 7 16]", scale, got)
				}
			}
		}))
	}
}
