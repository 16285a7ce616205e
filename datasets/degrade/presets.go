package degrade

import (
	"fmt"
	"maps"
	"slices"

	"github.com/godcpt/godcpt/internal/suggest"
)

// presetKey is the parameter that names a preset.
const presetKey = "preset"

// presets are sets of parameters with a name: kinds in the strength of a certain benchmark. A recipe says
// {kind: rain, preset: heavy}; parameters that it gives besides replace those of the preset.
var presets = map[string]map[string]map[string]any{
	"rain": {
		// The dense streaks and the accumulation of Rain100H (Yang et al., CVPR 2017), input PSNR 14 dB.
		"heavy": {
			"density": []float64{4, 9}, "length": []float64{18, 56}, "width": []float64{1, 2.2}, "alpha": []float64{0.3, 0.75},
			"jitter": 4, "far": []float64{8, 20}, "mist": []float64{0.1, 0.45},
		},
	},
	"snow": {
		// The parts S, M and L of Snow100K: small flakes only, then also larger ones.
		"small":  {"density": []float64{4, 14}, "size": []float64{1, 3}},
		"medium": {"density": []float64{5, 16}, "size": []float64{1, 7}},
		"large":  {"density": []float64{10, 28}, "size": []float64{1, 24}, "streak": []float64{0.5, 2}, "mist": []float64{0.1, 0.4}},
	},
	"lowlight": {
		// Underexposed by 3 to 5 stops in the camera: see LowLight.Exposure.
		"camera": {"exposure": []float64{0.03, 0.12}, "shot": []float64{0.0001, 0.001}, "read": []float64{0.1, 0.5}},
	},
}

// Presets returns the names of the presets of a kind, sorted.
func Presets(kind string) []string { return slices.Sorted(maps.Keys(presets[kind])) }

// withPreset returns params with those of the preset that they name.
func withPreset(kind string, params map[string]any) (map[string]any, error) {
	value, ok := params[presetKey]
	if !ok || len(presets[kind]) == 0 { // without presets it is an unknown parameter like others
		return params, nil
	}
	name, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("degradation %q, parameter %q: is %v, must be a name", kind, presetKey, value)
	}
	preset, ok := presets[kind][name]
	if !ok {
		return nil, suggest.Unknown("preset of degradation "+kind, name, Presets(kind))
	}
	all := maps.Clone(preset)
	maps.Copy(all, params)
	delete(all, presetKey)
	return all, nil
}
