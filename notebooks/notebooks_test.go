// Package notebooks holds the notebooks, and the test that executes each of them.
package notebooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notebook is the part of the .ipynb format (nbformat 4) that the tests look at.
type notebook struct {
	Cells    []cell `json:"cells"`
	Metadata struct {
		GoDCPT expectations `json:"godcpt"`
	} `json:"metadata"`
}

// expectations is what a notebook says, in its metadata under "godcpt", about how to test it:
//
//	"metadata": {"godcpt": {
//	    "env": {"NAME": "value"},          set while it runs here, to make it short; GODCPT_RUNS is
//	                                       always set, to an empty folder for its runs
//	    "seconds_per_cell": 900,           600 if not given
//	    "expects": {
//	        "mime": {"image/png": 2},      outputs of these types, at least so many
//	        "text": ["PSNR +[0-9.]+ dB"]   regular expressions that its text outputs match
//	    }}}
type expectations struct {
	Env            map[string]string `json:"env"`
	SecondsPerCell int               `json:"seconds_per_cell"`
	Expects        struct {
		MIME map[string]int `json:"mime"`
		Text []string       `json:"text"`
	} `json:"expects"`
}

type cell struct {
	Type    string   `json:"cell_type"`
	Count   *int     `json:"execution_count"`
	Outputs []output `json:"outputs"`
}

type output struct {
	Type      string                     `json:"output_type"` // stream, display_data, execute_result, error
	Text      lines                      `json:"text"`        // of a stream
	Data      map[string]json.RawMessage `json:"data"`        // by MIME type
	ErrorName string                     `json:"ename"`
	Value     string                     `json:"evalue"`
}

// lines is a string that the format may also write as a list of lines.
type lines string

// UnmarshalJSON implements json.Unmarshaler.
func (l *lines) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err == nil {
		*l = lines(strings.Join(list, ""))
		return nil
	}
	return json.Unmarshal(data, (*string)(l))
}

func readNotebook(path string) (*notebook, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	nb := &notebook{}
	if err := json.Unmarshal(data, nb); err != nil {
		return nil, fmt.Errorf("%s is not a notebook: %w", path, err)
	}
	return nb, nil
}

// root returns the repository's root folder; it skips the test where the notebooks cannot run.
func root(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("notebooks take minutes: not with -short")
	}
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".venv/.installed", ".jupyter/.installed"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Skip("Jupyter is not installed in this checkout: ./scripts/setup --notebooks installs it (it needs python3 with venv)")
		}
	}
	return dir
}

// execute runs a notebook through its Jupyter kernel and returns it with its outputs, also when a
// cell failed: then the error holds what the cell said.
func execute(t *testing.T, path string) (*notebook, error) {
	t.Helper()
	dir := root(t)
	nb, err := readNotebook(path)
	if err != nil {
		return nil, err
	}
	seconds := nb.Metadata.GoDCPT.SecondsPerCell
	if seconds == 0 {
		seconds = 600
	}
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		// End the kernel before the test's own timeout kills this process and leaves it behind.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-20*time.Second))
		defer cancel()
	}
	executed := filepath.Join(t.TempDir(), "executed.ipynb")
	cmd := exec.CommandContext(ctx, filepath.Join(dir, ".venv", "bin", "python"),
		filepath.Join(dir, "scripts", "run_notebook.py"), path, executed, strconv.Itoa(seconds))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	private := t.TempDir() // nothing of this user's configuration takes part
	cmd.Env = append(os.Environ(),
		"JUPYTER_DATA_DIR="+filepath.Join(dir, ".jupyter"),
		"JUPYTER_CONFIG_DIR="+private,
		"JUPYTER_RUNTIME_DIR="+filepath.Join(private, "runtime"),
		"IPYTHONDIR="+private,
		"GODCPT_RUNS="+filepath.Join(private, "runs"), // not among the runs of a person
	)
	for name, value := range nb.Metadata.GoDCPT.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, runErr := cmd.CombinedOutput()
	if runErr != nil {
		runErr = fmt.Errorf("%w\n%s", runErr, out)
	}
	nb, err = readNotebook(executed)
	if err != nil {
		return nil, errors.Join(runErr, err)
	}
	return nb, runErr
}

