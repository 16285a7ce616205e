package dcpt

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/godcpt/godcpt/dcpt/torch"
)

// Detection is what the names and shapes of weights say about their network.
type Detection struct {
	Network Network
	Preset  string   // "" where the network is of a known architecture but of no preset's sizes
	Same    []string // other presets whose weights have the same names and shapes
}

// buffered is a network whose PyTorch form keeps tables beside its weights, which files of the
// original project hold and strict loading there asks for. They are constants: they are passed over
// when a file is read, and written.
type buffered interface {
	Buffers() map[string]torch.Tensor
}

// considerLast are presets that share names and shapes with the one that people mean by such weights:
// they are the last to be considered, and named beside it.
var considerLast = []string{"restormer-origin", "restormer-original-tlc"}

// inferences make a network of an architecture from the shapes of its weights, nil if these cannot be
// the architecture's.
var inferences = []func(shapes map[string][]int) Network{inferNAFNet}

// Detect finds the network that weights of these names and shapes (PyTorch's) belong to: a preset, or
// a known architecture in other sizes. If there is none, the error names the nearest preset and the
// first differences.
func Detect(shapes map[string][]int) (*Detection, error) {
	var found *Detection
	var nearest string
	var differences []string
	for _, preset := range detectionOrder() {
		network, err := NewNetwork(NetworkConfig{presetKey: preset})
		if err != nil {
			return nil, err
		}
		d, err := compareLayout(network, shapes)
		switch {
		case err != nil:
			return nil, err
		case len(d) == 0 && found == nil:
			found = &Detection{Network: network, Preset: preset}
		case len(d) == 0:
			found.Same = append(found.Same, preset)
		case nearest == "" || len(d) < len(differences):
			nearest, differences = preset, d
		}
	}
	if found != nil {
		return found, nil
	}
	for _, infer := range inferences {
		network := infer(shapes)
		if network == nil || network.Validate() != nil {
			continue
		}
		d, err := compareLayout(network, shapes)
		if err != nil {
			return nil, err
		}
		if len(d) == 0 {
			return &Detection{Network: network}, nil
		}
		if len(d) < len(differences) {
			config, err := ConfigOf(network)
			if err != nil {
				return nil, err
			}
			nearest, differences = fmt.Sprintf("a %s of sizes of its own", config[archKey]), d
		}
	}
	return nil, fmt.Errorf("these %d tensors are of no known network; the nearest is %s: %s", len(shapes), nearest, firstDifferences(differences))
}

// firstDifferences shows a few of the differences.
func firstDifferences(differences []string) string {
	const shown = 3
	if more := len(differences) - shown; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(differences[:shown], "; "), more)
	}
	return strings.Join(differences, "; ")
}

func detectionOrder() []string {
	presets := Presets()
	sort.SliceStable(presets, func(i, j int) bool {
		return !slices.Contains(considerLast, presets[i]) && slices.Contains(considerLast, presets[j])
	})
	return presets
}

// compareLayout lists how tensors differ from the weights of a network, in the order of their names.
func compareLayout(network Network, shapes map[string][]int) ([]string, error) {
	size := network.SizeMultiple()
	d, err := Describe(network, size, size)
	if err != nil {
		return nil, err
	}
	var buffers map[string]torch.Tensor
	if b, ok := network.(buffered); ok {
		buffers = b.Buffers()
	}
	names := slices.Sorted(maps.Keys(d.Weights))
	for name := range shapes {
		if _, ok := d.Weights[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var differences []string
	for _, name := range names {
		want, wanted := d.Weights[name]
		got, given := shapes[name]
		_, isBuffer := buffers[name]
		switch {
		case !given:
			differences = append(differences, fmt.Sprintf("%s is missing", name))
		case !wanted && !isBuffer:
			differences = append(differences, fmt.Sprintf("%s is unknown", name))
		case wanted && !slices.Equal(got, want):
			differences = append(differences, fmt.Sprintf("%s is %v, not %v", name, got, want))
		}
	}
	return differences, nil
}

// inferNAFNet counts the blocks and channels of a NAFNet.
func inferNAFNet(shapes map[string][]int) Network {
	intro := shapes["intro.weight"]
	if len(intro) != 4 {
		return nil
	}
	blocks := func(prefix string) int {
		n := 0
		for shapes[fmt.Sprintf("%s%d.conv1.weight", prefix, n)] != nil {
			n++
		}
		return n
	}
	network := &NAFNet{Width: intro[0], MiddleBlocks: blocks("middle_blks."), Original: shapes["decoders.0.0.conv1.weight"] != nil}
	for level := 0; shapes[fmt.Sprintf("downs.%d.weight", level)] != nil; level++ {
		network.EncBlocks = append(network.EncBlocks, blocks(fmt.Sprintf("encoders.%d.", level)))
		network.DecBlocks = append(network.DecBlocks, blocks(moduleName(network.decoderPath(level)...)+"."))
	}
	return network
}
