package netbench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/doctor"
	"github.com/godcpt/godcpt/internal/memory"
)

// Requests of the protocol, one a line. A serving process answers each with one line of JSON, and ends
// when there are no more.
const (
	requestRun  = "run"  // do the work once; the answer is a Run
	requestPeak = "peak" // measure the speed of a matrix product; the answer is a Peak
)

// Ready is the first line of a serving process: it has done its work once.
type Ready struct {
	Ready          bool              `json:"ready"`
	StartSeconds   float64           `json:"start_seconds"`   // from the start of the process until the first run was done
	BuildSeconds   float64           `json:"build_seconds"`   // of it, building graphs
	CompileSeconds float64           `json:"compile_seconds"` // of it, compiling them, or loading those that were compiled before
	Loaded         int               `json:"programs_loaded"` // compiled before, by this or another process
	FirstSeconds   float64           `json:"first_seconds"`   // of it, the first run, which builds and compiles
	Operations     int               `json:"operations"`      // of the graph of a run
	Threads        int               `json:"threads"`
	Backend        string            `json:"backend"`
	Versions       map[string]string `json:"versions"`
}

// Run is what one run took.
type Run struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // of all threads, user and system; 0 where the system does not tell
	PeakBytes  int64   `json:"peak_bytes"`  // the most memory that the process has held so far, without a child that compiled for it; 0 where the system does not tell
}

// Peak is the speed of a product of large square matrices in float32.
type Peak struct {
	GFLOPS float64 `json:"gflops"`
}

// Failure is the line that a serving process ends with when something went wrong.
type Failure struct {
	Error string `json:"error"`
}

// Serve does the work once on the backend that open opens, and then as often as it is asked to.
func Serve(ctx context.Context, w Work, in io.Reader, out io.Writer, open func() (*backend.Backend, error)) error {
	opened, err := open()
	if err != nil {
		return err
	}
	answers, m := json.NewEncoder(out), &meter{Backend: opened.Backend}
	job, err := w.prepare(m)
	if err != nil {
		return err
	}
	defer job.close()
	first, err := timed(job.run)
	if err != nil {
		return err
	}
	cost := m.programs()
	err = answers.Encode(Ready{
		Ready: true, StartSeconds: sinceStart().Seconds(), FirstSeconds: first.Seconds,
		BuildSeconds: cost.build.Seconds(), CompileSeconds: cost.compile.Seconds(), Operations: cost.operations,
		Loaded:  backend.Programs().Loaded,
		Threads: runtime.NumCPU(), Backend: opened.Kind, Versions: versionsOf(opened),
	})
	for requests := bufio.NewScanner(in); err == nil && requests.Scan(); {
		var answer any
		switch request := requests.Text(); request {
		case requestRun:
			answer, err = timed(job.run)
		case requestPeak:
			answer, err = measurePeak(ctx, opened)
		default:
			err = fmt.Errorf("unknown request %q: it must be %s or %s", request, requestRun, requestPeak)
		}
		if err == nil {
			err = answers.Encode(answer)
		}
	}
	return err
}

func timed(run func() error) (Run, error) {
	start, cpu := time.Now(), cpuTime()
	if err := run(); err != nil {
		return Run{}, err
	}
	return Run{
		Seconds: time.Since(start).Seconds(), CPUSeconds: (cpuTime() - cpu).Seconds(), PeakBytes: memory.Peak(),
	}, nil
}

// peakSide is the side of the matrices whose product is measured: large enough that the product, not
// its start, takes the time.
const peakSide = 1024

func measurePeak(ctx context.Context, b *backend.Backend) (Peak, error) {
	speed, err := doctor.MatMul(ctx, b.Backend, peakSide)
	return Peak{speed.GFLOPS}, err
}
