package dcpt

import (
	"fmt"
	"maps"
	"reflect"
	"sort"

	"github.com/goccy/go-yaml"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Network is an image restoration network: the one interface that training, evaluation, restoring
// and weight conversion know. Images are NHWC float32 RGB in [0, 1].
type Network interface {
	// Forward builds the network on x [N, H, W, 3], H and W multiples of SizeMultiple, with the
	// weights in scope. It returns the restored image, not clamped, and the decoder features that
	// the degradation classifier reads, highest resolution first. Whoever needs only one of the
	// two drops the other: XLA removes what nothing uses. Forward may be called several times in
	// a graph, on shared weights. Features are NHWC.
	Forward(scope *model.Scope, x *Node) (restored *Node, features []*Node)

	// Features describes the features, in the order of Forward: the network's own say on where
	// pre-training hooks in.
	Features() []Feature

	// SizeMultiple is what height and width of the input must be multiples of.
	SizeMultiple() int

	// Validate reports what is wrong with the network's configuration.
	Validate() error
}

// NetworkConfig names a network in a recipe or a checkpoint: "preset", or "arch" (an architecture),
// and fields of the network's configuration, which replace the preset's.
type NetworkConfig map[string]any

const (
	presetKey = "preset"
	archKey   = "arch"
)

// architectures holds the networks by name; a new one is a file and a line here.
var architectures = map[string]architecture{
	"nafnet":    newArchitecture(nafnetPresets),
	"promptir":  newArchitecture(promptirPresets),
	"rcan":      newArchitecture(rcanPresets),
	"restormer": newArchitecture(restormerPresets),
	"swinir":    newArchitecture(swinirPresets),
}

type architecture struct {
	decode  func(preset Network, fields map[string]any) (Network, error)
	presets map[string]Network
}

func newArchitecture[T any, P interface {
	*T
	Network
}](presets map[string]P) architecture {
	a := architecture{decode: decodeInto[T, P], presets: map[string]Network{}}
	for name, preset := range presets {
		a.presets[name] = preset
	}
	return a
}

// Architectures lists the names that NetworkConfig.Arch takes.
func Architectures() []string { return sortedKeys(architectures) }

// Presets lists the names that NetworkConfig.Preset takes.
func Presets() []string {
	var names []string
	for _, a := range architectures {
		names = append(names, sortedKeys(a.presets)...)
	}
	sort.Strings(names)
	return names
}

// NewNetwork builds the network that config names. An unknown preset, architecture or field is an
// error that lists what exists.
func NewNetwork(config NetworkConfig) (Network, error) {
	presetName, _ := config[presetKey].(string)
	givenArch, _ := config[archKey].(string)
	archName, preset := givenArch, Network(nil)
	if presetName != "" {
		for name, a := range architectures {
			if p, ok := a.presets[presetName]; ok {
				archName, preset = name, p
			}
		}
		if preset == nil {
			return nil, suggest.Unknown("network preset", presetName, Presets())
		}
		if givenArch != "" && givenArch != archName {
			return nil, fmt.Errorf("network preset %q is a %s, not a %s: leave arch out", presetName, archName, givenArch)
		}
	}
	if archName == "" {
		return nil, fmt.Errorf("no network named: give preset (%v) or arch (%v)", Presets(), Architectures())
	}
	arch, ok := architectures[archName]
	if !ok {
		return nil, suggest.Unknown("network architecture", archName, Architectures())
	}
	fields := maps.Clone(map[string]any(config))
	delete(fields, presetKey)
	delete(fields, archKey)
	network, err := arch.decode(preset, fields)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", archName, err)
	}
	if err := network.Validate(); err != nil {
		return nil, fmt.Errorf("network %s: %w", archName, err)
	}
	if r, ok := network.(*RCAN); ok && r.Scale > 1 {
		return nil, fmt.Errorf("network %s: scale %d enlarges images; what is trained and restored here keeps their size: set scale to 1", archName, r.Scale)
	}
	return network, nil
}

// decodeInto fills a copy of the preset (or a zero configuration) with fields, strictly.
func decodeInto[T any, P interface {
	*T
	Network
}](preset Network, fields map[string]any) (Network, error) {
	network := P(new(T))
	if preset != nil {
		*network = *(preset.(P))
	}
	if len(fields) == 0 {
		return network, nil
	}
	data, err := yaml.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	if err := checkTree("", tree, reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, network); err != nil {
		return nil, err
	}
	return network, nil
}

// ConfigOf describes a network in full, without a preset: what a checkpoint records.
func ConfigOf(network Network) (NetworkConfig, error) {
	for name, a := range architectures {
		for _, preset := range a.presets {
			if reflect.TypeOf(preset) != reflect.TypeOf(network) {
				continue
			}
			data, err := yaml.Marshal(network)
			if err != nil {
				return nil, err
			}
			config := NetworkConfig{}
			if err := yaml.Unmarshal(data, &config); err != nil {
				return nil, err
			}
			config[archKey] = name
			return config, nil
		}
	}
	return nil, fmt.Errorf("%T is not a registered network architecture", network)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
