package datasets

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// pairNames makes pictures with the given names, pairs them and returns "degraded clean" for each pair,
// relative to the folder. In the configuration, DIR stands for the folder.
func pairNames(t *testing.T, cfg PairedConfig, list string, names ...string) ([]string, *Pairing, error) {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		writePhoto(t, filepath.Join(dir, name), 8, 6, i)
	}
	if list != "" {
		cfg.List = filepath.Join(dir, "list.txt")
		if err := os.WriteFile(cfg.List, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg.LQ, cfg.GT = filepath.Join(dir, cfg.LQ), filepath.Join(dir, cfg.GT)
	p, err := Pair(cfg)
	if err != nil {
		return nil, nil, err
	}
	short := func(name string) string {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(rel)
	}
	var pairs []string
	for _, pair := range p.Pairs {
		pairs = append(pairs, short(p.LQ.Name(pair.LQ))+" "+short(p.GT.Name(pair.GT)))
	}
	return pairs, p, nil
}

func TestPairLayouts(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   PairedConfig
		list  string
		files []string
		want  []string
	}{
		{"a folder for each sequence, as in GoPro", PairedConfig{LQ: "test/*/blur", GT: "test/*/sharp"}, "",
			[]string{"test/G1/blur/1.png", "test/G1/sharp/1.png", "test/G2/blur/1.png", "test/G2/sharp/1.png", "test/G2/blur_gamma/1.png"},
			[]string{"test/G1/blur/1.png test/G1/sharp/1.png", "test/G2/blur/1.png test/G2/sharp/1.png"}},
		{"and names of their own, as in RealBlur", PairedConfig{LQ: "*/blur", GT: "*/gt", Rule: "blur_*=gt_*"}, "",
			[]string{"s1/blur/blur_1.png", "s1/gt/gt_1.png", "s2/blur/blur_1.png", "s2/gt/gt_1.png"},
			[]string{"s1/blur/blur_1.png s1/gt/gt_1.png", "s2/blur/blur_1.png s2/gt/gt_1.png"}},
		{"several degradations of one clean folder, as in CDD-11", PairedConfig{LQ: "[^c]*", GT: "clear", Rule: PairName}, "",
			[]string{"clear/1.png", "low/1.png", "low_haze/1.png"},
			[]string{"low/1.png clear/1.png", "low_haze/1.png clear/1.png"}},
		{"one folder for both", PairedConfig{LQ: ".", GT: ".", Rule: PairRain}, "",
			[]string{"rain-1.png", "norain-1.png", "rain-2.png", "norain-2.png"},
			[]string{"rain-1.png norain-1.png", "rain-2.png norain-2.png"}},
		{"one folder for both, with others in it", PairedConfig{LQ: ".", GT: ".", Rule: PairRain}, "",
			[]string{"rain-1.png", "norain-1.png", "rainregion-1.png"},
			[]string{"rain-1.png norain-1.png"}},
		{"one folder in the other", PairedConfig{LQ: "rainy", GT: ".", Rule: PairRain}, "",
			[]string{"rainy/rain-1.png", "norain-1.png", "norain-2.png", "rainy/rain-2.png"},
			[]string{"rainy/rain-1.png norain-1.png", "rainy/rain-2.png norain-2.png"}},
		{"and the other way round", PairedConfig{LQ: ".", GT: "gt", Rule: PairPrefix}, "",
			[]string{"1_1.png", "1_2.png", "gt/1.png"},
			[]string{"1_1.png gt/1.png", "1_2.png gt/1.png"}},
		{"by order, as in DPDD", PairedConfig{LQ: "source", GT: "target", Rule: PairOrder}, "",
			[]string{"source/1P0A0895.png", "target/1P0A0894.png", "source/1P0A0917.png", "target/1P0A0916.png"},
			[]string{"source/1P0A0895.png target/1P0A0894.png", "source/1P0A0917.png target/1P0A0916.png"}},
		{"list of pairs, clean first", PairedConfig{LQ: "*/blur", GT: "*/gt"}, "# scene\n/x/s1/gt/gt_9.png /x/s1/blur/blur_1.png\r\n\n/x/s2/gt/gt_1.png /x/s2/blur/blur_1.png\n",
			[]string{"s1/blur/blur_1.png", "s1/gt/gt_9.png", "s2/blur/blur_1.png", "s2/gt/gt_1.png", "s2/blur/blur_2.png"},
			[]string{"s1/blur/blur_1.png s1/gt/gt_9.png", "s2/blur/blur_1.png s2/gt/gt_1.png"}},
		{"list of pairs with equal names", PairedConfig{LQ: "low", GT: "high"}, "high/1.png,low/1.png\n",
			[]string{"low/1.png", "high/1.png", "low/2.png"},
			[]string{"low/1.png high/1.png"}},
		{"list of degraded pictures", PairedConfig{LQ: "hazy", GT: "gt", Rule: PairPrefix}, "\ufeffhazy\\2_1.png\n1_2.png\n",
			[]string{"hazy/1_1.png", "hazy/1_2.png", "hazy/2_1.png", "gt/1.png", "gt/2.png", "gt/3.png"},
			[]string{"hazy/1_2.png gt/1.png", "hazy/2_1.png gt/2.png"}},
		{"list with a rule that wants all", PairedConfig{LQ: "lq", GT: "gt"}, "a.png\n",
			[]string{"lq/a.png", "lq/b.png", "gt/a.png", "gt/b.png"},
			[]string{"lq/a.png gt/a.png"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, p, err := pairNames(t, c.cfg, c.list, c.files...)
			if err != nil || !slices.Equal(got, c.want) || len(p.Unpaired) > 0 {
				t.Errorf("got %q, want %q (unpaired %v, error %v)", got, c.want, p, err)
			}
		})
	}
}

