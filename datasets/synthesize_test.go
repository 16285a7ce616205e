package datasets

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/datasets/degrade"
)

// cleanFolder has three pictures, one of them in a sub-folder.
func cleanFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writePhoto(t, filepath.Join(dir, "a.png"), 24, 16, 1)
	writePhoto(t, filepath.Join(dir, "b.jpg"), 20, 20, 2)
	writePhoto(t, filepath.Join(dir, "sub", "a.tif"), 17, 30, 3)
	return dir
}

func mustSynthesize(t *testing.T, in, out string, cfg SynthesisConfig) SynthesisSummary {
	t.Helper()
	summary, err := Synthesize(t.Context(), in, out, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

// contents returns the files below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func equalFiles(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, text := range a {
		if other, ok := b[name]; !ok || other != text {
			return false
		}
	}
	return true
}

// The pairs are what a test set of the same kind and seed holds, to the rounding to 8 bits, and Paired
// reads them.
func TestSynthesizeEqualsTestSet(t *testing.T) {
	in := cleanFolder(t)
	for _, cfg := range []SynthesisConfig{
		{Kind: "rain", Seed: 7, Count: 2},
		{Kind: "lowlight+haze", Seed: 3},
		{Kind: "noise", Params: map[string]any{"sigma": 60}, Seed: 1}, // beyond 0..1: clipped by the file
	} {
		out := filepath.Join(t.TempDir(), "deep", "pairs")
		summary := mustSynthesize(t, in, out, cfg)
		count := max(cfg.Count, 1)
		if summary.Pairs != 3*count || summary.Kept != 0 || summary.Failed != nil {
			t.Errorf("%s: %+v", cfg.Kind, summary)
		}
		pairs, err := NewPaired(PairedConfig{LQ: filepath.Join(out, SynthesisLQ), GT: filepath.Join(out, SynthesisGT), Rule: PairSame, Eval: true})
		if err != nil {
			t.Fatal(err)
		}
		if pairs.Len() != 3*count {
			t.Fatalf("%d pairs of 3 pictures, %d each", pairs.Len(), count)
		}
		d, err := degrade.New(cfg.Kind, cfg.Params)
		if err != nil {
			t.Fatal(err)
		}
		images, err := FromDir(in)
		if err != nil {
			t.Fatal(err)
		}
		set := synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{d}, Seed: cfg.Seed, Eval: true})
		for i := range 3 {
			want, got := mustSample(t, set, 0, i), mustSample(t, pairs, 0, i*count)
			if !slices.Equal(got.LQ.Quantize(), want.LQ.Quantize()) || !slices.Equal(got.GT.Quantize(), want.GT.Quantize()) {
				t.Errorf("%s: %s is not what the test set holds of %s", cfg.Kind, got.Name, want.Name)
			}
			if count > 1 {
				second := mustSample(t, pairs, 0, i*count+1)
				if slices.Equal(second.LQ.Pix, got.LQ.Pix) || !slices.Equal(second.GT.Pix, got.GT.Pix) {
					t.Errorf("%s: the twins of %s do not differ, or their clean pictures do", cfg.Kind, want.Name)
				}
			}
		}
	}
}

