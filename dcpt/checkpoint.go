package dcpt

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/atomicfile"
)

// A checkpoint is one safetensors file: the weights ("net_g.…", "net_dc.…", "ema.net_g.…") and, in
// those of a running stage, the optimizer's moments ("optim.m.…", "optim.v.…"), all with PyTorch's
// names and layout; what it is of stands in the file's metadata, with a checksum of the tensors.

// CheckpointInfo says what a checkpoint is of.
type CheckpointInfo struct {
	Recipe     string        `yaml:"recipe"`
	Stage      string        `yaml:"stage"`
	Iteration  int           `yaml:"iteration"`  // iterations done
	Finished   bool          `yaml:"finished"`   // the stage ended
	Network    NetworkConfig `yaml:"network"`    // in full
	Classifier *Classifier   `yaml:"classifier"` // nil if there is none
	Classes    []string      `yaml:"classes"`    // names of the degradations, in the order of the labels
	Best       *BestScore    `yaml:"best,omitempty"`

	// Skipped are the damaged files of the training sets that were found so far. Weights to use do not
	// name them.
	Skipped []datasets.Skipped `yaml:"skipped,omitempty"`

	// Unrecorded are the figures of the last iteration, by column of metrics.csv, where the run was
	// interrupted before they were written: during the validation that belongs to them.
	Unrecorded map[string]float64 `yaml:"unrecorded,omitempty"`
}

// BestScore is the best validation score of a stage.
type BestScore struct {
	Value     float64 `yaml:"value"` // PSNR in dB, or accuracy 0 to 1 where images are classified only
	Iteration int     `yaml:"iteration"`
}

const (
	infoKey        = "godcpt"
	checksumKey    = "crc32c"
	checkpointGlob = "step-*.safetensors"
)

func checkpointName(iteration int) string { return fmt.Sprintf("step-%08d.safetensors", iteration) }

// Checkpoint is the content of a checkpoint file.
type Checkpoint struct {
	Path    string
	Info    CheckpointInfo
	Tensors map[string]torch.Tensor // by their full names
}

// saveCheckpoint writes the variables of the store below the scopes, atomically. A failed write leaves
// an existing file as it was.
func saveCheckpoint(path string, store *model.Store, scopes []string, info CheckpointInfo) error {
	content := map[string]torch.Tensor{}
	for _, scope := range scopes {
		for v := range store.Scope(scope).IterVariables() {
			tensor, err := exportVariable(v)
			if err != nil {
				return err
			}
			content[torch.Name(v.Path())] = tensor
		}
	}
	text, err := yaml.Marshal(info)
	if err != nil {
		return err
	}
	metadata := map[string]string{infoKey: string(text), checksumKey: checksum(string(text), content)}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot save the checkpoint: %w", err)
	}
	err = atomicfile.Write(path, 0o644, func(w io.Writer) error { return torch.WriteSafetensors(w, content, metadata) })
	if err != nil {
		return fmt.Errorf("cannot save the checkpoint (earlier ones are kept): %w", err)
	}
	return nil
}

// checksum is the CRC-32C of the description and of all tensors in the order of their names.
func checksum(description string, content map[string]torch.Tensor) string {
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	io.WriteString(hash, description)
	for _, name := range sortedKeys(content) {
		io.WriteString(hash, name)
		hash.Write(content[name].Data)
	}
	return strconv.FormatUint(uint64(hash.Sum32()), 16)
}

// ReadCheckpoint reads and verifies a checkpoint file.
func ReadCheckpoint(path string) (*Checkpoint, error) {
	content, metadata, err := torch.ReadSafetensors(path)
	if err != nil {
		return nil, err
	}
	text, ok := metadata[infoKey]
	if !ok {
		return nil, fmt.Errorf("%s is a safetensors file, but not a checkpoint of this program: it does not say which network it is of", path)
	}
	if want := metadata[checksumKey]; want != checksum(text, content) {
		return nil, fmt.Errorf("%s is corrupt: its checksum is wrong; use another checkpoint", path)
	}
	c := &Checkpoint{Path: path, Tensors: content}
	if err := yaml.Unmarshal([]byte(text), &c.Info); err != nil {
		return nil, fmt.Errorf("%s: its description cannot be read: %w", path, err)
	}
	return c, nil
}

