//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/pjrt"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// programNames are the files of a cache.
func programNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// Children compile the same programs: training gives the same weights, bit by bit, and the cache holds
// programs of the same names. They count as compiled.
func TestTrainingFromChildren(t *testing.T) {
	be := backendtest.ForTest(t)
	var log strings.Builder
	dir := backend.KeepPrograms(t, &log)
	here := trainTiny(t, be)
	names := programNames(t, dir)

	dir = backend.KeepPrograms(t, &log)
	started := backend.UseChildren(t, 1, "")
	before := backend.Programs()
	inChildren := trainTiny(t, be)
	after := backend.Programs()
	if n := started(); n == 0 || after.Compiled-before.Compiled != n || after.Loaded != before.Loaded || after.CompileTime <= before.CompileTime {
		t.Errorf("%d children, from %+v to %+v", n, before, after)
	}
	if got := programNames(t, dir); !slices.Equal(got, names) {
		t.Errorf("children left %d programs, others than the %d of before", len(got), len(names))
	}
	if len(inChildren) == 0 || len(inChildren) != len(here) {
		t.Fatalf("%d weights, %d before", len(inChildren), len(here))
	}
	for path, v := range inChildren {
		if !slices.Equal(v, here[path]) {
			t.Errorf("%s differs", path)
		}
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
}

// twice compiles and runs a small program.
func twice(t *testing.T, be compute.Backend) {
	t.Helper()
	exec := graph.MustNewExec(be, func(x *graph.Node) *graph.Node { return graph.MulScalar(x, 2) })
	defer exec.Finalize()
	if got := tensors.ToScalar[float32](exec.MustCall1(float32(21))); got != 42 {
		t.Errorf("twice 21 is %v", got)
	}
}

// Where a child fails the program is compiled and kept as without one, and the log says why.
func TestChildrenThatFail(t *testing.T) {
	be := backendtest.ForTest(t)
	for end, want := range map[string]string{backend.ChildKilled: "signal: killed", backend.ChildFails: "exit status 3: last words (compiling instead)"} {
		t.Run(end, func(t *testing.T) {
			var log strings.Builder
			dir := backend.KeepPrograms(t, &log)
			started := backend.UseChildren(t, 1, end)
			before := backend.Programs()
			twice(t, be)
			after := backend.Programs()
			if n := started(); n != 1 || after.Compiled != before.Compiled+1 || after.Loaded != before.Loaded || len(programNames(t, dir)) != 1 {
				t.Errorf("%d children, %q kept, from %+v to %+v", n, programNames(t, dir), before, after)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
				t.Errorf("log %q, want %q", log.String(), want)
			}
		})
	}
}

// The compiler's own error is that of compiling in this process.
func TestChildrenKeepErrors(t *testing.T) {
	backendtest.ForTest(t)
	var log strings.Builder
	backend.KeepPrograms(t, &log)
	plugin, err := pjrt.GetPlugin(backend.InterposedPlugin())
	if err != nil {
		t.Fatal(err)
	}
	client, err := plugin.NewClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	compile := func() string {
		_, err := client.Compile().WithStableHLO([]byte("module @wrong { no code }")).Done()
		if err == nil {
			t.Fatal("compiled")
		}
		return strings.SplitN(err.Error(), "\n", 2)[0]
	}
	want := compile()
	started := backend.UseChildren(t, 1, "")
	if got := compile(); got != want || started() != 1 {
		t.Errorf("%d children, error %q, want %q", started(), got, want)
	}
}

func TestNoChildren(t *testing.T) {
	be := backendtest.ForTest(t)
	for name, test := range map[string]struct {
		codeSize int
		prepare  func(t *testing.T, dir string)
	}{
		"small program": {1 << 20, func(*testing.T, string) {}},
		"not enabled":   {1, func(t *testing.T, _ string) { backend.WithoutChildren(t) }},
		"cache off":     {1, func(t *testing.T, _ string) { backend.StopPrograms(t) }},
		"cache not there": {1, func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := backend.KeepPrograms(t, new(strings.Builder))
			started := backend.UseChildren(t, test.codeSize, "")
			test.prepare(t, dir)
			twice(t, be)
			if n := started(); n != 0 {
				t.Errorf("%d children", n)
			}
		})
	}
}
