// Package doctor examines whether this machine can run GoDCPT well, and says what to do about what
// is missing: the backend and its devices with a small timing, memory and disk, and what the
// notebooks need.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/gomlx/compute/gobackend"

	"github.com/godcpt/godcpt/internal/backend"
)

// Status of a check.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // something optional is missing, or slower than it could be
	Problem Status = "problem" // the work that this program is for does not run as it should
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Value is what was found.
	Value string `json:"value"`
	// Fix says what to do; "" if there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// Speed is how fast the backend computed a small operation.
type Speed struct {
	Name string `json:"name"`
	// GFLOPS is the best of a few runs, in 1e9 floating-point operations per second (an addition
	// and a multiplication count as two).
	GFLOPS float64 `json:"gflops"`
	// FirstCallSeconds is the time of the first call, which compiles.
	FirstCallSeconds float64 `json:"first_call_seconds"`
}

// Examination is the result of Examine.
type Examination struct {
	// OK reports that no check found a problem.
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
	Speeds []Speed `json:"speeds"`
}

// Options of Examine and Report.
type Options struct {
	// Backend is passed to backend.Open, as is.
	Backend backend.Options
	// Dir is the folder in which to look for the .venv and .jupyter that scripts/setup makes; ""
	// means the current one.
	Dir string
	// JSON makes Report write the Examination as JSON.
	JSON bool
}

// Report examines the machine and writes the result to w, for people or as JSON. It returns whether
// no check found a problem; an error to write is one.
func Report(ctx context.Context, w io.Writer, opts Options) (ok bool) {
	e := Examine(ctx, opts)
	if !opts.JSON {
		return e.write(w) == nil && e.OK
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(e) == nil && e.OK
}

// Examine looks at everything. It opens a backend, which may install the XLA plugin, and computes
// for some seconds.
func Examine(ctx context.Context, opts Options) *Examination {
	if opts.Dir == "" {
		opts.Dir = "."
	}
	e := &Examination{OK: true, Speeds: []Speed{}}
	e.add(builtFrom()...)
	e.add(machine()...)
	b, checks := openBackend(opts.Backend)
	e.add(checks...)
	if b != nil {
		e.addSpeeds(ctx, b)
		b.Finalize()
	}
	e.add(hugePages(), cacheFolder(), programCache())
	e.add(notebooks(opts.Dir)...)
	return e
}

func (e *Examination) add(checks ...Check) {
	for _, c := range checks {
		e.Checks = append(e.Checks, c)
		if c.Status == Problem {
			e.OK = false
		}
	}
}

func (e *Examination) addSpeeds(ctx context.Context, b *backend.Backend) {
	for _, bench := range benchmarks {
		speed, err := bench.measure(ctx, b.Backend)
		if err != nil {
			e.add(Check{bench.name, Problem, err.Error(), "the backend opens but does not compute rightly: try GOMLX_BACKEND=go, and report this"})
			continue
		}
		e.Speeds = append(e.Speeds, speed)
		e.add(Check{Name: bench.name, Status: OK, Value: fmt.Sprintf("%.1f GFLOP/s (first call, with compilation: %.2f s)", speed.GFLOPS, speed.FirstCallSeconds)})
	}
}

// write prints the checks for people: one line each, and what to do under those that are not OK.
func (e *Examination) write(w io.Writer) error {
	const width = 14
	indent := strings.Repeat(" ", len(Problem)+width+4)
	var b strings.Builder
	for _, c := range e.Checks {
		fmt.Fprintf(&b, "%-*s  %-*s  %s\n", len(Problem), c.Status, width, c.Name, strings.ReplaceAll(c.Value, "\n", "\n"+indent))
		if c.Fix != "" {
			fmt.Fprintf(&b, "%s-> %s\n", indent, strings.ReplaceAll(c.Fix, "\n", "\n"+indent+"   "))
		}
	}
	if e.OK {
		fmt.Fprintln(&b, "\nGoDCPT can work here.")
	} else {
		fmt.Fprintln(&b, "\nThere are problems: see the lines after ->.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// goKernels tells whether the pure Go backend computes with the processor's vectors in this build.
func goKernels(simd bool) Check {
	switch {
	case simd:
		return Check{Name: "go kernels", Status: OK, Value: "matrix products with AVX2 or AVX-512, where the processor has them"}
	case runtime.GOARCH == "amd64":
		return Check{"go kernels", Warning, "without the processor's vectors", "build this program with GOEXPERIMENT=simd in the environment (Go 1.26): the pure Go backend then restores 3 to 5 times faster"}
	}
	return Check{Name: "go kernels", Status: OK, Value: "without the processor's vectors: the pure Go backend has them for x86-64 only"}
}

// openBackend opens the backend and describes it; b is nil if there is none.
func openBackend(opts backend.Options) (b *backend.Backend, checks []Check) {
	opts.HoldNotes = true // they are part of the report
	b, err := backend.Open(opts)
	if err != nil {
		return nil, []Check{{"backend", Problem, err.Error(), "unset GOMLX_BACKEND, or set it to go"}}
	}
	status, fix := OK, ""
	if b.Fallback {
		status, fix = Problem, "connect to the internet once and run this again, or set PJRT_PLUGIN_LIBRARY_PATH to a folder with pjrt_c_api_cpu_plugin.so"
	}
	checks = append(checks, Check{"backend", status, b.Kind + " (" + b.Source + ")", fix})
	if b.Kind == gobackend.BackendName {
		checks = append(checks, goKernels(backend.GoSIMD))
	}
	if b.PluginPath != "" {
		checks = append(checks, Check{Name: "plugin", Status: OK, Value: b.PluginPath + " (PJRT " + b.PJRTVersion + ")"})
	}
	checks = append(checks, Check{Name: "devices", Status: OK, Value: fmt.Sprintf("%d: %s", len(b.Devices), strings.Join(b.Devices, ", "))})
	for _, note := range b.Notes {
		checks = append(checks, Check{Name: "note", Status: Warning, Value: note})
	}
	return b, checks
}
