package dcpt

import "encoding/json"

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
