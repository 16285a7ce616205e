package dcpt

import (
	"fmt"
	"slices"
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
	// a graph, on shared weights.
	Forward(scope *model.Scope, x *Node) (restored *Node, features []*Node)

	// FeatureDims is the number of channels of each feature, in the order of Forward.
	FeatureDims() []int

	// SizeMultiple is what height and width of the input must be multiples of.
	SizeMultiple() int

	// Validate reports what is wrong with the network's configuration.
	Validate() error
}

// NetworkConfig names a network in a recipe or a checkpoint: a preset, or an architecture with the
// fields of its configuration. Fields beside a preset replace the preset's.
type NetworkConfig struct {
	Preset string         `yaml:"preset,omitempty" json:"preset,omitempty"`
	Arch   string         `yaml:"arch,omitempty" json:"arch,omitempty"`
	Fields map[string]any `yaml:",inline" json:"fields,omitempty"`
}

// architectures holds the networks by name; a new one is a file and a line here.
var architectures = map[string]architecture{
	"nafnet": {
		decode:  decodeInto[NAFNet],
		presets: map[string]Network{},
	},
}

type architecture struct {
	decode  func(preset Network, fields map[string]any) (Network, error)
	presets map[string]Network
}

func init() {
	for name, preset := range nafnetPresets {
		architectures["nafnet"].presets[name] = preset
	}
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
	archName, preset := config.Arch, Network(nil)
	if config.Preset != "" {
		for name, a := range architectures {
			if p, ok := a.presets[config.Preset]; ok {
				archName, preset = name, p
			}
		}
		if preset == nil {
			return nil, suggest.Unknown("network preset", config.Preset, Presets())
		}
		if config.Arch != "" && config.Arch != archName {
			return nil, fmt.Errorf("network preset %q is a %s, not a %s: leave arch out", config.Preset, archName, config.Arch)
		}
	}
	if archName == "" {
		return nil, fmt.Errorf("no network named: give preset (%v) or arch (%v)", Presets(), Architectures())
	}
	arch, ok := architectures[archName]
	if !ok {
		return nil, suggest.Unknown("network architecture", archName, Architectures())
	}
	network, err := arch.decode(preset, config.Fields)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", archName, err)
	}
	if err := network.Validate(); err != nil {
		return nil, fmt.Errorf("network %s: %w", archName, err)
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
	known := yamlKeys(*network)
	for key := range fields {
		if !slices.Contains(known, key) {
			return nil, suggest.Unknown("field", key, known)
		}
	}
	data, err := yaml.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, network); err != nil {
		return nil, err
	}
	return network, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
