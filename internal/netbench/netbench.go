package netbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/doctor"
)

// Row is what was measured of one work.
type Row struct {
	Work
	Runs      int     `json:"runs"` // after the first, which compiles
	Minimum   float64 `json:"minimum_seconds"`
	Median    float64 `json:"median_seconds"`
	Maximum   float64 `json:"maximum_seconds"`
	CPU       float64 `json:"cpu_seconds"`       // median over the runs, of all threads
	Rate      float64 `json:"images_per_second"` // at the median
	MACs      int64   `json:"macs"`              // multiply-accumulates of the forward passes of a run
	TFLOPS    float64 `json:"tflops"`            // at the median, by MACs and what a run counts as
	Peak      float64 `json:"peak_tflops"`       // of a product of large matrices in the same process
	Share     float64 `json:"peak_share"`        // TFLOPS / Peak
	PeakBytes int64   `json:"peak_bytes"`        // the most memory that the process has held, without a child that compiled for it
	Start
}

// Start is what the start of a process cost.
type Start struct {
	Operations int     `json:"operations"` // of the graph
	Build      float64 `json:"build_seconds"`
	Compile    float64 `json:"compile_seconds"` // or loading what was compiled before
	Loaded     int     `json:"programs_loaded"` // instead of compiled
	Start      float64 `json:"start_seconds"`   // from the start of the process until the first run was done
	Machine
}

// Machine is what computed.
type Machine struct {
	Backend  string            `json:"backend"`
	Model    string            `json:"processor"`
	Cores    int               `json:"cores"`
	Features []string          `json:"cpu_features"` // vector extensions
	Versions map[string]string `json:"versions"`
}

// Config configures a measurement.
type Config struct {
	Log      io.Writer                        // of the processes that are started
	Progress func(format string, args ...any) // called with what was done just now
}

// Measure runs a work once, and then so many times, in a process of its own.
func Measure(ctx context.Context, work Work, runs int, cfg Config) (Row, error) {
	row := Row{Work: work, Runs: runs}
	var err error
	if row.MACs, err = work.MACs(); err != nil {
		return Row{}, err
	}
	cfg.Progress("%s: compiling", work.Net)
	w, err := startWorker(ctx, work, cfg.Log)
	if err != nil {
		return Row{}, fmt.Errorf("%s: %w", work.Net, err)
	}
	row.Start = w.start()
	cfg.Progress("%s: compiled in %.1f s; %d runs", work.Net, row.Compile, runs)
	if err := errors.Join(row.measure(w), w.stop()); err != nil {
		return Row{}, fmt.Errorf("%s: %w", work.Net, err)
	}
	return row, nil
}

// start is what the process has said of its start.
func (w *worker) start() Start {
	r := w.ready
	m := Machine{Backend: r.Backend, Cores: runtime.NumCPU(), Versions: r.Versions}
	m.Model, m.Features = doctor.Processor()
	return Start{Operations: r.Operations, Build: r.BuildSeconds, Compile: r.CompileSeconds, Loaded: r.Loaded, Start: r.StartSeconds, Machine: m}
}

// measure lets a process run, and fills in the figures.
func (r *Row) measure(w *worker) error {
	var wall, cpu []float64
	for range r.Runs {
		var run Run
		if err := w.ask(requestRun, &run); err != nil {
			return err
		}
		wall, cpu = append(wall, run.Seconds), append(cpu, run.CPUSeconds)
		r.PeakBytes = run.PeakBytes
	}
	var peak Peak
	if err := w.ask(requestPeak, &peak); err != nil {
		return err
	}
	r.fill(wall, cpu, peak.GFLOPS/1e3)
	return nil
}

// fill computes the figures from the times of the runs and the speed of a matrix product.
func (r *Row) fill(wall, cpu []float64, peak float64) {
	const perMAC = 2 // a multiplication and an addition
	r.Minimum, r.Median, r.Maximum, r.CPU = slices.Min(wall), median(wall), slices.Max(wall), median(cpu)
	r.Rate = float64(r.Batch) / r.Median
	r.TFLOPS = perMAC * float64(r.passes()) * float64(r.MACs) / r.Median / 1e12
	r.Peak, r.Share = peak, r.TFLOPS/peak
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Compilation is what it costs until a network does something for the first time: where nothing was
// compiled before, and where it was.
type Compilation struct {
	Work
	Start
	WarmCompile float64 `json:"warm_compile_seconds"` // loading the programs; 0 where they are not kept
	WarmStart   float64 `json:"warm_start_seconds"`   // likewise
}

// MeasureStart runs a work once in a process of its own that finds no compiled programs, and once in one
// that finds those of the first.
func MeasureStart(ctx context.Context, work Work, cfg Config) (Compilation, error) {
	dir, err := os.MkdirTemp("", "godcpt-bench-")
	if err != nil {
		return Compilation{}, err
	}
	defer os.RemoveAll(dir)
	begin := func(what string) (Start, error) {
		cfg.Progress("%s: %s %s", work.Net, what, work.Verb)
		w, err := startWorker(ctx, work, cfg.Log, backend.ProgramsDirEnv+"="+dir)
		if err != nil {
			return Start{}, fmt.Errorf("%s: %w", work.Net, err)
		}
		return w.start(), w.stop()
	}
	c := Compilation{Work: work}
	if c.Start, err = begin("compiling"); err != nil || c.Backend != xlaCPU {
		return c, err
	}
	warm, err := begin("starting again")
	if warm.Loaded > 0 {
		c.WarmCompile, c.WarmStart = warm.Compile, warm.Start
	}
	return c, err
}

// xlaCPU is the backend whose compiled programs are kept.
const xlaCPU = "xla:cpu"
