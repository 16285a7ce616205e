// Package plotpoints writes the points that GoMLX's own tools plot: the file
// training_plot_points.json beside a checkpoint, one JSON object per line, read by
// plot.LoadPoints and by `gomlx_checkpoints -metrics` and `-plot`.
package plotpoints

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"

	"github.com/gomlx/gomlx/ui/plot"

	"github.com/godcpt/godcpt/internal/metricslog/linefile"
)

// Writer appends points to the file of one folder. Its methods may be called from several
// goroutines.
type Writer struct {
	file *linefile.File
}

// Open opens the file of the checkpoint folder dir for a run that goes on after step last. Points of
// later steps are dropped, for the run will do these steps again; last -1 drops all. Points are
// handed to the operating system every so many points.
func Open(dir string, last, every int) (*Writer, error) {
	file, err := linefile.Open(filepath.Join(dir, plot.TrainingPlotFileName), every, func(_ int, line string) (bool, error) {
		if last < 0 {
			return false, nil
		}
		var p plot.Point
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return false, fmt.Errorf("not a plot point (%w); repair the line or move the file away", err)
		}
		return p.Step <= float64(last), nil
	})
	if err != nil {
		return nil, err
	}
	return &Writer{file}, nil
}

// Add appends points, which must come in the order of their steps. Values that are not finite are
// left out, as GoMLX does: JSON cannot express them.
func (w *Writer) Add(points ...plot.Point) error {
	for _, p := range points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		line, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("cannot write the plot point %q of step %g: %w", p.MetricName, p.Step, err)
		}
		if err := w.file.Append(string(line)); err != nil {
			return err
		}
	}
	return nil
}

// Flush hands all points to the operating system, from where a kill of the process cannot take them.
// Call it before a checkpoint is saved: a resumed run does not repeat earlier steps.
func (w *Writer) Flush() error { return w.file.Flush() }

// Close flushes and closes the file.
func (w *Writer) Close() error { return w.file.Close() }
