package benchmark

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

// kinds lists the kinds of problems of all parts.
func kinds(r *Report) []string {
	var all []string
	for _, p := range r.Parts {
		for _, problem := range p.Problems {
			all = append(all, problem.Kind)
		}
	}
	return all
}

// Names tell that two folders are in each other's place, instead of 24 pictures without partner.
func TestSwappedByName(t *testing.T) {
	dir := rain12(t)
	rename(t, filepath.Join(dir, "rainy"), filepath.Join(dir, "x"))
	rename(t, filepath.Join(dir, "norain"), filepath.Join(dir, "rainy"))
	rename(t, filepath.Join(dir, "x"), filepath.Join(dir, "norain"))
	r := check(t, dir, Options{})
	if got := kinds(r); !slices.Equal(got, []string{Swapped}) {
		t.Fatalf("problems %v", got)
	}
	if do := r.Parts[0].Problems[0].Do; do != "exchange rainy and norain" {
		t.Errorf("to do: %s", do)
	}
}

// Real pairs of all sorts look as they should, and each wrong when their folders are exchanged, also where both
// sides have the same names.
func TestSwappedByLook(t *testing.T) {
	root := filepath.Join(paritytest.Root(), "..", "shared", "data", "test")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("real pictures of data sets, which do not come with the code, are not at %s", root)
	}
	for _, c := range []struct{ set, lq, gt string }{
		{"LOL-v1", "eval15/low", "eval15/high"},
		{"GoPro", "test/*/blur", "test/*/sharp"},
		{"SOTS", "indoor/hazy", "indoor/gt"},
		{"Rain100L", "rainy", "norain"},
		{"Rain12", "rainy", "norain"},
	} {
		set, err := Find(c.set)
		if err != nil {
			t.Fatal(err)
		}
		dir := set.DefaultDir(root)
		found, _ := Recognise(dir)
		i := slices.IndexFunc(found, func(m Match) bool {
			return filepath.ToSlash(m.Layout.LQ) == c.lq && filepath.ToSlash(m.Layout.GT) == c.gt
		})
		if i < 0 {
			t.Errorf("%s is not recognised: %+v", c.set, found)
			continue
		}
		r := &Report{Dir: dir}
		r.add(found[i : i+1])
		p := r.Parts[0]
		if err := p.list(); err != nil {
			t.Fatal(err)
		}
		pictures, err := examine(t.Context(), r.files(), nil)
		if err != nil {
			t.Fatal(err)
		}
		p.judgeSwapped(pictures)
		if len(p.Problems) > 0 {
			t.Errorf("%s: %+v", c.set, p.Problems)
		}
		exchanged := map[string]picture{}
		for _, pair := range p.pairing.Pairs {
			lq, gt := p.lq[pair.LQ], p.gt[pair.GT]
			exchanged[lq], exchanged[gt] = pictures[gt], pictures[lq]
		}
		if c.set == "SOTS" { // several degraded pictures share a clean one: any of them will do
			continue
		}
		if p.judgeSwapped(exchanged); !slices.Equal(kinds(r), []string{Swapped}) {
			t.Errorf("%s, exchanged: %v", c.set, kinds(r))
		}
	}
}

// What is known of the direction of a degradation, on numbers.
func TestDegradedBy(t *testing.T) {
	dull, rich := look{light: 20, detail: 2}, look{light: 100, detail: 8}
	for task, factor := range map[string]float64{"lowlight": 5, "blur": 4, "defocus": 4, "haze": 4, "noise": 0.25, "rain": 0.25, "snow": 0.25} {
		if got, known := degradedBy(task, dull, rich); !known || got != factor {
			t.Errorf("%s: %g, %v; want %g", task, got, known, factor)
		}
	}
	for _, task := range []string{"jpeg", "raindrop", "mixed", ""} {
		if _, known := degradedBy(task, dull, rich); known {
			t.Errorf("%s has no direction", task)
		}
	}
	if got, _ := degradedBy("blur", look{}, look{}); got != 1 {
		t.Errorf("even pictures: %g", got)
	}
	// 3x2 pixels whose green is 10, 20, 50 and 0, 0, 0.
	pix := []uint8{1, 10, 1, 2, 20, 2, 3, 50, 3, 9, 0, 9, 9, 0, 9, 9, 0, 9}
	if got := lookAt(3, 2, pix); got != (look{80.0 / 6, 40.0 / 6}) {
		t.Errorf("%+v", got)
	}
}

