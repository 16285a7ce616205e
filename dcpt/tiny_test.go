package dcpt

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt/torch"
)

// tinyYAML is a recipe with everything that a resumed run has to get right (two optimizers, a
// schedule, validation with a best score, accumulation, clipping, a moving average) on a network that
// takes milliseconds an iteration.
const tinyYAML = `
name: tiny
seed: 5
network: {arch: nafnet, width: 4, enc_blocks: [1], middle_blocks: 0, dec_blocks: [1]}
classifier: {blocks: 1}
data:
  root: %q
  train:
    - {name: noise, images: clean, degrade: {kind: noise, sigma: [15, 50]}}
    - {name: lowlight, images: clean, degrade: {kind: lowlight}}
  test:
    - {name: noise, images: unseen, degrade: {kind: noise, sigma: 25}}
    - {name: lowlight, images: unseen, degrade: {kind: lowlight}}
pretrain:
  method: dcpt
  steps: 12
  batch: 2
  patch: 16
  pixel_loss: {kind: L1Loss}
  classify_loss: {kind: FocalLoss, gamma: 2}
  optimizer: {kind: AdamW, lr: 1e-3, betas: [0.9, 0.9]}
  classifier_optimizer: {kind: Adam, lr: 2e-3}
  schedule: {kind: CosineAnnealingRestartLR, periods: [12], eta_min: [1e-6], warmup_iter: 3}
  validate_every: 3
  save_every: 2
finetune:
  method: restore
  steps: 12
  batch: 2
  accumulate: 2
  patch: 16
  pixel_loss: {kind: CharbonnierLoss, eps: 1e-6}
  optimizer: {kind: AdamW, lr: 1e-3}
  schedule: {kind: MultiStepLR, milestones: [5], gamma: 0.5}
  grad_clip: 0.05
  ema_decay: 0.9
  validate_every: 3
  save_every: 2
`

// tinyData writes clean pictures of different sizes to train on and one to test on, and returns the
// folder above theirs.
func tinyData(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for i, p := range []struct {
		folder string
		w, h   int
	}{{"clean", 20, 24}, {"clean", 33, 18}, {"clean", 16, 16}, {"unseen", 40, 30}} {
		must(t, os.MkdirAll(filepath.Join(root, p.folder), 0o755))
		must(t, imageio.Write(filepath.Join(root, p.folder, fmt.Sprintf("%d.png", i)), waves(p.w, p.h, i)))
	}
	return root
}

// waves is a smooth picture with different channels, values 0.1 to 0.9.
func waves(w, h, kind int) *imageio.Image {
	im := imageio.New(w, h)
	for y := range h {
		for x := range w {
			for c := range 3 {
				angle := 0.3*float64(x)*float64(kind+1) + 0.2*float64(y) + float64(c)
				im.Pix[(y*w+x)*3+c] = float32(0.5 + 0.4*math.Sin(angle))
			}
		}
	}
	return im
}

// tinyRecipe is tinyYAML on the pictures in root, with settings.
func tinyRecipe(t testing.TB, root string, settings ...string) *Recipe {
	t.Helper()
	r, err := ParseRecipe([]byte(tinyYAMLIn(root)), settings...)
	must(t, err)
	return r
}

func tinyYAMLIn(root string) string { return fmt.Sprintf(tinyYAML, root) }

// trainTiny runs a stage to its end and returns the folder of the stage.
func trainTiny(t testing.TB, backend compute.Backend, run *Run) string {
	t.Helper()
	m, err := run.Train(context.Background(), backend)
	must(t, err)
	m.Close()
	return run.stageDir()
}

// compareStages checks that two folders of a finished stage hold the same: every checkpoint (weights,
// averages, moments, best score) and the table of figures, byte for byte.
func compareStages(t *testing.T, got, want string) {
	t.Helper()
	names := func(dir string) []string {
		entries, err := os.ReadDir(filepath.Join(dir, checkpointDir))
		must(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, filepath.Join(checkpointDir, e.Name()))
		}
		return append(names, WeightsFile, metricsFile)
	}
	if g, w := names(got), names(want); !slices.Equal(g, w) {
		t.Errorf("files %q, want %q", g, w)
		return
	}
	for _, name := range names(want) {
		g, err := os.ReadFile(filepath.Join(got, name))
		must(t, err)
		w, err := os.ReadFile(filepath.Join(want, name))
		must(t, err)
		if !bytes.Equal(g, w) {
			t.Errorf("%s differs: %s", name, firstUnequal(filepath.Join(got, name), filepath.Join(want, name)))
		}
	}
}

// firstUnequal says where two files differ.
func firstUnequal(got, want string) string {
	if filepath.Ext(want) != ".safetensors" {
		g, _ := os.ReadFile(got)
		w, _ := os.ReadFile(want)
		return fmt.Sprintf("\n%s\nwant\n%s", g, w)
	}
	g, gotMeta, _ := torch.ReadSafetensors(got)
	w, wantMeta, _ := torch.ReadSafetensors(want)
	for _, name := range sortedKeys(w) {
		if !bytes.Equal(g[name].Data, w[name].Data) {
			return "tensor " + name
		}
	}
	return fmt.Sprintf("%v, want %v", gotMeta, wantMeta)
}

// stepsOf returns the first column of metrics.csv.
func stepsOf(t testing.TB, stageDir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(stageDir, metricsFile))
	must(t, err)
	var steps []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		step, _, _ := strings.Cut(line, ",")
		steps = append(steps, step)
	}
	return steps
}

// wantError checks that an error mentions every text.
func wantError(t testing.TB, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q, want %q in it", err, text)
		}
	}
}
