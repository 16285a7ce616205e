package dcpt

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// savedModel writes a small checkpoint, with a description of everything, and returns its path.
func savedModel(t testing.TB) string {
	t.Helper()
	m := testModel(t)
	config, err := ConfigOf(m.Network)
	must(t, err)
	path := filepath.Join(t.TempDir(), checkpointDir, checkpointName(7)) // the folder is made
	must(t, saveCheckpoint(path, m.store, []string{NetworkScope, ClassifierScope}, CheckpointInfo{
		Recipe: "tiny: \"one\"", Stage: StagePretrain, Iteration: 7, Finished: true,
		Network: config, Classifier: m.Classifier, Classes: m.Info.Classes,
		Best: &BestScore{Value: math.Inf(1), Iteration: 3}, Unrecorded: map[string]float64{columnPixel: 0.1, columnLR: 1e-30},
	}))
	return path
}

func TestCheckpointDescription(t *testing.T) {
	c, err := ReadCheckpoint(savedModel(t))
	must(t, err)
	classifier := Classifier{FeatureDims: []int{4, 8}, Blocks: 1, Classes: 3}
	config := c.Info.Network
	want := CheckpointInfo{
		Recipe: "tiny: \"one\"", Stage: "pretrain", Iteration: 7, Finished: true,
		Network: config, Classifier: &classifier, Classes: []string{"noise", "rain", "haze"},
		Best: &BestScore{Value: math.Inf(1), Iteration: 3}, Unrecorded: map[string]float64{"loss_pixel": 0.1, "lr": 1e-30},
	}
	if !reflect.DeepEqual(c.Info, want) {
		t.Errorf("%+v, want %+v", c.Info, want)
	}
	if network, err := NewNetwork(config); err != nil || !reflect.DeepEqual(classifier.FeatureDims, Classifier{}.Complete(network, 3).FeatureDims) {
		t.Errorf("network %v (%v)", config, err)
	}
}

// Whatever bit of a checkpoint flips, in the tensors, their names or the description: it is noticed, or
// (a header's key in capitals) changes nothing.
func TestCheckpointBitFlips(t *testing.T) {
	path := savedModel(t)
	want, err := ReadCheckpoint(path)
	must(t, err)
	good, err := os.ReadFile(path)
	must(t, err)
	header := bytes.IndexByte(good[8:], 0) // past the JSON, in the numbers
	positions := []int{0, 3, 7, 8, len(good) - 1}
	for i := 0; i < header; i += 29 {
		positions = append(positions, 8+i)
	}
	for i := range 40 {
		positions = append(positions, 8+header+i*(len(good)-8-header)/40)
	}
	for i, at := range positions {
		damaged := bytes.Clone(good)
		damaged[at] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, damaged, 0o644))
		if c, err := ReadCheckpoint(path); err == nil && !reflect.DeepEqual(c, want) {
			t.Errorf("bit %d of byte %d of %d flipped unnoticed: %q became %q", i%8, at, len(good), good[at], damaged[at])
		} else if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
}

func TestCheckpointTruncated(t *testing.T) {
	path := savedModel(t)
	good, err := os.ReadFile(path)
	must(t, err)
	for length, want := range map[int]string{
		0: "is empty", 5: "is in no known format", 8: "is in no known format",
		100: "truncated", len(good) / 2: "truncated", len(good) - 1: "truncated",
	} {
		must(t, os.WriteFile(path, good[:length], 0o644))
		_, err := Load(backendtest.Go(t), path)
		wantError(t, err, path, want)
	}
	must(t, os.WriteFile(path, append(good, 0), 0o644))
	_, err = Load(backendtest.Go(t), path)
	wantError(t, err, path, "belong to none")
}