// Weights returns the tensors below a scope ("/net_g"), named as within it.
func (c *Checkpoint) Weights(scope string) Weights {
	prefix := torch.Name(scope) + "."
	weights := Weights{}
	for name, tensor := range c.Tensors {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			weights[short] = tensor
		}
	}
	return weights
}

// bestWeights returns the weights to use below a scope: their moving average if there is one.
func (c *Checkpoint) bestWeights(scope string) Weights {
	if average := c.Weights(emaPrefix + scope); len(average) > 0 {
		return average
	}
	return c.Weights(scope)
}

// restoreState puts everything of the checkpoint that the store has variables for back into it, and
// creates the moments and averages that it does not have yet.
func (c *Checkpoint) restoreState(store *model.Store) error {
	for _, scope := range []string{NetworkScope, ClassifierScope} {
		if store.Scope(scope).NumVariables() == 0 {
			continue
		}
		if err := ImportWeights(store, scope, c.Weights(scope)); err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	for _, scope := range []string{emaPrefix, firstMomentScope, secondMomentScope} {
		for name, tensor := range c.Weights(scope) {
			path := scope + "/" + torch.Path(name)
			weight := store.GetVariable("/" + torch.Path(name))
			if weight == nil {
				return fmt.Errorf("%s: %s belongs to no weight of the network", c.Path, name)
			}
			flat, err := tensor.Float32()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.Path, name, err)
			}
			values, dims, err := torch.FromTorch(flat, tensor.Shape)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.Path, name, err)
			}
			if !slices.Equal(dims, weight.Shape().Dimensions) {
				return fmt.Errorf("%s: tensor %q is %v, its weight %v", c.Path, torch.Name(scope)+"."+name, dims, weight.Shape().Dimensions)
			}
			v := store.GetVariable(path)
			if v == nil {
				if v, err = store.CreateVariable(path, tensors.FromFlatDataAndDimensions(values, dims...)); err != nil {
					return err
				}
			} else if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, dims...)); err != nil {
				return err
			}
			v.SetTrainable(false)
		}
	}
	return nil
}

// checkpoints lists the checkpoint files of a folder, newest first.
func checkpoints(dir string) []string {
	entries, _ := os.ReadDir(dir) // none if there is no folder
	var files []string
	for _, e := range slices.Backward(entries) { // ReadDir sorts by name
		if ok, _ := path.Match(checkpointGlob, e.Name()); ok { // the pattern is valid
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// latestCheckpoint reads the newest checkpoint of a folder that is sound; nil if there is none. What
// is wrong with newer ones is reported through warn.
func latestCheckpoint(dir string, warn func(string)) (*Checkpoint, error) {
	files := checkpoints(dir)
	var problems []error
	for _, file := range files {
		c, err := ReadCheckpoint(file)
		if err == nil {
			return c, nil
		}
		problems = append(problems, err)
		warn(fmt.Sprintf("checkpoint passed over: %v", err))
	}
	if len(files) > 0 {
		return nil, fmt.Errorf("no checkpoint in %s can be read; move the folder away to start anew: %w", dir, errors.Join(problems...))
	}
	return nil, nil
}

// pruneCheckpoints removes all but the newest ones up to an iteration. Later ones are those that were
// passed over because they cannot be read: they must not push out good ones.
func pruneCheckpoints(dir string, iteration, keep int) error {
	files := slices.DeleteFunc(checkpoints(dir), func(file string) bool {
		return filepath.Base(file) > checkpointName(iteration)
	})
	for _, file := range files[min(keep, len(files)):] {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("cannot remove an old checkpoint: %w", err)
		}
	}
	return nil
}
