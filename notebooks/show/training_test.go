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
	shown, err := curves(run)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 2 {
		t.Fatalf("%d charts, want the losses and the accuracy", len(shown))
	}
	if losses, accuracy := shown[0].Series, shown[1].Series; len(losses) != 2 || !slices.Equal(losses[0].Y, []float64{0.5, 0.25}) ||
		len(accuracy) != 1 || !slices.Equal(accuracy[0].Y, []float64{0.25, 0.5}) {
		t.Errorf("losses %+v, accuracy %+v", losses, accuracy)
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