// The number of workers, an interruption and what is there already change nothing.
func TestSynthesizeDeterminismAndResume(t *testing.T) {
	in := cleanFolder(t)
	cfg := SynthesisConfig{Kind: "snow", Seed: 5, Count: 12, Workers: 1, Program: "test"}
	one := filepath.Join(t.TempDir(), "one")
	mustSynthesize(t, in, one, cfg)
	want := contents(t, one)
	for _, name := range []string{"lq/a_01.png", "gt/a_12.png", "lq/sub/a_03.png", "synth.yaml"} {
		if _, ok := want[name]; !ok {
			t.Errorf("no file %s", name)
		}
	}

	cfg.Workers = 4
	four := filepath.Join(t.TempDir(), "four")
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := cfg
	interrupted.Workers = 1
	interrupted.Progress = func(SynthesisProgress) { cancel() }
	summary, err := Synthesize(ctx, in, four, interrupted)
	if !errors.Is(err, context.Canceled) || summary.Pairs == 0 || summary.Pairs == 36 {
		t.Fatalf("interrupted: %+v, %v", summary, err)
	}
	if err := os.Remove(filepath.Join(four, "lq", "a_05.png")); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(four, "lq", "a_06.png")
	if err := os.WriteFile(kept, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	if summary := mustSynthesize(t, in, four, cfg); summary.Pairs != 36 || summary.Kept < 11 || summary.Kept > 35 {
		t.Errorf("resumed: %+v", summary)
	}
	got := contents(t, four)
	if got["lq/a_06.png"] != "kept" {
		t.Error("a pair that was there was made again")
	}
	got["lq/a_06.png"] = want["lq/a_06.png"]
	if !equalFiles(got, want) {
		t.Error("resumed with four workers, the files are others than those of one worker")
	}

	for _, change := range []struct {
		want string
		set  func(*SynthesisConfig)
	}{
		{"seed is 5 there, 6 now", func(c *SynthesisConfig) { c.Seed = 6 }},
		{"kind is snow there, rain now", func(c *SynthesisConfig) { c.Kind = "rain" }},
		{"size is [1 14] there, 3 now", func(c *SynthesisConfig) { c.Params = map[string]any{"size": 3} }},
		{"count is 12 there, 1 now", func(c *SynthesisConfig) { c.Count = 0 }},
		{"program is test there, newer now", func(c *SynthesisConfig) { c.Program = "newer" }},
	} {
		other := cfg
		change.set(&other)
		if _, err := Synthesize(t.Context(), in, four, other); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("error %v, want it to say %q", err, change.want)
		}
	}
	if err := os.Rename(filepath.Join(in, "b.jpg"), filepath.Join(in, "c.jpg")); err != nil {
		t.Fatal(err)
	}
	if _, err := Synthesize(t.Context(), in, four, cfg); err == nil || !strings.Contains(err.Error(), "other names") {
		t.Errorf("other clean pictures: %v", err)
	}
	after := contents(t, four)
	after["lq/a_06.png"] = want["lq/a_06.png"]
	if !equalFiles(after, want) {
		t.Error("a refused call changed something")
	}
}

