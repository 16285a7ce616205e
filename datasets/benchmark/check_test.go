package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rain12 makes a sound copy of Rain12 and returns its folder.
func rain12(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Rain12")
	for i := 1; i <= 12; i++ {
		writePicture(t, filepath.Join(dir, "rainy", fmt.Sprintf("rain-%03d.png", i)), 12, 8, i)
		writePicture(t, filepath.Join(dir, "norain", fmt.Sprintf("norain-%03d.png", i)), 12, 8, 50+i)
	}
	return dir
}

// set12 makes a copy of Set12 and returns its folder.
func set12(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Set12")
	for i := 1; i <= 12; i++ {
		writePicture(t, filepath.Join(dir, fmt.Sprintf("%02d.png", i)), 256, 256, i)
	}
	return dir
}

func check(t *testing.T, dir string, opts Options) *Report {
	t.Helper()
	r, err := Check(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckSound(t *testing.T) {
	dir := rain12(t)
	most := 0
	r := check(t, dir, Options{Progress: func(done, total int) { most = max(most, done*100/total) }})
	if len(r.Parts) != 1 || !r.Sound() || most != 100 {
		t.Fatalf("%+v, progress %d", r, most)
	}
	p := r.Parts[0]
	if p.Set != "Rain12" || p.Split != "test" || !p.Complete() || p.Found != 12 {
		t.Errorf("%+v", p)
	}
	if want := "{name: rain, benchmark: Rain12, dir: " + filepath.ToSlash(dir) + "}"; p.Recipe != want {
		t.Errorf("recipe %s, want %s", p.Recipe, want)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}

	dir = set12(t)
	if p := check(t, dir, Options{}).Parts[0]; !p.Complete() || len(p.Missing)+len(p.Notes)+len(p.Problems) > 0 {
		t.Errorf("%+v", p)
	}
	if err := os.Remove(filepath.Join(dir, "03.png")); err != nil { // a part of it
		t.Fatal(err)
	}
	if p := check(t, dir, Options{}).Parts[0]; p.Complete() || p.Found != 11 || len(p.Problems) > 0 || !slices.Equal(p.Missing, []string{"03.png"}) {
		t.Errorf("%+v", p)
	}
}

func TestCheckProblems(t *testing.T) {
	for _, c := range []struct {
		kind   string
		set    func(*testing.T) string
		change func(t *testing.T, dir string)
		file   string // is named in the problem
	}{
		{Corrupt, rain12, func(t *testing.T, dir string) {
			data, err := os.ReadFile(filepath.Join(dir, "rainy/rain-002.png"))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "rainy/rain-002.png"), data[:len(data)-20], 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "rainy/rain-002.png is a truncated or damaged PNG"},
		{Unpaired, rain12, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "norain/norain-005.png")); err != nil {
				t.Fatal(err)
			}
		}, "rainy/rain-005.png"},
		{Duplicated, rain12, func(t *testing.T, dir string) {
			copyFile(t, filepath.Join(dir, "rainy/rain-001.png"), filepath.Join(dir, "rainy/rain-002.png"))
		}, "rainy/rain-001.png = rainy/rain-002.png"},
		{Undegraded, rain12, func(t *testing.T, dir string) {
			copyFile(t, filepath.Join(dir, "norain/norain-007.png"), filepath.Join(dir, "rainy/rain-007.png"))
		}, "rainy/rain-007.png"},
		{Unequal, rain12, func(t *testing.T, dir string) {
			writePicture(t, filepath.Join(dir, "rainy/rain-009.png"), 11, 8, 3)
		}, "rainy/rain-009.png (11x8) and norain/norain-009.png (12x8)"},
		{Misnamed, set12, func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "07.png"), filepath.Join(dir, "o7.png"))
		}, "o7.png (07.png?)"},
		{Duplicated, set12, func(t *testing.T, dir string) { // other bytes, the same pixels
			copyFile(t, filepath.Join(dir, "01.png"), filepath.Join(dir, "02.png"))
			f, err := os.OpenFile(filepath.Join(dir, "02.png"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("x")
			}
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}, "01.png = 02.png (equal pixels in different files)"},
		{Recompressed, set12, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "03.png")); err != nil {
				t.Fatal(err)
			}
			writePicture(t, filepath.Join(dir, "03.jpg"), 256, 256, 3)
		}, "03.jpg"},
		{Resized, set12, func(t *testing.T, dir string) {
			writePicture(t, filepath.Join(dir, "04.png"), 200, 200, 4)
		}, "04.png (200x200)"},
		{Surplus, set12, func(t *testing.T, dir string) {
			writePicture(t, filepath.Join(dir, "13.png"), 256, 256, 99)
		}, ""},
	} {
		t.Run(c.kind, func(t *testing.T) {
			dir := c.set(t)
			c.change(t, dir)
			r := check(t, dir, Options{})
			if len(r.Parts) != 1 || r.Sound() {
				t.Fatalf("%+v", r)
			}
			i := slices.IndexFunc(r.Parts[0].Problems, func(p Problem) bool { return p.Kind == c.kind })
			if i < 0 {
				t.Fatalf("problems %+v", r.Parts[0].Problems)
			}
			p := r.Parts[0].Problems[i]
			if p.Text == "" || p.Do == "" || !strings.Contains(strings.Join(p.Files, "\n"), c.file) {
				t.Errorf("%+v, want %q", p, c.file)
			}
			// One change makes one problem, but for names that are too many, or unpaired.
			if len(r.Parts[0].Problems) > 1 && c.kind != Surplus {
				t.Errorf("more problems: %+v", r.Parts[0].Problems)
			}
		})
	}
}

