package quickstart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/runreport"
)

// tiny are options for a network of a few weights on small pictures: the pure Go backend does it all
// in a second or two.
func tiny(t *testing.T, w *bytes.Buffer) Options {
	t.Helper()
	pictures := t.TempDir()
	for p := range 3 {
		im := imageio.New(40+p, 32)
		for i := range im.Pix {
			x, y := i/3%im.W, i/3/im.W
			im.Pix[i] = float32(0.5 + 0.4*math.Sin(float64(x*(i%3+1)+y+p)/3))
		}
		if err := imageio.Write(filepath.Join(pictures, fmt.Sprintf("p%d.png", p)), im); err != nil {
			t.Fatal(err)
		}
	}
	settings := []string{"network={arch: nafnet, width: 4, enc_blocks: [1], dec_blocks: [1]}"}
	for i := range 5 {
		settings = append(settings, fmt.Sprintf("data.train.%d.images=%s", i, pictures), fmt.Sprintf("data.test.%d.images=%s", i, pictures))
	}
	for _, stage := range []string{dcpt.StagePretrain, dcpt.StageFinetune} {
		settings = append(settings, stage+".steps=2", stage+".batch=2", stage+".patch=16", stage+".schedule={}")
	}
	return Options{
		Out: filepath.Join(t.TempDir(), "run"), Settings: settings, W: w,
		Backend: &backend.Backend{Backend: backendtest.Go(t), Kind: "go"},
	}
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRun(t *testing.T) {
	var said bytes.Buffer
	opts := tiny(t, &said)
	opts.Program = "go run ./cmd/godcpt"
	if err := Run(t.Context(), opts); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for _, want := range []string{
		"backend go on", "1. Pre-training: the network learns to tell noise, rain, haze, blur and lowlight apart", "Of 15 unseen images",
		"2. Fine-tuning", "3. Restoring", "PSNR restored", "Took ", "Written to " + opts.Out, "go run ./cmd/godcpt restore PHOTOS -o restored -w " + opts.Out,
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("not said: %q in\n%s", want, said.String())
		}
	}
	checkSummary(t, read(t, opts.Out, summaryFile))
	page := string(read(t, opts.Out, runreport.File))
	for _, want := range []string{"DCPT quickstart", "Results on unseen images", "Before and after", "Ground truth", "Pre-training: losses", "Fine-tuning: losses", "What the classifier says", "Mean gain", "rounding:"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if n := strings.Count(page, `class="swap"`); n != 5 {
		t.Errorf("%d pairs with a ground truth, want one of each degradation", n)
	}
	if got := strings.Count(string(read(t, opts.Out, csvFile)), "\n"); got != 7 { // header, five, mean
		t.Errorf("%d lines of results", got)
	}
	if got := strings.Count(string(read(t, opts.Out, imagesFile)), "\n"); got != 16 {
		t.Errorf("%d lines of images", got)
	}
	// Each degradation shows another photo; the rendered rain came degraded.
	examples, err := filepath.Glob(filepath.Join(opts.Out, examplesDir, "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range examples {
		examples[i] = filepath.Base(examples[i])
	}
	if want := []string{"blur-p2.png", "haze-p1.png", "lowlight-p0.png", "noise-p2.png", "overview.png", "rain-002.png", "rain-p0.png"}; !slices.Equal(examples, want) {
		t.Errorf("examples %v, want %v", examples, want)
	}
}

// checkSummary checks that summary.json has the agreed keys and sensible values.
func checkSummary(t *testing.T, text []byte) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if keys, want := slices.Sorted(maps.Keys(got)), []string{"backend", "classifier_accuracy", "degradations", "peak_memory_mb", "seconds"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	degradations := got["degradations"].(map[string]any)
	if names, want := slices.Sorted(maps.Keys(degradations)), []string{"blur", "haze", "lowlight", "noise", "rain"}; !slices.Equal(names, want) {
		t.Errorf("degradations %v, want %v", names, want)
	}
	for name, scores := range degradations {
		for _, key := range []string{"psnr_degraded", "psnr_restored", "ssim_degraded", "ssim_restored"} {
			if v, ok := scores.(map[string]any)[key].(float64); !ok || v == 0 {
				t.Errorf("%s of %s: %v", key, name, v)
			}
		}
	}
	accuracy, seconds := got["classifier_accuracy"].(float64), got["seconds"].(float64)
	if accuracy < 0 || accuracy > 1 || seconds <= 0 || got["backend"] != "go" {
		t.Errorf("accuracy %v, %v seconds, backend %v", accuracy, seconds, got["backend"])
	}
}

func TestRunAgain(t *testing.T) {
	var said bytes.Buffer
	opts := tiny(t, &said)
	if err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	summary := read(t, opts.Out, summaryFile)
	said.Reset()
	if err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Done in an earlier run: loaded from", "from an earlier run in this folder", "PSNR restored"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("not said: %q in\n%s", want, said.String())
		}
	}
	if !bytes.Equal(summary, read(t, opts.Out, summaryFile)) {
		t.Error("the summary was written again")
	}

	// What is missing is made again, and only that.
	if err := os.Remove(filepath.Join(opts.Out, runreport.File)); err != nil {
		t.Fatal(err)
	}
	said.Reset()
	if err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if text := said.String(); strings.Contains(text, "classifying") || !strings.Contains(text, "restoring") || len(read(t, opts.Out, runreport.File)) == 0 {
		t.Errorf("said:\n%s", text)
	}
}

// cancelAt cancels a context when a text is written.
type cancelAt struct {
	*bytes.Buffer
	text   string
	cancel func()
}

func (c cancelAt) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.Buffer.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestRunGoesOnAfterAnInterruption(t *testing.T) {
	for _, at := range []string{"1. Pre", "classifying", "2. Fine", "3. Restoring"} {
		t.Run(at, func(t *testing.T) {
			var said bytes.Buffer
			opts := tiny(t, &said)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts.W = cancelAt{&said, at, cancel}
			if err := Run(ctx, opts); !errors.Is(err, dcpt.ErrInterrupted) {
				t.Fatalf("error %v\n%s", err, said.String())
			}
			opts.W = &said
			if err := Run(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
			checkSummary(t, read(t, opts.Out, summaryFile))
			if cost, err := runreport.ReadCost(opts.Out); err != nil || cost.Processes != 2 {
				t.Errorf("cost %+v, %v", cost, err)
			}
		})
	}
}

func TestRunRefusesWrongSettings(t *testing.T) {
	var said bytes.Buffer
	opts := tiny(t, &said)
	opts.Settings = append(opts.Settings, "finetune.stepz=3")
	if err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), `did you mean "steps"?`) {
		t.Errorf("error %v", err)
	}
	if exists(opts.Out) {
		t.Error("a folder was made")
	}
}

// The overview shows where there is something to see.
func TestDetailed(t *testing.T) {
	im := imageio.New(3*overviewSide, 2*overviewSide)
	for y := overviewSide; y < im.H; y++ {
		for x := 2 * overviewSide; x < im.W; x += 2 {
			im.Pix[(y*im.W+x)*3] = 1
		}
	}
	if got, want := detailed(im), image.Rect(2*overviewSide, overviewSide, 3*overviewSide, 2*overviewSide); got != want {
		t.Errorf("part %v, want %v", got, want)
	}
	if got, want := detailed(imageio.New(10, 500)), image.Rect(0, 0, 10, overviewSide); got != want {
		t.Errorf("part of a narrow image: %v, want %v", got, want)
	}
}
