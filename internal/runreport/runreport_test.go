package runreport

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/dcpt/metrics"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/report"
)

func TestWords(t *testing.T) {
	for seconds, want := range map[float64]string{0.25: "0.2 s", 59.94: "59.9 s", 250: "4 min 10 s", 7384: "2 h 3 min"} {
		if got := Duration(seconds); got != want {
			t.Errorf("%g seconds: %s, want %s", seconds, got, want)
		}
	}
	for n, want := range map[int]string{7: "7", 999: "999", 1000: "1 000", 67888835: "67 888 835"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	b := &backend.Backend{Kind: "xla:cuda", Devices: []string{"NVIDIA H100"}, PJRTVersion: "0.81", Source: "found"}
	if got, want := Backend(b), "backend xla:cuda on NVIDIA H100, PJRT 0.81 (found)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := Device(&backend.Backend{Kind: "go"}); !strings.HasSuffix(got, " cores") {
		t.Error(got)
	}
}

// What the page says of sets with a patch of their own, and of files that were skipped.
func TestDataFacts(t *testing.T) {
	r := &dcpt.Recipe{Data: dcpt.Data{Train: []dcpt.Set{{Name: "a"}, {Name: "b", Patch: 128}, {Name: "c"}, {Name: "d", Patch: 64}}}}
	if got := patches(r, dcpt.StageConfig{Patch: 64}); got != "64, 128" {
		t.Errorf("patches of %s", got)
	}
	skipped := []string{"a", "b", "c", "d", "e", "f", "g"}
	if got := skippedFiles(skipped[:5]); got != "a, b, c, d, e" {
		t.Error(got)
	}
	if got := skippedFiles(skipped); got != "a, b, c, d, e, and 2 more, which log.txt names" {
		t.Error(got)
	}
}

func TestCurves(t *testing.T) {
	dir := t.TempDir()
	for stage, text := range map[string]string{
		dcpt.StagePretrain: "step,loss_pixel,loss_classify,accuracy,grad_norm,grad_norm_classifier,lr,lr_classifier,val_accuracy\n1,0.5,1.6,0.2,1,1,1e-3,1e-3,\n2,0.4,1.5,0.4,1,1,1e-3,1e-3,0.5\n",
		dcpt.StageFinetune: "step,loss_pixel,grad_norm,lr,val_psnr,val_ssim\n1,0.5,1,1e-3,,\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, stage), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, stage, "metrics.csv"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		stage  string
		curves func(dir, stage string) ([]report.Curve, error)
		want   []string
	}{
		{dcpt.StagePretrain, Curves, []string{"Pre-training: losses 2", "Pre-training: accuracy of the classifier 2", "Pre-training: gradient norm 2", "Pre-training: learning rate 2"}},
		{dcpt.StageFinetune, Curves, []string{"Fine-tuning: losses 1", "Fine-tuning: gradient norm 1", "Fine-tuning: learning rate 1"}},
		{dcpt.StageFinetune, MainCurves, []string{"Fine-tuning: losses 1"}},
	} {
		curves, err := test.curves(dir, test.stage)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range curves {
			got = append(got, c.Title+" "+Thousands(len(c.Series)))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.stage, got, test.want)
		}
	}
	// The PSNR loss is negative: no logarithmic axis can show it.
	for text, log := range map[string]bool{"0.5": true, "-0.2": false} {
		text = "step,loss_pixel\n1,0.5\n2," + text + "\n"
		if err := os.WriteFile(filepath.Join(dir, dcpt.StageFinetune, "metrics.csv"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if curves, err := Curves(dir, dcpt.StageFinetune); err != nil || curves[0].LogY != log {
			t.Errorf("%q: %+v, %v", text, curves, err)
		}
	}
	if _, err := Curves(dir, "nothing"); err == nil {
		t.Error("curves of a stage that is not there")
	}
}

func TestClockGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, err := StartClock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Save(); err != nil || exists(dir) {
		t.Fatalf("the clock made the folder (%v)", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, costFile), []byte(`{"seconds": 100, "peak_memory_mb": 1e9, "processes": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	clock, err := StartClock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := clock.Save(); err != nil {
		t.Fatal(err)
	}
	cost, err := ReadCost(dir)
	if err != nil || cost.Seconds < 100 || cost.PeakMemoryMB != 1e9 || cost.Processes != 3 {
		t.Errorf("cost %+v, %v", cost, err)
	}
	if err := os.WriteFile(filepath.Join(dir, costFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := StartClock(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a broken file: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// evaluation is a result with two sets, one of which was restored perfectly.
func evaluation() *dcpt.Evaluation {
	return &dcpt.Evaluation{
		Images: []dcpt.ImageScore{{Set: "rain", Name: "a,b.png", PSNRDegraded: 20, PSNRRestored: 30, SSIMDegraded: 0.5, SSIMRestored: 0.75, Predicted: "haze"}},
		Sets: []dcpt.SetScore{
			{Name: "rain", Images: 1, PSNRDegraded: 20, PSNRRestored: 30, SSIMDegraded: 0.5, SSIMRestored: 0.75},
			{Name: "haze", Images: 12, PSNRDegraded: 20, PSNRRestored: math.Inf(1), SSIMDegraded: 0.5, SSIMRestored: 1},
		},
	}
}

func TestWriteTable(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTable(&b, Results("", evaluation()), "  "); err != nil {
		t.Fatal(err)
	}
	want := `  Degradation  Images  PSNR degraded  PSNR restored  PSNR gain  SSIM degraded  SSIM restored  SSIM gain
  rain              1          20.00          30.00     +10.00         0.5000         0.7500    +0.2500
  haze             12          20.00              ∞         +∞         0.5000         1.0000    +0.5000
  Mean             13          20.00              ∞         +∞         0.5000         0.8750    +0.3750
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestCSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.csv")
	for _, test := range []struct {
		write func(string, *dcpt.Evaluation) error
		want  string
	}{
		{WriteSetsCSV, "set,images,psnr_degraded,psnr_restored,ssim_degraded,ssim_restored\nrain,1,20.000000,30.000000,0.500000,0.750000\nhaze,12,20.000000,+Inf,0.500000,1.000000\nmean,13,20.000000,+Inf,0.500000,0.875000\n"},
		{WriteImagesCSV, "set,image,psnr_degraded,psnr_restored,ssim_degraded,ssim_restored,classified_as\nrain,\"a,b.png\",20.000000,30.000000,0.500000,0.750000,haze\n"},
	} {
		if err := test.write(path, evaluation()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
			t.Errorf("got %s (%v), want %s", got, err, test.want)
		}
	}
	if err := WriteSetsCSV(filepath.Join(path, "below"), evaluation()); err == nil {
		t.Error("a file was written below a file")
	}
}

func TestFigure(t *testing.T) {
	text, err := json.Marshal([]Figure{1.5, Figure(math.Inf(1)), Figure(math.NaN())})
	if err != nil || string(text) != "[1.5,null,null]" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestProtocol(t *testing.T) {
	facts := Protocol(metrics.Options{Y: true, CropBorder: 4}, &dcpt.NAFNet{EncBlocks: []int{1, 1}})
	var text []string
	for _, f := range facts {
		text = append(text, f.Name+" "+f.Value)
	}
	for _, want := range []string{"channel Y", "crop 4 pixels at each side", "rounding clamped", "decoder 8-bit RGB as OpenCV", "multiple of 4"} {
		if !strings.Contains(strings.Join(text, "\n"), want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if Confusion(evaluation()) != nil {
		t.Error("a matrix of nothing")
	}
}