func TestCheckVariantsAndNotes(t *testing.T) {
	// Clean pictures that are larger by the border that is published so.
	dir := filepath.Join(t.TempDir(), "SOTS")
	writePicture(t, filepath.Join(dir, "indoor/hazy/1400_1.png"), 620, 460, 1)
	writePicture(t, filepath.Join(dir, "indoor/hazy/1400_2.png"), 620, 460, 2)
	writePicture(t, filepath.Join(dir, "indoor/gt/1400.png"), 640, 480, 3)
	r := check(t, dir, Options{})
	if !r.Sound() || len(r.Parts[0].Notes) != 1 || !strings.Contains(r.Parts[0].Notes[0], "larger by 10 pixels at each side") {
		t.Errorf("%+v", r.Parts[0])
	}
	writePicture(t, filepath.Join(dir, "indoor/gt/1401.png"), 620, 460, 4)
	writePicture(t, filepath.Join(dir, "indoor/hazy/1401_1.png"), 620, 460, 5)
	if r = check(t, dir, Options{}); r.Sound() || r.Parts[0].Problems[0].Kind != Unequal {
		t.Errorf("a mixture of copies: %+v", r.Parts[0])
	}

	dir = filepath.Join(t.TempDir(), "Rain100L") // one clean picture twice, in a known copy
	for i := 1; i <= 3; i++ {
		writePicture(t, filepath.Join(dir, "rainy", fmt.Sprintf("rain-%03d.png", i)), 480, 320, i)
		writePicture(t, filepath.Join(dir, "norain", fmt.Sprintf("norain-%03d.png", i)), 480, 320, 60+max(i, 2))
	}
	p := check(t, dir, Options{}).Parts[0]
	if len(p.Problems) > 0 || !strings.Contains(p.Variant, "last row and column cut") || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "1 clean picture more than once: norain/norain-001.png = norain/norain-002.png") {
		t.Errorf("%+v", p)
	}
	writePicture(t, filepath.Join(dir, "rainy/rain-001.png"), 481, 321, 1)
	writePicture(t, filepath.Join(dir, "norain/norain-001.png"), 481, 321, 8)
	p = check(t, dir, Options{}).Parts[0]
	if len(p.Problems) > 0 || p.Variant != "" || !strings.Contains(strings.Join(p.Notes, "\n"), "2 of 3 pictures as in a known copy") {
		t.Errorf("a part of a known copy: %+v", p)
	}

	dir = filepath.Join(t.TempDir(), "Set12") // names of one's own
	for i := range 12 {
		writePicture(t, filepath.Join(dir, fmt.Sprintf("photo%d.png", i)), 256, 256, i)
	}
	p = check(t, dir, Options{}).Parts[0]
	if len(p.Problems) > 0 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "12 of 12 file names are not the official ones") {
		t.Errorf("renamed: %+v", p)
	}

	dir = filepath.Join(t.TempDir(), "LOLv1") // what is tested on is trained on
	for _, split := range []string{"our485", "eval15"} {
		writePicture(t, filepath.Join(dir, split, "low/1.png"), 600, 400, len(split))
		writePicture(t, filepath.Join(dir, split, "high/1.png"), 600, 400, 50)
	}
	r = check(t, dir, Options{})
	if len(r.Parts) != 2 || !strings.Contains(strings.Join(r.Parts[1].Notes, ""), "1 clean picture of it in the split") {
		t.Errorf("%+v", r.Parts)
	}
}

