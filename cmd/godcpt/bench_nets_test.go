package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/netbench"
)

func TestBenchNets(t *testing.T) {
	t.Setenv(asProgram, "1") // what measures is this program, started again
	dir := t.TempDir()
	for _, test := range []struct {
		args    string
		heading string
	}{
		{"step --net nafnet-tiny --patch 8 --runs 2", netbench.Heading()},
		{"infer --net nafnet-tiny --net nafnet-tiny --size 8x16 --runs 1", netbench.Heading()},
		{"compile --net nafnet-tiny --patch 8 --size 8", netbench.CompileHeading()},
	} {
		table := filepath.Join(dir, strings.Fields(test.args)[0]+".csv")
		r := call(t, append(strings.Fields("bench "+test.args), "--csv", table)...)
		r.check(t, exitOK, test.heading, "nafnet-tiny: compiling")
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		shown := strings.Count(r.stdout, "\n") - strings.Count(test.heading, "\n")
		if lines := strings.Count(string(text), "\n"); lines != shown || lines < 2 {
			t.Errorf("%s: shown\n%stable\n%s", test.args, r.stdout, text)
		}
	}

	r := call(t, strings.Fields("bench step --net nafnet-tiny --patch 8 --batch 3 --runs 3 --json")...)
	r.check(t, exitOK, "", "3 runs")
	var rows []netbench.Row
	if err := json.Unmarshal([]byte(r.stdout), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	row := rows[0]
	if row.Batch != 3 || row.Runs != 3 || !(row.Minimum > 0) || row.Minimum > row.Median || row.Median > row.Maximum || row.Maximum > row.Start.Start*1e3 {
		t.Errorf("%+v", row)
	}
	for _, figure := range []struct {
		name      string
		got, want float64
	}{
		{"images per second", row.Rate, 3 / row.Median},
		{"TFLOP/s", row.TFLOPS, 3 * 2 * float64(row.MACs) / row.Median / 1e12},
		{"share of the peak", row.Share, row.TFLOPS / row.Peak},
	} {
		if !(figure.got > 0.999*figure.want && figure.got < 1.001*figure.want) {
			t.Errorf("%s: %g, want %g", figure.name, figure.got, figure.want)
		}
	}
}

func TestBenchNetsBadInput(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"step --net nafnet-tinny", `did you mean "nafnet-tiny"?`},
		{"step --net nafnet-tiny,none", `unknown network preset "none"`},
		{"step --net=", "--net names no network"},
		{"step --method restor", `did you mean "restore"?`},
		{"step --batch 0", "a batch of 0 images"},
		{"step --batch many", "invalid argument"},
		{"step --patch 20", "nafnet-tiny takes multiples of 8"},
		{"step --runs 0", "--runs is 0; it must be 1 to 10000"},
		{"step --size 256", "unknown flag: --size"},
		{"infer --size 256x", `--size is "256x"`},
		{"infer --size 0", "a side of 0 pixels"},
		{"infer --method dcpt", "unknown flag: --method"},
		{"compile --runs 3", "unknown flag: --runs"},
		{"compile --size 1x2x3", `--size is "1x2x3"`},
	} {
		call(t, strings.Fields("bench "+test.args)...).check(t, exitUsage, "", test.want)
	}
	// A network that cannot be measured costs nothing of what was measured before.
	t.Setenv(asProgram, "1")
	t.Setenv("GOMLX_BACKEND", "nosuch")
	r := call(t, strings.Fields("bench infer --net nafnet-tiny --size 8")...)
	r.check(t, exitFailure, "", "nafnet-tiny: GOMLX_BACKEND=nosuch names no backend")
}

// TestBenchServe speaks the protocol with a process, as scripts do.
func TestBenchServe(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, requests string
		lines          []string // the beginning of each line of standard output
		status         int
	}{
		{"step --net nafnet-tiny --patch 8 --serve", "", []string{`{"ready":true,`}, exitOK},
		{"infer --net nafnet-tiny --size 8 --serve", "run\nrun\n", []string{`{"ready":true,`, `{"seconds":`, `{"seconds":`}, exitOK},
		{"infer --net nafnet-tiny --size 8 --serve", "run\nstop\n", []string{`{"ready":true,`, `{"seconds":`, `{"error":"unknown request \"stop\"`}, exitFailure},
		{"step --net none --serve", "", []string{`{"error":"unknown network preset \"none\"`}, exitFailure},
		{"step --serve", "", []string{`{"error":"--serve measures one network`}, exitFailure},
	} {
		cmd := exec.Command(exe, strings.Fields("bench "+test.args)...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		cmd.Stdin = strings.NewReader(test.requests)
		out, err := cmd.Output()
		if status := cmd.ProcessState.ExitCode(); status != test.status {
			t.Errorf("%s: status %d (%v)", test.args, status, err)
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if len(lines) != len(test.lines) {
			t.Errorf("%s: %d lines: %s", test.args, len(lines), out)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, test.lines[i]) || !json.Valid([]byte(line)) {
				t.Errorf("%s: line %d is %s, want %s", test.args, i, line, fmt.Sprint(test.lines[i]))
			}
		}
	}
}