func TestPairListErrors(t *testing.T) {
	files := []string{"lq/a.png", "gt/a.png"}
	for list, want := range map[string]string{
		"a b c\n":          "list.txt, line 1: 3 names",
		"a.png\nlq/a gt/a": "list.txt, line 2: 2 names",
		"# nothing\n":      "names no pictures",
	} {
		if _, _, err := pairNames(t, PairedConfig{LQ: "lq", GT: "gt"}, list, files...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", list, err, want)
		}
	}
	for list, want := range map[string]string{
		"b.png\n":           "b.png, which ",
		"lq/a.png gt/b.png": "lq/a.png and gt/b.png, which ",
	} {
		_, p, err := pairNames(t, PairedConfig{LQ: "lq", GT: "gt"}, list, files...)
		if err != nil || len(p.Unpaired) != 1 || !strings.Contains(p.Unpaired[0].Problem, want) {
			t.Errorf("%q: %+v, %v, want %q", list, p, err, want)
		}
	}
	_, _, err := pairNames(t, PairedConfig{LQ: "lq", GT: "gt", Rule: PairOrder}, "a.png\n", files...)
	wantError(t, err, "list.txt names single pictures", "name pairs")
	// The same folder, written in two ways: no picture is left that is degraded only.
	_, same, err := pairNames(t, PairedConfig{LQ: "l?", GT: "lq", Rule: PairOrder}, "", files...)
	if err != nil || len(same.Unpaired) != 1 || !strings.Contains(same.Unpaired[0].Problem, "0 degraded and 1 clean") {
		t.Errorf("%+v, %v", same, err)
	}
	// Two pictures fit a name equally well.
	_, p, err := pairNames(t, PairedConfig{LQ: "lq", GT: "gt"}, "1.png\n", "lq/a/1.png", "lq/b/1.png", "gt/a/1.png", "gt/b/1.png")
	if err != nil || len(p.Unpaired) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = NewPaired(PairedConfig{LQ: t.TempDir(), GT: t.TempDir(), List: "none.txt"})
	wantError(t, err, "no pictures in")
}

func TestSplitPaths(t *testing.T) {
	for line, want := range map[string][]string{
		"":                              nil,
		"a.png":                         {"a.png"},
		"a.png b.png\r":                 {"a.png", "b.png"},
		"a.png,\tb.JPG":                 {"a.png", "b.JPG"},
		" my photos/a b.png":            {"my photos/a b.png"},
		"my low/a 1.png  my high/a.png": {"my low/a 1.png", "my high/a.png"},
		"a b":                           {"a", "b"},
		"a.png 3":                       {"a.png", "3"},
		"# a.png is left out":           {"#", "a.png", "is", "left", "out"},
	} {
		if got := splitPaths(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestFromList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.png", "b.png", "c.png"} {
		writePhoto(t, filepath.Join(dir, name), 8, 6, 0)
	}
	file := filepath.Join(dir, "list.txt")
	for list, want := range map[string]string{
		"c.png\na.png\n": "",
		"c.png\nd.png\n": "names 1 pictures that are not in",
		"a.png b.png\n":  "one name in each line",
	} {
		if err := os.WriteFile(file, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := FromList(dir, file)
		if want != "" {
			wantError(t, err, want, "list.txt")
			continue
		}
		if err != nil || s.Len() != 2 || filepath.Base(s.Name(1)) != "c.png" {
			t.Errorf("%q: %v, %v", list, s, err)
		}
	}
	_, err := FromList(dir, filepath.Join(dir, "none.txt"))
	wantError(t, err, "cannot read the list of pictures")
}

func TestFromPatternErrors(t *testing.T) {
	dir := t.TempDir()
	for pattern, want := range map[string]string{
		"*/blur":      "no pictures in",
		"none/*/blur": "cannot read the folder of pictures",
		"[/blur":      "syntax error in pattern",
	} {
		_, err := FromDir(filepath.Join(dir, pattern))
		wantError(t, err, want)
	}
	// A folder that happens to look like a pattern is that folder.
	writePhoto(t, filepath.Join(dir, "odd[1]", "a.png"), 8, 6, 0)
	if s, err := FromDir(filepath.Join(dir, "odd[1]")); err != nil || s.Len() != 1 {
		t.Errorf("%v, %v", s, err)
	}
}

// Clean pictures that are larger by a border, as SOTS indoor's, are trimmed; others are left alone.
func TestTrimGT(t *testing.T) {
	dir := t.TempDir()
	writePhoto(t, filepath.Join(dir, "gt/1.png"), 40, 30, 3)
	clean, err := imageio.Read(filepath.Join(dir, "gt/1.png"))
	if err != nil {
		t.Fatal(err)
	}
	inner := clean.Crop(10, 10, 20, 10)
	if err := os.MkdirAll(filepath.Join(dir, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := imageio.Write(filepath.Join(dir, "inner/1.png"), inner); err != nil {
		t.Fatal(err)
	}
	for _, gt := range []string{"gt", "inner"} {
		d, err := NewPaired(PairedConfig{LQ: filepath.Join(dir, "inner"), GT: filepath.Join(dir, gt), TrimGT: 10, Eval: true})
		if err != nil {
			t.Fatal(err)
		}
		if s := mustSample(t, d, 0, 0); !slices.Equal(s.GT.Pix, inner.Pix) || !slices.Equal(s.LQ.Pix, inner.Pix) {
			t.Errorf("%s: the pair is not aligned", gt)
		}
	}
	_, err = NewPaired(PairedConfig{LQ: filepath.Join(dir, "inner"), GT: filepath.Join(dir, "gt"), TrimGT: 9})
	wantError(t, err, "40x30")
}
