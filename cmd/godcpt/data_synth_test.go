package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
)

func TestDataSynth(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	write(t, filepath.Join(in, "a.png"), testImage(30, 20))
	write(t, filepath.Join(in, "sub", "b.png"), testImage(20, 30))
	args := []string{"data", "synth", in, out, "--kind", "rain", "--seed", "7", "-p", "preset=heavy", "-p", "angle=[-5, 5]", "--count", "2"}
	call(t, args...).check(t, exitOK, "4 pairs in "+out, "")
	pairs, err := datasets.NewPaired(datasets.PairedConfig{LQ: filepath.Join(out, "lq"), GT: filepath.Join(out, "gt")})
	if err != nil || pairs.Len() != 4 {
		t.Fatal(pairs, err)
	}
	record, err := os.ReadFile(filepath.Join(out, "synth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kind: rain", "angle: [-5.0, 5.0]", "seed: 7", "count: 2", "program: godcpt "} {
		if !strings.Contains(string(record), want) {
			t.Errorf("the record does not say %q:\n%s", want, record)
		}
	}

	call(t, args...).check(t, exitOK, "4 pairs in "+out+", 4 of them were there already", "")
	other := append(args, "--seed", "8")
	call(t, other...).check(t, exitFailure, "", "made with other settings (seed is 7 there, 8 now)")

	if err := os.WriteFile(filepath.Join(in, "bad.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	some := call(t, "data", "synth", in, filepath.Join(dir, "some"), "--kind", "lowlight+haze")
	some.check(t, exitSomeFailed, "failed: ", "1 of 3 could not be read: bad.jpg")
	some.check(t, exitSomeFailed, "2 pairs in ", "bad.jpg")
	alone := filepath.Join(dir, "alone")
	if err := os.MkdirAll(alone, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(alone, "bad.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	call(t, "data", "synth", alone, filepath.Join(dir, "none"), "--kind", "haze").check(t, exitFailure, "", "is empty (0 bytes)")
}

func TestDataSynthInterrupted(t *testing.T) {
	in := t.TempDir()
	write(t, filepath.Join(in, "a.png"), testImage(30, 20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := filepath.Join(t.TempDir(), "out")
	callContext(ctx, "data", "synth", in, out, "--kind", "rain").check(t, exitInterrupted, "0 pairs in ", "To go on:\n  godcpt data synth "+in)
}

func TestDataSynthUsage(t *testing.T) {
	in := t.TempDir()
	write(t, filepath.Join(in, "a.png"), testImage(30, 20))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{in, "out"}, "--kind noise, rain"},
		{[]string{in}, "the folder of clean photos and the folder for the pairs"},
		{[]string{in, "out", "--kind", "rian"}, `did you mean "rain"?`},
		{[]string{in, "out", "--kind", "rain+snwo"}, `did you mean "snow"?`},
		{[]string{in, "out", "--kind", "rain", "-p", "density"}, "write key=value"},
		{[]string{in, "out", "--kind", "rain", "-p", "density=200"}, "must lie in 0..100"},
		{[]string{in, "out", "--kind", "rain", "--count", "0"}, "at least 1"},
	} {
		call(t, append([]string{"data", "synth"}, test.args...)...).check(t, exitUsage, "", test.want)
	}
}

func TestDataShow(t *testing.T) {
	dir := t.TempDir()
	photo := write(t, filepath.Join(dir, "photo.png"), testImage(60, 40))
	out := filepath.Join(dir, "sheet.png")
	call(t, "data", "show", photo, "-o", out, "--seed", "3").check(t, exitOK, out+": ", "")
	sheet, err := imageio.Read(out)
	if err != nil || sheet.W < 6*60 || sheet.H < 4*40 {
		t.Fatal(sheet, err)
	}
	call(t, "data", "show", photo, "-o", out).check(t, exitFailure, "", "--overwrite")
	call(t, "data", "show", photo, "-o", photo).check(t, exitFailure, "", "exists already")
	call(t, "data", "show", "-o", out, "--overwrite").check(t, exitOK, out+": ", "")
	larger, err := imageio.Read(out)
	if err != nil || larger.W <= sheet.W {
		t.Error("the photo that ships is not shown", err)
	}
	call(t, "data", "show", filepath.Join(dir, "none.png"), "-o", filepath.Join(dir, "x.png")).check(t, exitFailure, "", "none.png")
	call(t, "data", "show", photo, "-o", filepath.Join(dir, "x.gif")).check(t, exitFailure, "", "unknown extension")
}

// The line for a recipe is valid YAML, whatever the folder is called.
func TestDataSynthQuotesTheRecipe(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in", "a.png"), testImage(20, 10))
	out := filepath.Join(dir, "it's: [odd]")
	want := "gt: '" + filepath.Join(dir, "it''s: [odd]", "gt") + "'}"
	call(t, "data", "synth", filepath.Join(dir, "in"), out, "--kind", "noise").check(t, exitOK, want, "")
}