// A folder that holds both sides is told apart by its names; one that is a half is not taken for clean photos.
func TestCheckOneFolder(t *testing.T) {
	for _, c := range []struct{ lq, gt, rule string }{
		{"rain-%d.png", "norain-%d.png", "rain"},
		{"%d_low.png", "%d_high.png", "'*_low=*_high'"},
		{"low%d.png", "normal%d.png", "'low*=normal*'"},
		{"noisy_%d.png", "clean_%d.png", "'noisy_*=clean_*'"},
	} {
		dir := filepath.Join(t.TempDir(), "mine")
		for i := 1; i <= 3; i++ {
			writePicture(t, filepath.Join(dir, fmt.Sprintf(c.lq, i)), 8, 8, i)
			writePicture(t, filepath.Join(dir, fmt.Sprintf(c.gt, i)), 8, 8, 10+i)
		}
		r := check(t, dir, Options{})
		if want := "lq: DIR, gt: DIR, pair: " + c.rule + "}"; !strings.HasSuffix(strings.ReplaceAll(r.Parts[0].Recipe, filepath.ToSlash(dir), "DIR"), want) || r.Parts[0].Found != 3 {
			t.Errorf("%s: %d pairs, %s, want %s", c.lq, r.Parts[0].Found, r.Parts[0].Recipe, want)
		}
	}

	dir := rain12(t)
	half := check(t, filepath.Join(dir, "rainy"), Options{}).Parts[0]
	if !strings.Contains(half.Recipe, "/rainy, gt: ") || !strings.Contains(half.Recipe, "/norain, pair: rain}") || len(half.Notes) != 1 || !strings.Contains(half.Notes[0], "degraded pictures of pairs, with norain beside") {
		t.Errorf("%s, %q", half.Recipe, half.Notes)
	}
	half = check(t, filepath.Join(dir, "norain"), Options{}).Parts[0]
	if !strings.Contains(half.Recipe, "images: ") || len(half.Notes) != 1 || !strings.Contains(half.Notes[0], "clean pictures of pairs") {
		t.Errorf("%s, %q", half.Recipe, half.Notes)
	}
}

// Data is often kept on another disk, and linked.
func TestCheckLinks(t *testing.T) {
	parent, dir := t.TempDir(), rain12(t)
	if err := os.Symlink(dir, filepath.Join(parent, "Rain12")); err != nil {
		t.Skipf("symbolic links cannot be made here: %v", err)
	}
	for link, to := range map[string]string{"again": ".", "up": "..", "gone": "nowhere", "file": filepath.Join(dir, "rainy", "rain-001.png")} {
		if err := os.Symlink(to, filepath.Join(parent, link)); err != nil {
			t.Fatal(err)
		}
	}
	writePicture(t, filepath.Join(parent, "__MACOSX", "x.png"), 8, 8, 1)
	r := check(t, parent, Options{})
	if len(r.Parts) != 1 || r.Parts[0].Set != "Rain12" || len(r.Others) > 0 {
		t.Errorf("%+v, others %v", r.Parts, r.Others)
	}

	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"hazy": "rainy", "gt": "norain"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(mine, link)); err != nil {
			t.Fatal(err)
		}
	}
	if r := check(t, mine, Options{}); len(r.Parts) != 1 || r.Parts[0].Found != 12 {
		t.Errorf("%+v", r.Parts)
	}
}
