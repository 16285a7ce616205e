package datasets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
)

// brokenFolder writes n pictures and damages some, each in another way.
func brokenFolder(t *testing.T, n int, damaged ...int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		writePhoto(t, filepath.Join(dir, fmt.Sprintf("%03d.png", i)), 12, 9, i)
	}
	for k, i := range damaged {
		breakFile(t, filepath.Join(dir, fmt.Sprintf("%03d.png", i)), k)
	}
	return dir
}

func breakFile(t *testing.T, path string, way int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = [][]byte{data[:len(data)/2], nil, []byte("<html>404"), data[:20]}[way%4]
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func cleanSet(t *testing.T, dir string) Dataset {
	t.Helper()
	images, err := FromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{identity{}}, Patch: 8})
}

// In place of a sample that cannot be read there is the next that can, whatever else is read before or
// at the same time; each file is named once, in the first batch that needed it.
func TestSkipping(t *testing.T) {
	dir := brokenFolder(t, 40, 3, 4, 17, 39)
	type batch struct{ files, skipped []string }
	load := func(cfg LoaderConfig, n int) []batch {
		c := mixture(t)(NewConcat(Part{Dataset: cleanSet(t, dir), Class: "noise", Skip: 4}, Part{Dataset: cleanSet(t, brokenFolder(t, 5)), Class: "rain"}))
		cfg.BatchSize, cfg.Seed = 5, 3
		l := NewLoader(c, cfg)
		defer l.Close()
		var out []batch
		for range n {
			b, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			var skipped []string
			for _, s := range b.Skipped {
				if s.Part != 0 || !strings.Contains(s.Err.Error(), s.File) {
					t.Errorf("skipped %+v", s)
				}
				skipped = append(skipped, filepath.Base(s.File))
			}
			var files []string
			for _, name := range b.Names {
				files = append(files, filepath.Base(name))
			}
			out = append(out, batch{files, skipped})
		}
		return out
	}
	want := load(LoaderConfig{Workers: 1}, 18)
	times, skipped := map[string]int{}, []string(nil)
	for _, b := range want {
		skipped = append(skipped, b.skipped...)
		for _, f := range b.files {
			times[f]++
		}
	}
	slices.Sort(skipped)
	if !slices.Equal(skipped, []string{"003.png", "004.png", "017.png", "039.png"}) {
		t.Errorf("skipped %v", skipped)
	}
	// In two epochs each picture twice, those of the other part besides, and those after damaged ones
	// in their place.
	for file, n := range map[string]int{"000.png": 2 + 2 + 2, "003.png": 2, "004.png": 2, "005.png": 3 * 2, "006.png": 2, "018.png": 2 * 2, "039.png": 0} {
		if times[file] != n {
			t.Errorf("%s occurs %d times, want %d", file, times[file], n)
		}
	}
	for _, workers := range []int{2, 7} {
		got := load(LoaderConfig{Workers: workers}, 18)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d workers: other batches", workers)
		}
		const start = 4
		var known []Skipped
		for _, b := range want[:start] {
			for _, f := range b.skipped {
				known = append(known, Skipped{File: filepath.Join(dir, f)})
			}
		}
		if len(known) == 0 || len(known) == 4 {
			t.Fatalf("%d files known at the resumption: nothing to tell", len(known))
		}
		got = load(LoaderConfig{Workers: workers, Start: start, Skipped: known}, 18-start)
		if fmt.Sprint(got) != fmt.Sprint(want[start:]) {
			t.Errorf("%d workers, resumed: other batches", workers)
		}
	}
}

// The batch at which there are too many is the same for any number of workers, and after a resumption.
func TestTooManyDamaged(t *testing.T) {
	dir := brokenFolder(t, 40, 3, 9, 17, 30)
	fails := func(workers, start, limit int, known []Skipped) (step int, found []Skipped, err error) {
		l := NewLoader(mixture(t)(NewConcat(Part{Dataset: cleanSet(t, dir), Class: "rain", Skip: limit})),
			LoaderConfig{BatchSize: 2, Workers: workers, Start: start, Skipped: known})
		defer l.Close()
		for step = start; step < 20; step++ {
			b, err := l.Next()
			if err != nil {
				return step, found, err
			}
			found = append(found, b.Skipped...)
		}
		return step, found, nil
	}
	at, found, err := fails(1, 0, 3, nil)
	var many *TooManyDamagedError
	if !errors.As(err, &many) || many.Part != 0 || many.Limit != 3 || many.Len != 40 || len(many.Files) != 4 || len(found) != 3 {
		t.Fatalf("step %d: %v, after %d files", at, err, len(found))
	}
	wantError(t, err, "data set rain has 40 samples", "at most 3", filepath.Join(dir, "017.png"))
	for _, workers := range []int{3, 8} {
		if step, _, err := fails(workers, 0, 3, nil); step != at || err == nil {
			t.Errorf("%d workers: %v at step %d, want step %d", workers, err, step, at)
		}
		if step, _, err := fails(workers, at-1, 3, found); step != at || err == nil {
			t.Errorf("%d workers, resumed: %v at step %d, want step %d", workers, err, step, at)
		}
	}
	if _, found, err := fails(2, 0, 4, nil); err != nil || len(found) != 4 {
		t.Errorf("a limit that is just kept: %v, %d files", err, len(found))
	}
	_, _, err = fails(2, 0, 0, nil)
	var damaged *imageio.DamagedError
	if !errors.As(err, &damaged) {
		t.Errorf("without skipping: %v", err)
	}

	// A folder of nothing else is not read to its end before that is said.
	all := make([]int, 30)
	for i := range all {
		all[i] = i
	}
	c := mixture(t)(NewConcat(Part{Dataset: cleanSet(t, brokenFolder(t, 30, all...)), Class: "rain", Skip: 2}))
	if _, err = c.Sample(0, 28); !errors.As(err, &many) || len(many.Files) != 3 {
		t.Errorf("all damaged: %v", err)
	}
	c = mixture(t)(NewConcat(Part{Dataset: cleanSet(t, brokenFolder(t, 1, 0)), Class: "rain", Skip: 1}))
	_, err = c.Sample(0, 0)
	wantError(t, err, "data set rain", "not one of its 1 samples can be read", "000.png")
	// What is not damage is no reason to skip.
	c = mixture(t)(NewConcat(Part{Dataset: fixed{n: 3, classes: []string{"a"}, fail: 1}, Skip: 2}))
	_, err = c.Sample(0, 1)
	wantError(t, err, "photo.png is truncated")
}