// A set is recognised by the name of its folder or by those of its files, from any folder of it.
func TestRecognise(t *testing.T) {
	dir := rain12(t)
	for _, at := range []string{dir} {
		matches, _ := Recognise(at)
		if len(matches) != 1 || matches[0].Set.Name != "Rain12" || matches[0].Dir != dir || !matches[0].Named() {
			t.Errorf("%s: %+v", at, matches)
		}
	}
	root := t.TempDir()
	gopro := filepath.Join(root, "gopro")
	writePicture(t, filepath.Join(gopro, "test/GOPR0384_11_00/blur/000001.png"), 8, 8, 1)
	writePicture(t, filepath.Join(gopro, "test/GOPR0384_11_00/sharp/000001.png"), 8, 8, 2)
	for _, at := range []string{gopro, filepath.Join(gopro, "test")} {
		matches, _ := Recognise(at)
		if len(matches) != 1 || matches[0].Set.Name != "GoPro" || matches[0].Split.Name != "test" || filepath.Clean(matches[0].Dir) != gopro {
			t.Errorf("%s: %+v", at, matches)
		}
	}
	for i := 1; i <= 24; i++ {
		writePicture(t, filepath.Join(root, "films", fmt.Sprintf("kodim%02d.png", i)), 8, 8, i)
	}
	matches, _ := Recognise(filepath.Join(root, "films"))
	if len(matches) != 1 || matches[0].Set.Name != "Kodak24" || matches[0].Named() {
		t.Errorf("by file names: %+v", matches)
	}

	// Rain100L and Rain100H have the same names.
	unknown := filepath.Join(root, "unknown")
	for i := 20; i <= 30; i++ {
		writePicture(t, filepath.Join(unknown, "rainy", fmt.Sprintf("rain-%03d.png", i)), 8, 8, i)
		writePicture(t, filepath.Join(unknown, "norain", fmt.Sprintf("norain-%03d.png", i)), 8, 8, 50+i)
	}
	r := check(t, unknown, Options{})
	if !slices.Contains(r.CouldBe, "Rain100L") || len(r.Parts) != 1 || r.Parts[0].Set != "" || r.Parts[0].Pair != "rain" {
		t.Errorf("%+v", r)
	}
	r = check(t, unknown, Options{As: "Rain100L"})
	if len(r.Parts) != 1 || r.Parts[0].Set != "Rain100L" || r.Parts[0].Found != 11 {
		t.Errorf("%+v", r.Parts)
	}

	// A folder of sets.
	r = check(t, root, Options{})
	if len(r.Parts) != 1 || r.Parts[0].Set != "GoPro" || len(r.Others) != 2 {
		t.Errorf("%+v", r)
	}
}

// Folders that are none of the table.
func TestCheckGeneral(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  []string // recipe lines; DIR is the folder
	}{
		{"photos", []string{"a.png", "sub/b.png"}, []string{"{name: noise, images: DIR, degrade: {kind: noise}}"}},
		{"mine", []string{"hazy/1.png", "hazy/2.png", "gt/1.png", "gt/2.png"}, []string{"{name: mine, lq: DIR/hazy, gt: DIR/gt}"}},
		{"mine", []string{"hazy/1_1.png", "hazy/1_2.png", "gt/1.png"}, []string{"{name: mine, lq: DIR/hazy, gt: DIR/gt, pair: prefix}"}},
		{"mine", []string{"dark/d01.png", "dark/d02.png", "gt/l01.png", "gt/l02.png"}, []string{"{name: mine, lq: DIR/dark, gt: DIR/gt, pair: 'd*=l*'}"}},
		{"mine", []string{"wet/3_wet.png", "clean/3_dry.png"}, []string{"{name: mine, lq: DIR/wet, gt: DIR/clean, pair: '*_wet=*_dry'}"}},
		{"mine", []string{"fog/1.png", "mist/1.png", "clean/1.png"}, []string{"{name: mine, lq: DIR/fog, gt: DIR/clean}", "{name: mine, lq: DIR/mist, gt: DIR/clean}"}},
		{"mine", []string{"a/dark/1.png", "a/clean/1.png", "b/dark/1.png", "b/clean/1.png"}, []string{"{name: mine, lq: 'DIR/*/dark', gt: 'DIR/*/clean'}"}},
		{"my photos", []string{"low/1.png", "other/1.png"}, []string{"{name: 'my photos', lq: 'DIR/low', gt: 'DIR/other'}"}},
		{"mine", []string{"low/1.png", "high/7.png"}, []string{"{name: noise, images: DIR, degrade: {kind: noise}}"}},
	} {
		dir := filepath.Join(t.TempDir(), c.name)
		for i, f := range c.files {
			writePicture(t, filepath.Join(dir, f), 8, 8, i)
		}
		r := check(t, dir, Options{})
		var lines []string
		for _, p := range r.Parts {
			lines = append(lines, strings.ReplaceAll(p.Recipe, filepath.ToSlash(dir), "DIR"))
		}
		if !slices.Equal(lines, c.want) || !r.Sound() {
			t.Errorf("%v: %q, want %q (%+v)", c.files, lines, c.want, r)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	dir := rain12(t)
	empty, archives, linked := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(archives, "photos-000.tar"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "rainy"), filepath.Join(linked, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, as, want string }{
		{filepath.Join(empty, "none"), "", "cannot read the folder"},
		{filepath.Join(dir, "rainy/rain-001.png"), "", "is a file"},
		{empty, "", "there are no pictures"},
		{empty, "Rain100L", "does not hold Rain100L. Expected there\ntest: rainy and norain"},
		{dir, "GoPro/test", "\nThere are pictures in norain, rainy"},
		{filepath.Join(dir, "rainy"), "GoPro/test", "There are pictures in the folder itself"},
		{archives, "", "photos-000.tar may be shards"},
		{linked, "", "elsewhere leads to another folder: name that folder"},
		{dir, "Rain100M", "no data set"},
		{dir, "Rain12/val", `no split "val"`},
	} {
		if _, err := Check(t.Context(), c.dir, Options{As: c.as}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %q: error %v, want %q", c.dir, c.as, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, dir, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
