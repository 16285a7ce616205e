package show

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/dcpt"
)

func TestTraining(t *testing.T) {
	run := &dcpt.Run{Stage: dcpt.StagePretrain, Dir: t.TempDir()}
	done, err := Training(run) // before the folder exists
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run.Dir, run.Stage, "metrics.csv")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	table := "step,loss_pixel,loss_classify,accuracy,grad_norm\n1,0.5,1.5,0.25,3\n2,0.25,1.25,0.5,2\n"
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if err := done(); err != nil {
		t.Errorf("called again: %v", err)
	}
	drawn, err := curves(run)
	if err != nil {
		t.Fatal(err)
	}
	if len(drawn) != 2 {
		t.Fatalf("%d charts, want the losses and the accuracy", len(drawn))
	}
	if losses, accuracy := drawn[0].Series, drawn[1].Series; len(losses) != 2 || !slices.Equal(losses[0].Y, []float64{0.5, 0.25}) ||
		len(accuracy) != 1 || !slices.Equal(accuracy[0].Y, []float64{0.25, 0.5}) {
		t.Errorf("losses %+v, accuracy %+v", losses, accuracy)
	}
}

func TestCurvesOfFineTuning(t *testing.T) {
	run := &dcpt.Run{Stage: dcpt.StageFinetune, Dir: t.TempDir()}
	path := filepath.Join(run.Dir, run.Stage, "metrics.csv")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	table := "step,loss_pixel,grad_norm,lr,val_psnr,val_ssim\n1,-0.2,3,1e-3,,\n2,-0.25,2,1e-3,21,0.5\n" // PSNRLoss
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	drawn, err := curves(run)
	if err != nil {
		t.Fatal(err)
	}
	if len(drawn) != 2 || !slices.Equal(drawn[1].Series[0].Y, []float64{21}) {
		t.Errorf("charts %+v, want the loss and the PSNR", drawn)
	}
	if drawn[0].LogY {
		t.Error("negative losses on a logarithmic axis, which cannot show them")
	}
}

func TestTrainingReportsABrokenTable(t *testing.T) {
	run := &dcpt.Run{Stage: dcpt.StagePretrain, Dir: t.TempDir()}
	done, err := Training(run)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run.Dir, run.Stage, "metrics.csv")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("not a table of metrics\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := done(); err == nil {
		t.Error("no error")
	}
}
