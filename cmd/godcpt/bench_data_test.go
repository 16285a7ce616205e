package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/databench"
)

func TestBenchData(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "photos", "p.png"), testImage(130, 140))
	photos, table := filepath.Join(dir, "photos"), filepath.Join(dir, "speed.csv")

	call(t, "bench").check(t, exitUsage, "", "say what to do: step, infer, compile or data")
	call(t, "bench", "data", "--seconds", "-1").check(t, exitUsage, "", "--seconds is -1")
	call(t, "bench", "data", "--workers", "-1").check(t, exitUsage, "", "--workers is -1")
	call(t, "bench", "data", "--recipe", "x", "--images", "y").check(t, exitUsage, "", "--recipe or --images")
	call(t, "bench", "data", "-s", "seed=2").check(t, exitUsage, "", "-s belongs to --recipe")
	call(t, "bench", "data", "--recipe", "nosuch").check(t, exitUsage, "", "nosuch")
	call(t, "bench", "data", "--images", filepath.Join(dir, "none")).check(t, exitFailure, "", "no such file")

	r := call(t, "bench", "data", "--images", photos, "--seconds", "0", "--csv", table)
	r.check(t, exitOK, databench.Heading(), "")
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if shown := strings.Count(r.stdout, "\n"); strings.Count(string(text), "\n") != shown {
		t.Errorf("%d lines shown, table:\n%s", shown, text)
	}

	r = call(t, "bench", "data", "--images", photos, "--seconds", "0", "--json")
	r.check(t, exitOK, "", "")
	var rows []databench.Row
	if err := json.Unmarshal([]byte(r.stdout), &rows); err != nil || len(rows) != strings.Count(string(text), "\n")-1 {
		t.Errorf("%d rows, %v: %s", len(rows), err, r.stdout)
	}

	args := append([]string{"bench", "data", "--recipe", "quickstart", "--seconds", "0"}, tinySettings(photos, 1)...)
	call(t, args...).check(t, exitOK, "lowlight", "")
}