// The record makes the same degradation.
// One process at a time works in a folder, and nothing that a killed one has left half-written stays.
func TestSynthesizeAlone(t *testing.T) {
	in, out := cleanFolder(t), filepath.Join(t.TempDir(), "pairs")
	cfg := SynthesisConfig{Kind: "noise", Workers: 1}
	var second error
	during := cfg
	during.Progress = func(SynthesisProgress) {
		if second == nil {
			_, second = Synthesize(t.Context(), in, out, cfg)
		}
	}
	mustSynthesize(t, in, out, during)
	wantError(t, second, "another process is making the pairs")
	want := contents(t, out)
	for name := range want {
		if strings.HasPrefix(filepath.Base(name), ".") {
			t.Errorf("left behind: %s", name)
		}
	}

	for _, left := range []string{"lq/.a.png.tmp-123", "gt/sub/.a.png.tmp-4", ".synth.lock"} {
		if err := os.WriteFile(filepath.Join(out, left), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if s := mustSynthesize(t, in, out, cfg); s.Kept != 3 {
		t.Errorf("%+v", s)
	}
	if !equalFiles(contents(t, out), want) {
		t.Error("half-written files stay")
	}
}

func TestSynthesisRecord(t *testing.T) {
	in, out := cleanFolder(t), filepath.Join(t.TempDir(), "pairs")
	cfg := SynthesisConfig{Kind: "haze+rain", Seed: 9, Program: "godcpt 1"}
	mustSynthesize(t, in, out, cfg)
	data, err := os.ReadFile(filepath.Join(out, SynthesisRecord))
	if err != nil {
		t.Fatal(err)
	}
	var record Synthesis
	if err := yaml.Unmarshal(data, &record); err != nil {
		t.Fatal(err)
	}
	if record.Seed != 9 || record.Count != 1 || record.Pictures != 3 || record.Program != "godcpt 1" || len(record.Names) != 64 {
		t.Errorf("record %+v", record)
	}
	kind := record.Degrade["kind"].(string)
	delete(record.Degrade, "kind")
	again := filepath.Join(t.TempDir(), "again")
	mustSynthesize(t, in, again, SynthesisConfig{Kind: kind, Params: record.Degrade, Seed: record.Seed, Program: record.Program})
	if !equalFiles(contents(t, again), contents(t, out)) {
		t.Error("the record makes other pairs")
	}
}

func TestSynthesizeGoesOnAfterBrokenPictures(t *testing.T) {
	in, out := cleanFolder(t), filepath.Join(t.TempDir(), "pairs")
	healthy := filepath.Join(t.TempDir(), "healthy")
	bad := filepath.Join(in, "bad.png")
	writePhoto(t, bad, 8, 8, 4)
	mustSynthesize(t, in, healthy, SynthesisConfig{Kind: "noise"})
	if err := os.WriteFile(bad, []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	var told []string
	summary := mustSynthesize(t, in, out, SynthesisConfig{Kind: "noise", Progress: func(p SynthesisProgress) {
		if p.Total != 4 || p.Done < 1 || p.Done > 4 {
			t.Errorf("progress %+v", p)
		}
		if p.Err != nil {
			told = append(told, p.Input)
		}
	}})
	if summary.Pairs != 3 || len(summary.Failed) != 1 || summary.Failed[0].Input != bad || !strings.Contains(summary.Failed[0].Err.Error(), "bad.png") || !slices.Equal(told, []string{bad}) {
		t.Errorf("%+v, told %v", summary, told)
	}
	// The others are what they are without it being broken.
	want := contents(t, healthy)
	delete(want, "lq/bad.png")
	delete(want, "gt/bad.png")
	if !equalFiles(contents(t, out), want) {
		t.Error("a broken picture changes the others")
	}
}

func TestSynthesizeRefuses(t *testing.T) {
	in := cleanFolder(t)
	twice := t.TempDir()
	writePhoto(t, filepath.Join(twice, "x.png"), 4, 4, 1)
	writePhoto(t, filepath.Join(twice, "x.jpg"), 4, 4, 1)
	foreign := t.TempDir()
	writePhoto(t, filepath.Join(foreign, "gt", "x.png"), 4, 4, 1)
	unreadable := t.TempDir()
	if err := os.WriteFile(filepath.Join(unreadable, SynthesisRecord), []byte("color: red\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in, out, want string
		cfg           SynthesisConfig
	}{
		"kind":        {in, "new", `did you mean "rain"`, SynthesisConfig{Kind: "rian"}},
		"parameter":   {in, "new", `did you mean "density"`, SynthesisConfig{Kind: "rain", Params: map[string]any{"densty": 1}}},
		"count":       {in, "new", "must not be negative", SynthesisConfig{Kind: "rain", Count: -1}},
		"no input":    {filepath.Join(in, "none"), "new", "cannot read the folder", SynthesisConfig{Kind: "rain"}},
		"empty":       {t.TempDir(), "new", "no pictures in", SynthesisConfig{Kind: "rain"}},
		"into itself": {in, filepath.Join(in, "sub", "new"), "choose another output", SynthesisConfig{Kind: "rain"}},
		"same name":   {twice, "new", "x.jpg and x.png would both become x.png", SynthesisConfig{Kind: "rain"}},
		"a file":      {in, filepath.Join(foreign, "gt", "x.png"), "is a file", SynthesisConfig{Kind: "rain"}},
		"foreign":     {in, foreign, "no synth.yaml", SynthesisConfig{Kind: "rain"}},
		"unreadable":  {in, unreadable, "does not say how", SynthesisConfig{Kind: "rain"}},
	} {
		out := test.out
		if !filepath.IsAbs(out) {
			out = filepath.Join(t.TempDir(), out)
		}
		_, existed := os.Stat(out)
		if _, err := Synthesize(t.Context(), test.in, out, test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want it to say %q", name, err, test.want)
		}
		if _, err := os.Stat(out); (err == nil) != (existed == nil) {
			t.Errorf("%s: the output was made all the same", name)
		}
	}
}

func TestParseParameters(t *testing.T) {
	params, err := ParseParameters([]string{"beta=1.5", "angle=[-5, 5]", "preset=heavy", "clip=true", "steps=[{kind: haze}]"})
	if err != nil {
		t.Fatal(err)
	}
	if params["beta"] != 1.5 || params["preset"] != "heavy" || params["clip"] != true || len(params["angle"].([]any)) != 2 {
		t.Errorf("got %v", params)
	}
	if step, ok := params["steps"].([]any)[0].(map[string]any); !ok || step["kind"] != "haze" {
		t.Errorf("steps %v", params["steps"])
	}
	for _, words := range [][]string{{"beta"}, {"=3"}, {"beta=1", "beta=2"}, {"beta=[1,"}} {
		if params, err := ParseParameters(words); err == nil {
			t.Errorf("%v gives %v", words, params)
		}
	}
}
