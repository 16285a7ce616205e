package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/zoo"
)

// A run becomes a file of PyTorch, which restores as the run does and becomes bare safetensors.
func TestConvert(t *testing.T) {
	pictures, run := trained(t)
	dir := t.TempDir()
	pth, bare := filepath.Join(dir, "net.pth"), filepath.Join(dir, "net.safetensors")
	call(t, "convert", run, pth).check(t, exitOK, "weights of the run quickstart, stage finetune", "")
	call(t, "convert", pth, bare).check(t, exitOK, "found    nafnet, 975 parameters, in a PyTorch file under params", "")
	call(t, "convert", pth, bare).check(t, exitFailure, "", "net.safetensors exists: choose another name, or --overwrite")
	call(t, "convert", pth, bare, "--overwrite").check(t, exitOK, "written", "")

	var restored [][]byte
	for i, weights := range []string{run, pth, bare} {
		out := filepath.Join(dir, string(rune('a'+i))+".png")
		call(t, "restore", filepath.Join(pictures, "p0.png"), "-o", out, "-w", weights).check(t, exitOK, "1 picture restored", "")
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		restored = append(restored, data)
	}
	if !slices.Equal(restored[0], restored[1]) || !slices.Equal(restored[0], restored[2]) {
		t.Error("the converted weights restore otherwise")
	}
	call(t, "eval", pth, "--lq", pictures, "--gt", pictures, "--self-ensemble", "--tile", "16", "--tile-pad", "4").check(t, exitOK, "over tiles of 16 pixels with 4 more on each side; mean of 8 flips", "evaluating")
}

func TestConvertErrors(t *testing.T) {
	_, run := trained(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.pth")
	if err := os.WriteFile(page, []byte("<!DOCTYPE html><html></html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A checkpoint that is corrupt must not become weights that look sound.
	data, err := os.ReadFile(filepath.Join(run, "finetune", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-5] ^= 0x40
	corrupt := filepath.Join(dir, "corrupt.safetensors")
	if err := os.WriteFile(corrupt, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.pth")
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{run}, exitUsage, "the weights to read, and the file to write, is missing"},
		{[]string{page, out}, exitFailure, "web page"},
		{[]string{corrupt, out}, exitFailure, "is corrupt: its checksum is wrong"},
		{[]string{corrupt, out, "--arch", "nafnet-tiny"}, exitFailure, "is a checkpoint of this program"},
		{[]string{filepath.Join(dir, "none.pth"), out}, exitFailure, "no weights at"},
		{[]string{run, filepath.Join(dir, "out.onnx")}, exitFailure, "cannot be written as .onnx"},
		{[]string{run, out, "--arch", "nafnet-6d"}, exitUsage, `unknown network preset "nafnet-6d" (did you mean "nafnet-5d"?)`},
	} {
		call(t, append([]string{"convert"}, test.args...)...).check(t, test.status, "", test.want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a failed conversion has left a file")
	}
}

func TestNetworks(t *testing.T) {
	r := call(t, "networks")
	r.check(t, exitOK, "67 888 835", "")
	for _, preset := range dcpt.Presets() {
		if !strings.Contains(r.stdout, preset) {
			t.Errorf("%s is not listed", preset)
		}
	}
	var rows []networkRow
	if err := json.Unmarshal([]byte(call(t, "networks", "--json").stdout), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(dcpt.Presets()) || rows[0].Parameters == 0 || rows[0].Features[0].Module == "" {
		t.Errorf("%+v", rows)
	}
}

// Every network that published weights are said to fit exists.
func TestWeightsFitNetworks(t *testing.T) {
	for _, w := range zoo.All() {
		if w.Preset != "" && !slices.Contains(dcpt.Presets(), w.Preset) {
			t.Errorf("%s: there is no network %s", w.Name, w.Preset)
		}
	}
}

// The stages from the command line: a classifier on a network that is there, a guided fine-tuning, the
// baseline and a single task.
func TestStages(t *testing.T) {
	pictures, run := trained(t)
	settings := tinySettings(pictures, 2)
	dir := t.TempDir()
	classifier := append([]string{"pretrain", "quickstart", "-o", filepath.Join(dir, "guide"), "--from", run}, settings...)
	classifier = append(classifier, "-s", "pretrain={method: classifier, steps: 2, batch: 2, patch: 16, classify_loss: {kind: CrossEntropyLoss}, classifier_optimizer: {lr: 1e-3}}")
	call(t, classifier...).check(t, exitOK, "report", "")
	guided := append([]string{"finetune", "quickstart", "-o", filepath.Join(dir, "guided"), "--from", run, "--guide", filepath.Join(dir, "guide")}, settings...)
	call(t, guided...).check(t, exitUsage, "", "a guide is for method guided")
	guided = append(guided, "-s", "finetune.method=guided", "-s", "finetune.classify_loss={kind: CrossEntropyLoss, weight: 0.1}")
	call(t, guided...).check(t, exitOK, "report", "")
	masked := append([]string{"pretrain", "quickstart", "-o", filepath.Join(dir, "masked")}, settings...)
	call(t, append(masked, "-s", "pretrain.method=masked")...).check(t, exitOK, "report", "")
	t.Chdir(dir)
	baseline := append([]string{"finetune", "quickstart", "--baseline"}, settings...)
	call(t, baseline...).check(t, exitOK, filepath.Join("runs", "quickstart-baseline", "finetune"), "")
	single := append([]string{"finetune", "quickstart", "--only", "rain"}, settings...)
	call(t, single...).check(t, exitOK, filepath.Join("runs", "quickstart-rain", "finetune"), "")
	call(t, append([]string{"finetune", "quickstart", "--only", "hail"}, settings...)...).check(t, exitUsage, "", `unknown degradation "hail"`)
}
