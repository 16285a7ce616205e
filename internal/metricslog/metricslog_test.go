package metricslog

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var columns = []string{"loss", "accuracy"}

// open opens a log that flushes every two rows.
func open(t *testing.T, path string, last int) *Log {
	t.Helper()
	l, err := Open(path, columns, last, 2)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, l *Log, from, to int, loss float64) {
	t.Helper()
	for step := from; step <= to; step++ {
		row := map[string]float64{"loss": loss}
		if step%2 == 0 {
			row["accuracy"] = 0.5
		}
		if err := l.Append(step, row); err != nil {
			t.Fatal(err)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestResumeHasEachStepOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.csv")
	killed := open(t, path, -1)
	write(t, killed, 1, 5, 0.25) // step 5 is not flushed yet: the kill takes it
	if err := os.WriteFile(path, []byte(content(t, path)+"5,0.2"), 0o644); err != nil {
		t.Fatal(err) // and leaves half a row of an earlier one
	}

	l := open(t, path, 3)
	write(t, l, 4, 6, 0.1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := `step,loss,accuracy
1,0.25,
2,0.25,0.5
3,0.25,
4,0.1,0.5
5,0.1,
6,0.1,0.5
`
	if got := content(t, path); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	if err := open(t, path, -1).Close(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "step,loss,accuracy\n" {
		t.Errorf("a run from the beginning starts with %q", got)
	}
}

func TestAppendRejects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.csv")
	l := open(t, path, -1)
	write(t, l, 7, 7, 1)
	tests := []struct {
		name string
		step int
		row  map[string]float64
		want string
	}{
		{"same step", 7, nil, "step 7 come after those of step 7"},
		{"earlier step", 6, nil, "step 6 come after those of step 7"},
		{"unknown column", 8, map[string]float64{"loss": 1, "psnr": 2, "a": 3}, `no column for ["a" "psnr"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := l.Append(tt.step, tt.row); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path, 9)
	if err := l.Append(7, nil); err == nil {
		t.Error("a resumed log forgot its last step")
	}
}

func TestOpenRejects(t *testing.T) {
	tests := []struct {
		name    string
		old     string
		columns []string
		want    string
	}{
		{"other columns", "step,loss,psnr\n", columns, "step,loss,psnr"},
		{"not a row", "step,loss,accuracy\n1,2,3\nx,2,3\n", columns, "line 3"},
		{"comma", "", []string{"a,b"}, `"a,b"`},
		{"empty name", "", []string{""}, `""`},
		{"twice", "", []string{"a", "a"}, "twice"},
		{"step", "", []string{"step"}, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metrics.csv")
			if err := os.WriteFile(path, []byte(tt.old), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, tt.columns, 10, 1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
			if got := content(t, path); got != tt.old {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}

func TestReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.csv")
	l := open(t, path, -1)
	values := []float64{float64(float32(0.1)), 0.1, 1e-12, math.NaN(), math.Inf(1), 123456789}
	for i, v := range values {
		if err := l.Append(10*i, map[string]float64{"accuracy": v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	table, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(table.Columns, columns) {
		t.Errorf("columns %q, want %q", table.Columns, columns)
	}
	steps, got := table.Series("accuracy")
	if !slices.Equal(steps, []float64{0, 10, 20, 30, 40, 50}) {
		t.Errorf("steps %v", steps)
	}
	for i, v := range values { // the shortest form reads back as the same 32-bit number
		if float32(got[i]) != float32(v) && !(math.IsNaN(got[i]) && math.IsNaN(v)) {
			t.Errorf("value %d reads back as %v, want %v", i, got[i], v)
		}
	}
	for _, column := range []string{"loss", "not there"} {
		if steps, _ := table.Series(column); len(steps) != 0 {
			t.Errorf("column %q has values at %v, want none", column, steps)
		}
	}
	if first := strings.Split(content(t, path), "\n")[1]; first != "0,,0.1" {
		t.Errorf("first row %q: a 32-bit value should need no more digits than its own", first)
	}
}

func TestReadRejects(t *testing.T) {
	for name, data := range map[string]string{
		"empty":          "",
		"other file":     "a,b\n",
		"too few cells":  "step,a\n1\n",
		"not a number":   "step,a\n1,x\n",
		"step no number": "step,a\nx,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metrics.csv")
			if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error = %v, want one that names the file", err)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want that there is no such file", err)
	}
}