// A pair is skipped if either of its files is damaged, also where the header is; a clean picture of
// several pairs counts once.
func TestSkippingPairs(t *testing.T) {
	dir := t.TempDir()
	lq, gt := filepath.Join(dir, "lq"), filepath.Join(dir, "gt")
	for i := range 4 {
		writePhoto(t, filepath.Join(gt, fmt.Sprintf("%d.png", i)), 10, 10, i)
		for j := range 3 {
			writePhoto(t, filepath.Join(lq, fmt.Sprintf("%d_%d.png", i, j)), 10, 10, i)
		}
	}
	breakFile(t, filepath.Join(gt, "1.png"), 0)
	breakFile(t, filepath.Join(lq, "0_2.png"), 2)
	cfg := PairedConfig{LQ: lq, GT: gt, Rule: PairPrefix, Patch: 8}
	_, err := NewPaired(cfg)
	wantError(t, err, "0_2.png", "HTML")
	cfg.KeepDamaged = true
	pairs, err := NewPaired(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := mixture(t)(NewConcat(Part{Dataset: pairs, Class: "haze", Skip: 2}))
	s := mustSample(t, c, 0, 2) // 0_2, then all of 1
	if filepath.Base(s.Name) != "2_0.png" || len(s.Skipped) != 2 || filepath.Base(s.Skipped[1].File) != "1.png" {
		t.Errorf("%s in place of %v", s.Name, s.Skipped)
	}
	writePhoto(t, filepath.Join(lq, "3_1.png"), 9, 10, 0) // unequal size is the wrong picture, not damage
	_, err = NewPaired(cfg)
	wantError(t, err, "3_1.png has 9x10", `"godcpt data check `+dir+`"`)
}

// Damaged files are decoded once.
func TestDamagedIsRemembered(t *testing.T) {
	dir := brokenFolder(t, 2, 1)
	files := &countingFS{FS: os.DirFS(dir)}
	images, err := FromFS(files)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := images.Image(1); err == nil {
			t.Error("a damaged picture was read")
		}
	}
	if n := files.opened.Load(); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

// Several sets that share a cache keep its bound together, and use it.
func TestSharedCache(t *testing.T) {
	const bytes = 12 * 9 * 3
	cache := NewCache(7*bytes + bytes/2)
	var parts []Part
	var files []*countingFS
	for i := range 4 {
		f := &countingFS{FS: os.DirFS(brokenFolder(t, 5))}
		images, err := FromFS(f)
		if err != nil {
			t.Fatal(err)
		}
		images.UseCache(cache)
		files = append(files, f)
		parts = append(parts, Part{Dataset: synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{identity{}}, Patch: 8}), Class: fmt.Sprint(i)})
	}
	c := mixture(t)(NewConcat(parts...))
	l := NewLoader(c, LoaderConfig{BatchSize: 4, Workers: 6})
	defer l.Close()
	for range 15 { // three epochs of 20
		if _, err := l.Next(); err != nil {
			t.Fatal(err)
		}
		if used := cache.Used(); used > 7*bytes {
			t.Fatalf("%d bytes used, the limit is %d", used, 7*bytes+bytes/2)
		}
	}
	if used := cache.Used(); used != 7*bytes {
		t.Errorf("%d bytes used in the end, want those of seven pictures", used)
	}
	l.Close()
	opened := func() (n int64) {
		for _, f := range files {
			n += f.opened.Load()
		}
		return n
	}
	before := opened()
	for i := range c.Len() {
		mustSample(t, c, 0, i)
	}
	if n := opened() - before; n != 13 {
		t.Errorf("%d of 20 pictures were decoded again, want 13", n)
	}
}