// Files that are something else.
func TestNotACheckpoint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "weights")
	for content, want := range map[string]string{
		"":                           "is empty",
		"<html>404</html> not found": "is a web page, not weights",
		"PK\x03\x04 a zip, as PyTorch's files are": "is a zip archive that is cut short or damaged",
	} {
		must(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := Load(backendtest.Go(t), path)
		wantError(t, err, path, want)
	}
	_, err := ReadCheckpoint(dir)
	wantError(t, err, dir)
	for _, official := range paritytest.Cases(t, "nafnet") {
		file := filepath.Join(official, "weights.safetensors")
		if !exists(file) {
			continue
		}
		_, err := ReadCheckpoint(file)
		wantError(t, err, file, "not a checkpoint of this program", "does not say which network")
		// Bare weights, whose network is told from their shapes.
		m, err := Load(backendtest.Go(t), file)
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Info.Stage != stageImported || m.Info.Network[archKey] != "nafnet" {
			t.Errorf("%s: %+v", file, m.Info)
		}
		m.Close()
	}
}

// A checkpoint whose weights are not those of its own description, or not of the run's.
func TestCheckpointOfAnotherNetwork(t *testing.T) {
	path := savedModel(t)
	backend := backendtest.Go(t)
	change := func(t *testing.T, edit func(c *Checkpoint)) *Checkpoint {
		c, err := ReadCheckpoint(path)
		must(t, err)
		edit(c)
		return c
	}
	for _, test := range []struct {
		name string
		edit func(c *Checkpoint)
		want string
	}{
		{"wider", func(c *Checkpoint) { c.Info.Network["width"] = 6 }, `weights of another network: tensor "decoder0.0.beta" is [1 8 1 1], the network needs [1 12 1 1]`},
		{"deeper", func(c *Checkpoint) { c.Info.Network["middle_blocks"] = 2 }, `weights of another network: tensor "middle_blks.1.beta" is missing`},
		{"shallower", func(c *Checkpoint) { c.Info.Network["middle_blocks"] = 0 }, `weights of another network: tensor "middle_blks.0.beta" is in the file, the network has none of that name`},
		{"classifier", func(c *Checkpoint) { c.Info.Classifier.Classes = 4 }, `classifier: weights of another network: tensor "fc.bias" is [3], the network needs [4]`},
		{"unknown architecture", func(c *Checkpoint) { c.Info.Network["arch"] = "unet" }, `unknown network architecture "unet"`},
		{"impossible", func(c *Checkpoint) { c.Info.Network["width"] = -1 }, "width is -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := change(t, test.edit).model(backend)
			wantError(t, err, path, test.want)
		})
	}

	network, err := NewNetwork(smallNetworks["nafnet"][0])
	must(t, err)
	weight := "middle_blks.0.conv3.weight"
	for _, test := range []struct {
		name string
		edit func(c *Checkpoint)
		want string
	}{
		{"weights", func(c *Checkpoint) { delete(c.Tensors, "net_g."+weight) }, fmt.Sprintf("tensor %q is missing", weight)},
		{"average of nothing", func(c *Checkpoint) { c.Tensors["ema.net_g.more"] = torch.Float32Tensor([]float32{1}, 1) }, "net_g.more belongs to no weight of the network"},
		{"moment of another size", func(c *Checkpoint) { c.Tensors["optim.m.net_g."+weight] = torch.Float32Tensor([]float32{1}, 1) }, `tensor "optim.m.net_g.middle_blks.0.conv3.weight" is [1], its weight [1 1 16 16]`},
	} {
		t.Run("resumed with other "+test.name, func(t *testing.T) {
			store := model.NewStore()
			must(t, InitNetwork(backend, store, NetworkScope, network))
			wantError(t, change(t, test.edit).restoreState(store), path, test.want)
		})
	}
}

// What was there stays where a checkpoint cannot be written.
func TestSaveCheckpointFails(t *testing.T) {
	path := savedModel(t)
	before, err := os.ReadFile(path)
	must(t, err)
	m := testModel(t)
	below := filepath.Join(path, "below.safetensors") // a file is no folder
	err = saveCheckpoint(below, m.store, []string{NetworkScope}, CheckpointInfo{})
	wantError(t, err, "cannot save the checkpoint", path)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}
