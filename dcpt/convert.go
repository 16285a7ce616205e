package dcpt

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/atomicfile"
)

// stageImported is the stage of weights that were not trained here.
const stageImported = "imported"

// networkMetadata is the key under which files of bare weights say, as YAML, which network they are of.
const networkMetadata = "godcpt.network"

// ImportOptions say what the file does not.
type ImportOptions struct {
	Network NetworkConfig // nil: told from names and shapes, see Detect
	Key     string        // the group of tensors in a .pth file; "": params_ema, params, state_dict …
}

// Import is the weights of a network from a file of another program.
type Import struct {
	Checkpoint *Checkpoint
	Detection  *Detection // nil where the network was named
	Format     string     // torch.FormatZip …
	Key        string     // the group that was read
	NotFinite  []string   // weights that hold NaN or infinite numbers
}

// ImportFile reads weights that PyTorch (.pth, .pt, .ckpt of either format) or another program
// (.safetensors) has written. Nothing in the file is executed. The names, shapes and number of its
// tensors must be those of the network.
func ImportFile(path string, options ImportOptions) (*Import, error) {
	file, err := torch.Open(path)
	if err != nil {
		return nil, err
	}
	if file.Metadata[infoKey] != "" { // importing would pass over its checksum
		return nil, fmt.Errorf("%s is a checkpoint of this program, which says itself what it is of: name no network and no group of tensors for it", path)
	}
	tensors, key, err := file.Weights(options.Key)
	if err != nil {
		return nil, err
	}
	result := &Import{Format: file.Format, Key: key}
	config := options.Network
	if text := file.Metadata[networkMetadata]; config == nil && text != "" {
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			return nil, fmt.Errorf("%s: its description of the network cannot be read: %w", path, err)
		}
	}
	var network Network
	if config == nil {
		if result.Detection, err = Detect(shapesOf(tensors)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		network = result.Detection.Network
	} else {
		if network, err = NewNetwork(config); err != nil {
			return nil, err
		}
		differences, err := compareLayout(network, shapesOf(tensors))
		if err != nil {
			return nil, err
		}
		if len(differences) > 0 {
			return nil, fmt.Errorf("%s holds weights of another network: %s", path, firstDifferences(differences))
		}
	}
	if config, err = ConfigOf(network); err != nil {
		return nil, err
	}
	if b, ok := network.(buffered); ok {
		for name := range b.Buffers() {
			delete(tensors, name)
		}
	}
	content := map[string]torch.Tensor{}
	for name, tensor := range tensors {
		values, err := tensor.Float32()
		if err != nil {
			return nil, fmt.Errorf("%s: tensor %q: %w", path, name, err)
		}
		if slices.ContainsFunc(values, func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }) {
			result.NotFinite = append(result.NotFinite, name)
		}
		content[torch.Name(NetworkScope)+"."+name] = torch.Float32Tensor(values, tensor.Shape...)
	}
	slices.Sort(result.NotFinite)
	info := CheckpointInfo{Recipe: filepath.Base(path), Stage: stageImported, Finished: true, Network: config}
	result.Checkpoint = &Checkpoint{Path: path, Info: info, Tensors: content}
	return result, nil
}

func shapesOf(tensors map[string]torch.Tensor) map[string][]int {
	shapes := map[string][]int{}
	for name, tensor := range tensors {
		shapes[name] = tensor.Shape
	}
	return shapes
}

// IsCheckpoint tells whether a file of weights says that it is a checkpoint of ours. What is no file of
// weights at all is an error.
func IsCheckpoint(path string) (bool, error) {
	file, err := torch.Open(path)
	if err != nil {
		return false, err
	}
	return file.Metadata[infoKey] != "", nil
}

// ReadWeights reads the weights that a path given by a person means: a checkpoint of ours, the folder
// of a run or stage (see Load), or a file of PyTorch (see ImportFile).
func ReadWeights(path string) (*Checkpoint, error) {
	file, err := FindWeights(path)
	if err != nil {
		return nil, err
	}
	own, err := IsCheckpoint(file)
	if err != nil {
		return nil, err
	}
	if own {
		return ReadCheckpoint(file)
	}
	imported, err := ImportFile(file, ImportOptions{})
	if err != nil {
		return nil, err
	}
	return imported.Checkpoint, nil
}

// ExportFile writes the network's weights (of the moving average, if there is one) for other programs:
// named as in PyTorch, so that load_state_dict there takes them with strict names. A name that ends in
// .pth, .pt or .ckpt gives torch.save's format with the weights under "params", as the official files
// have them; .safetensors gives bare names, and says in the metadata which network it is. The
// classifier is left out.
func ExportFile(path string, c *Checkpoint) error {
	network, err := NewNetwork(c.Info.Network)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	tensors := map[string]torch.Tensor(maps.Clone(c.bestWeights(NetworkScope)))
	if len(tensors) == 0 {
		return fmt.Errorf("%s holds no weights of a network", c.Path)
	}
	if b, ok := network.(buffered); ok {
		maps.Copy(tensors, b.Buffers())
	}
	var write func(w io.Writer) error
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".pth", ".pt", ".ckpt":
		write = func(w io.Writer) error { return torch.WritePTH(w, "params", tensors) }
	case ".safetensors":
		text, err := yaml.Marshal(c.Info.Network)
		if err != nil {
			return err
		}
		write = func(w io.Writer) error {
			return torch.WriteSafetensors(w, tensors, map[string]string{networkMetadata: string(text)})
		}
	case "":
		return errors.New("the name of the output has no extension: end it in .pth or .safetensors")
	default:
		return fmt.Errorf("weights cannot be written as %s: end the name in .pth or .safetensors", extension)
	}
	if err := atomicfile.Write(path, 0o644, write); err != nil {
		return fmt.Errorf("cannot write the weights: %w", err)
	}
	return nil
}
