package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// checks returns the checks of an examination by name.
func checks(e *Examination) map[string]Check {
	byName := map[string]Check{}
	for _, c := range e.Checks {
		byName[c.Name] = c
	}
	return byName
}

// The test's own backend: the timing is of whatever it is, the structure is the same.
func TestReportJSON(t *testing.T) {
	t.Setenv(compute.ConfigEnvVar, "go")
	var out bytes.Buffer
	ok := Report(context.Background(), &out, Options{Dir: t.TempDir(), JSON: true})
	var e Examination
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	if !ok || !e.OK {
		t.Errorf("a problem on a machine that runs tests:\n%s", out.String())
	}
	byName := checks(&e)
	for _, name := range []string{"program", "built with", "libraries", "processor", "backend", "devices", "matmul", "convolution", "huge pages", "cache", "go", "goimports", "jupyter", "gonb kernel"} {
		if byName[name].Value == "" {
			t.Errorf("the report says nothing about %q", name)
		}
	}
	if c := byName["go kernels"]; c.Value == "" || (c.Fix == "") != (backend.GoSIMD || runtime.GOARCH != "amd64") {
		t.Errorf("got %+v about the kernels of the pure Go backend in a build with SIMD %t", c, backend.GoSIMD)
	}
	if !strings.HasPrefix(byName["backend"].Value, "go (") {
		t.Errorf("backend %q, want the one that %s names", byName["backend"].Value, compute.ConfigEnvVar)
	}
	if len(e.Speeds) != len(benchmarks) {
		t.Fatalf("%d speeds, want %d", len(e.Speeds), len(benchmarks))
	}
	for _, s := range e.Speeds {
		if s.GFLOPS <= 0 || s.FirstCallSeconds <= 0 {
			t.Errorf("implausible speed %+v", s)
		}
	}
}

func TestReportText(t *testing.T) {
	t.Setenv(compute.ConfigEnvVar, "nonsense")
	var out bytes.Buffer
	if Report(context.Background(), &out, Options{Dir: t.TempDir()}) {
		t.Error("an unknown backend passes")
	}
	for _, want := range []string{"problem  backend", "names no backend", "-> unset GOMLX_BACKEND", "There are problems"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
}

// On the backend of the tests (XLA unless they are told otherwise), the results are right.
func TestBenchmarks(t *testing.T) {
	be := backendtest.ForTest(t)
	for _, b := range benchmarks {
		if _, err := b.measure(context.Background(), be); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}

func TestBenchmarkFindsWrongResult(t *testing.T) {
	b := benchmarks[0]
	b.build = func(in []*graph.Node) *graph.Node {
		return graph.MulScalar(benchmarks[0].build(in), 2)
	}
	_, err := b.measure(context.Background(), backendtest.Go(t))
	if err == nil || !strings.Contains(err.Error(), "computed 1024 instead of 512") {
		t.Errorf("error %v, want a wrong result", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.measure(ctx, backendtest.Go(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
}

func TestNotebookChecks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs are shell scripts")
	}
	dir := t.TempDir()
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("JUPYTER_PATH", "")
	t.Setenv("JUPYTER_DATA_DIR", "")
	find := func() map[string]Check {
		e := &Examination{OK: true}
		e.add(notebooks(dir)...)
		if !e.OK {
			t.Error("missing notebooks count as a problem")
		}
		return checks(e)
	}
	for name, c := range find() {
		if name == "gonb kernel" && c.Status == OK {
			continue // installed for all users of this machine
		}
		if c.Status != Warning || c.Fix == "" {
			t.Errorf("nothing is installed, but got %+v", c)
		}
	}

	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(".bin/goimports", "#!/bin/sh\n")
	put(".venv/bin/jupyter", "#!/bin/sh\n")
	spec := ".jupyter/kernels/gonb/kernel.json"
	for _, test := range []struct {
		text string
		want Status
	}{
		{"{", Warning},
		{`{"argv":["` + dir + `/.bin/gonb"]}`, Warning}, // there is no such program
		{`{"argv":["` + dir + `/.bin/goimports"]}`, OK},
	} {
		put(spec, test.text)
		found := find()
		if got := found["gonb kernel"].Status; got != test.want {
			t.Errorf("%s: got %s, want %s", test.text, got, test.want)
		}
		if found["goimports"].Status != OK || found["jupyter"].Status != OK {
			t.Errorf("the checkout's programs are not found: %+v", found)
		}
	}
}
