package plotpoints

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/train/metric"
	"github.com/gomlx/gomlx/ui/plot"
)

func open(t *testing.T, dir string, last int) *Writer {
	t.Helper()
	w, err := Open(dir, last, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func points(step, value float64) []plot.Point {
	return []plot.Point{
		{MetricName: "Train: loss", Short: "T/loss", MetricType: metric.LossMetricType, Step: step, Value: value},
		{MetricName: "Train: accuracy", Short: "T/acc", MetricType: metric.AccuracyMetricType, Step: step, Value: 0.8},
	}
}

func TestGoMLXReadsAResumedRun(t *testing.T) {
	dir := t.TempDir()
	killed := open(t, dir, -1)
	for step := 1.0; step <= 5; step++ {
		if err := killed.Add(points(step, 0.5)...); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, plot.TrainingPlotFileName)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"MetricName":"Tra`); err != nil { // the kill
		t.Fatal(err)
	}
	f.Close()

	w := open(t, dir, 3)
	var want []plot.Point
	for step := 1.0; step <= 3; step++ {
		want = append(want, points(step, 0.5)...)
	}
	for step := 4.0; step <= 6; step++ {
		want = append(want, points(step, 0.25)...)
		if err := w.Add(points(step, 0.25)...); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(-1)} {
		if err := w.Add(plot.Point{MetricName: "Train: loss", Step: 7, Value: v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := plot.LoadPointsFromCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("GoMLX reads\n%v\nwant\n%v", got, want)
	}
	if table := plot.NewPoints(got).String(); strings.Count(table, "0.250000") != 3 {
		t.Errorf("GoMLX's table of the points lacks some:\n%s", table)
	}

	if err := open(t, dir, -1).Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := plot.LoadPointsFromCheckpoint(dir); err != nil || len(got) != 0 {
		t.Errorf("a run from the beginning starts with %v, %v", got, err)
	}
}

func TestOpenNamesTheBadLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, plot.TrainingPlotFileName)
	if err := os.WriteFile(path, []byte("{}\nloss\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 5, 1); err == nil || !strings.Contains(err.Error(), path+", line 2") {
		t.Errorf("error = %v, want line 2 of %s", err, path)
	}
}