// check returns what is wrong with the outputs of an executed notebook.
func check(nb *notebook) error {
	var problems []error
	var text strings.Builder
	count := map[string]int{}
	for i, c := range nb.Cells {
		for _, out := range c.Outputs {
			if out.Type == "error" {
				problems = append(problems, fmt.Errorf("cell %d: %s: %s", i+1, out.ErrorName, out.Value))
			}
			text.WriteString(string(out.Text))
			for mime, data := range out.Data {
				count[mime]++
				var plain lines
				if strings.HasPrefix(mime, "text/") && json.Unmarshal(data, &plain) == nil {
					text.WriteString(string(plain))
				}
			}
		}
	}
	expects := nb.Metadata.GoDCPT.Expects
	for mime, least := range expects.MIME {
		if count[mime] < least {
			problems = append(problems, fmt.Errorf("%d outputs of type %s, want at least %d", count[mime], mime, least))
		}
	}
	for _, pattern := range expects.Text {
		re, err := regexp.Compile(pattern)
		if err != nil {
			problems = append(problems, err)
		} else if !re.MatchString(text.String()) {
			problems = append(problems, fmt.Errorf("no output matches %q", pattern))
		}
	}
	return errors.Join(problems...)
}

// TestNotebooks executes every notebook of this folder and checks what its metadata expects.
func TestNotebooks(t *testing.T) {
	root(t)
	paths, err := filepath.Glob("*.ipynb")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			nb, err := execute(t, path)
			if err == nil {
				err = check(nb)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// maxStored bounds a notebook's file: what web viewers still show, and a repository can carry.
const maxStored = 1_500_000

// TestStoredOutputs looks at the outputs that are stored in the notebooks for readers on the web
// (see scripts/notebook_outputs): all cells have one run's, without errors, or none has any.
func TestStoredOutputs(t *testing.T) {
	paths, err := filepath.Glob("*.ipynb")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		nb, err := readNotebook(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > maxStored {
			t.Errorf("%s has %d bytes, more than %d: show fewer or smaller pictures (%v)", path, info.Size(), maxStored, err)
		}
		stored := 0
		for i, c := range nb.Cells {
			if c.Count != nil {
				if stored++; *c.Count != stored {
					t.Errorf("%s: cell %d was run as number %d, not %d: store the outputs of one run from top to bottom", path, i+1, *c.Count, stored)
				}
			} else if c.Type == "code" && stored > 0 {
				t.Errorf("%s: cell %d was not run, cells before it were", path, i+1)
			}
			for _, out := range c.Outputs {
				if out.Type == "error" {
					t.Errorf("%s: cell %d: a stored error: %s", path, i+1, out.Value)
				}
			}
		}
	}
}

// The tests above mean something only if failures are noticed: notebooks that must fail, and one
// that imports this module and shows an image.
func TestRunner(t *testing.T) {
	dir := root(t)
	setup := "!*rm -f go.work && go work init && go work use . " + dir + "\n%noautoget"
	useModule := `import (
	"fmt"
	"github.com/janpfeifer/gonb/gonbui"
	"github.com/godcpt/godcpt/datasets/imageio"
)
%%
defer gonbui.Sync()
im := imageio.New(5, 3)
fmt.Println("size", im.W, "x", im.H)
gonbui.DisplayImage(imageio.ToStd(im))`
	tests := []struct {
		name     string
		cells    []string
		expects  string
		executes bool
		want     string // part of the error, "" for none
	}{
		{"good", []string{setup, useModule}, `{"mime": {"image/png": 1}, "text": ["size 5 x [0-9]"]}`, true, ""},
		{"missing output", []string{"%%\nprintln(1)"}, `{"mime": {"image/png": 1}, "text": ["restored"]}`, true, `0 outputs of type image/png`},
		{"compile error", []string{"%%\nundefinedFunction()"}, `{}`, false, "undefinedFunction"},
		{"panic", []string{"%%\npanic(\"broken on purpose\")"}, `{}`, false, "exit status 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "n.ipynb")
			writeNotebook(t, path, test.cells, test.expects)
			nb, err := execute(t, path)
			if (err == nil) != test.executes {
				t.Fatalf("execution: %v", err)
			}
			if err == nil {
				err = check(nb)
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if !test.executes && check(nb) == nil {
				t.Error("the executed notebook holds no error output")
			}
		})
	}
}

// writeNotebook writes a notebook with code cells for the kernel gonb.
func writeNotebook(t *testing.T, path string, cells []string, expects string) {
	t.Helper()
	type codeCell struct {
		Type     string   `json:"cell_type"`
		ID       string   `json:"id"`
		Source   string   `json:"source"`
		Outputs  []string `json:"outputs"`
		Count    *int     `json:"execution_count"`
		Metadata struct{} `json:"metadata"`
	}
	var list []codeCell
	for i, source := range cells {
		list = append(list, codeCell{Type: "code", ID: strconv.Itoa(i), Source: source, Outputs: []string{}})
	}
	data, err := json.Marshal(map[string]any{
		"nbformat": 4, "nbformat_minor": 5, "cells": list,
		"metadata": map[string]any{
			"kernelspec": map[string]string{"name": "gonb", "display_name": "Go", "language": "go"},
			"godcpt":     map[string]any{"expects": json.RawMessage(expects)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
