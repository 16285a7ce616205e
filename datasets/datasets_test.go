package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

// writePhoto writes a w x h picture whose pixels depend on position and seed.
func writePhoto(t *testing.T, path string, w, h, seed int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32((i*7+i*i%251+seed*31)%256) / 255
	}
	if err := imageio.Write(path, im); err != nil {
		t.Fatal(err)
	}
}

func photos(t *testing.T) *Images {
	t.Helper()
	images, err := FromFS(sample.FS, "train/1*.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// identity leaves a picture as it is, so that lq and gt of a sample must be equal.
type identity struct{ margin int }

func (identity) Kind() string                                         { return "none" }
func (d identity) Margin() int                                        { return d.margin }
func (identity) Apply(im *imageio.Image, _ *rand.Rand) *imageio.Image { return im.Clone() }

var fiveKindNames = []string{"noise", "rain", "haze", "blur", "lowlight"}

func fiveKinds(t *testing.T) []degrade.Degradation {
	t.Helper()
	var out []degrade.Degradation
	for _, kind := range fiveKindNames {
		d, err := degrade.New(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

func synthetic(t *testing.T, images *Images, cfg SyntheticConfig) *Synthetic {
	t.Helper()
	d, err := NewSynthetic(images, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustSample(t *testing.T, d Dataset, epoch, index int) Sample {
	t.Helper()
	s, err := d.Sample(epoch, index)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func equal(a, b Sample) bool {
	return slices.Equal(a.LQ.Pix, b.LQ.Pix) && slices.Equal(a.GT.Pix, b.GT.Pix) && a.LQ.W == b.LQ.W && a.Label == b.Label && a.Name == b.Name
}

// wantError checks that err says all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestImagesListing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.png", "sub/a.PNG", ".hidden.png", ".git/x.png"} {
		writePhoto(t, filepath.Join(dir, strings.ToLower(name)), 3, 2, 0)
		if err := os.Rename(filepath.Join(dir, strings.ToLower(name)), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	images, err := FromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if images.Len() != 2 || images.Name(0) != filepath.Join(dir, "b.png") || images.Name(1) != filepath.Join(dir, "sub", "a.PNG") {
		t.Errorf("listed %v", images.names)
	}
	if im, err := images.Image(0); err != nil || im.W != 3 || im.H != 2 {
		t.Errorf("picture 0: %v", err)
	}

	_, err = FromDir(filepath.Join(dir, "none"))
	wantError(t, err, "none", "no such file")
	_, err = FromDir(filepath.Join(dir, "notes.txt"))
	wantError(t, err, "notes.txt", "is a file")
	empty := t.TempDir()
	_, err = FromDir(empty)
	wantError(t, err, "no pictures in "+empty, ".png", ".jpg")
	_, err = FromFS(sample.FS, "nothing/*.jpg")
	wantError(t, err, "no pictures")
	_, err = FromFS(sample.FS, "[")
	wantError(t, err, `pattern "["`)
	if all, err := FromFS(sample.FS); err != nil || all.Len() != 61 {
		t.Errorf("all photos: %v", err)
	}
}

// countingFS counts how often a file is opened.
type countingFS struct {
	fs.FS
	opened atomic.Int64
}

func (c *countingFS) Open(name string) (fs.File, error) {
	if imageio.IsImage(name) {
		c.opened.Add(1)
	}
	return c.FS.Open(name)
}

// Pictures are decoded once while the cache has room, also when asked for at the same time.
func TestCache(t *testing.T) {
	for _, c := range []struct {
		limit int64
		want  int64 // files opened by two rounds over two pictures of 481*321*3 bytes
	}{{DefaultCacheBytes, 2}, {500_000, 3}, {0, 4}} {
		files := &countingFS{FS: sample.FS}
		images, err := FromFS(files, "train/1010*.jpg", "train/1030*.jpg")
		if err != nil {
			t.Fatal(err)
		}
		images.UseCache(NewCache(c.limit))
		for range 2 {
			for i := range 2 {
				if _, err := images.Image(i); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := files.opened.Load(); got != c.want {
			t.Errorf("limit %d: %d files opened, want %d", c.limit, got, c.want)
		}
	}
	files := &countingFS{FS: sample.FS}
	images, err := FromFS(files, "train/101027*.jpg") // a pattern: a plain name is opened by fs.Glob
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := images.Image(0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := files.opened.Load(); got != 1 {
		t.Errorf("decoded %d times at once", got)
	}
}

// Grey, 16-bit and transparent pictures are read as 8-bit RGB without alpha.
func TestImagesReadAsEightBitColour(t *testing.T) {
	dir := t.TempDir()
	im := imageio.New(2, 2)
	im.Depth, im.Gray = 16, true
	im.Alpha = []float32{1, 0.5, 1, 1}
	for c := range 3 {
		im.Pix[3*3+c] = 0.5
	}
	if err := imageio.Write(filepath.Join(dir, "a.png"), im); err != nil {
		t.Fatal(err)
	}
	images, err := FromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := images.Image(0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Alpha != nil || got.Depth != 8 || got.Pix[9] != float32(128)/255 {
		t.Errorf("alpha %v depth %d value %v", got.Alpha, got.Depth, got.Pix[9])
	}
}

func TestSyntheticOrderAndLabels(t *testing.T) {
	images := photos(t)
	n := images.Len()
	d := synthetic(t, images, SyntheticConfig{Degradations: fiveKinds(t), Patch: 16, Enlarge: 3, Seed: 1})
	if d.Len() != n*5*3 || !slices.Equal(d.Classes(), fiveKindNames) {
		t.Errorf("length %d, classes %v", d.Len(), d.Classes())
	}
	for _, index := range []int{0, n - 1, n, 3*n - 1, 3 * n, 15*n - 1} {
		s := mustSample(t, d, 0, index)
		if s.Label != index/(3*n) || s.Name != images.Name(index%n) {
			t.Errorf("sample %d: label %d name %s", index, s.Label, s.Name)
		}
		if s.LQ.W != 16 || s.LQ.H != 16 || s.GT.W != 16 || s.GT.H != 16 {
			t.Errorf("sample %d: size %dx%d", index, s.LQ.W, s.LQ.H)
		}
	}
}

// A sample depends on seed, epoch and index only: not on order, on other samples or on goroutines.
func TestSyntheticPurity(t *testing.T) {
	cfg := SyntheticConfig{Degradations: fiveKinds(t), Patch: 24, Seed: 7}
	d := synthetic(t, photos(t), cfg)
	rng := rand.New(rand.NewPCG(1, 1))
	indices := rng.Perm(d.Len())[:20]
	first := map[int]Sample{}
	for _, i := range indices {
		first[i] = mustSample(t, d, 2, i)
	}
	fresh := synthetic(t, photos(t), cfg)
	var wg sync.WaitGroup
	for _, i := range slices.Backward(indices) {
		wg.Go(func() {
			s, err := fresh.Sample(2, i)
			if err != nil || !equal(s, first[i]) {
				t.Errorf("sample %d differs when asked for in another order (%v)", i, err)
			}
		})
	}
	wg.Wait()
	other := cfg
	other.Seed = 8
	reseeded := synthetic(t, photos(t), other)
	for _, i := range indices[:5] {
		if equal(mustSample(t, d, 3, i), first[i]) || equal(mustSample(t, reseeded, 2, i), first[i]) {
			t.Errorf("sample %d is the same in another epoch or with another seed", i)
		}
	}
}

// An evaluation set is the same in each epoch, and a picture gets the same draws whatever else is
// in the set.
func TestSyntheticEval(t *testing.T) {
	images := photos(t)
	kinds := fiveKinds(t)
	d := synthetic(t, images, SyntheticConfig{Degradations: kinds, Seed: 3, Eval: true})
	s := mustSample(t, d, 0, images.Len()+2)
	whole, err := images.Image(2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.GT.Pix, whole.Pix) {
		t.Error("the clean picture is not the whole picture")
	}
	if !equal(s, mustSample(t, d, 5, images.Len()+2)) {
		t.Error("epochs differ")
	}
	alone := synthetic(t, images, SyntheticConfig{Degradations: kinds[1:2], Seed: 3, Eval: true})
	if !slices.Equal(mustSample(t, alone, 0, 2).LQ.Pix, s.LQ.Pix) {
		t.Error("the degraded picture depends on the other degradations in the set")
	}
	cropped := synthetic(t, images, SyntheticConfig{Degradations: kinds, Patch: 100, Seed: 3, Eval: true})
	middle := whole.Crop((whole.W-100)/2, (whole.H-100)/2, 100, 100)
	if !slices.Equal(mustSample(t, cropped, 0, 2).GT.Pix, middle.Pix) {
		t.Error("crop is not from the middle")
	}
}

// lq and gt are cut, flipped and transposed alike, whatever the margin.
func TestSyntheticAlignment(t *testing.T) {
	images := photos(t)
	for _, margin := range []int{0, 9} {
		d := synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{identity{margin}}, Patch: 40, Enlarge: 4})
		for i := range d.Len() {
			if s := mustSample(t, d, 0, i); !slices.Equal(s.LQ.Pix, s.GT.Pix) {
				t.Fatalf("margin %d: sample %d is not aligned", margin, i)
			}
		}
	}
}

// Pictures smaller than the patch are continued by reflection.
func TestSyntheticSmallPictures(t *testing.T) {
	dir := t.TempDir()
	writePhoto(t, filepath.Join(dir, "1x1.png"), 1, 1, 0)
	writePhoto(t, filepath.Join(dir, "1x5000.png"), 1, 5000, 1)
	writePhoto(t, filepath.Join(dir, "5x3.png"), 5, 3, 2)
	writePhoto(t, filepath.Join(dir, "7x20.png"), 7, 20, 3)
	var all []degrade.Degradation
	for _, kind := range append(degrade.Kinds(), "haze+blur+jpeg", "snow+camera+downscale", "rain+defocus+demosaick+inpaint") {
		d, err := degrade.New(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	images, err := FromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := synthetic(t, images, SyntheticConfig{Degradations: all, Patch: 16})
	for i := range d.Len() {
		s := mustSample(t, d, 0, i)
		if s.LQ.W != 16 || s.LQ.H != 16 {
			t.Errorf("%s: %dx%d", s.Name, s.LQ.W, s.LQ.H)
		}
		for _, v := range s.LQ.Pix {
			if name := d.Classes()[s.Label]; v != v || name != "noise" && (v < 0 || v > 1) {
				t.Fatalf("%s of %s: value %v", name, s.Name, v)
			}
		}
	}
	whole := synthetic(t, images, SyntheticConfig{Degradations: all, Eval: true})
	for i := range whole.Len() {
		mustSample(t, whole, 0, i)
	}
	s := mustSample(t, synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{identity{}}, Patch: 16, Eval: true}), 0, 2)
	small, err := images.Image(2)
	if err != nil {
		t.Fatal(err)
	}
	for y := range 16 {
		for x := range 16 {
			from := (imageio.Reflect(y, 3)*5 + imageio.Reflect(x, 5)) * 3
			if !slices.Equal(s.GT.Pix[(y*16+x)*3:][:3], small.Pix[from:from+3]) {
				t.Fatalf("pixel %d,%d is not the reflection", x, y)
			}
		}
	}
}

func TestSyntheticErrors(t *testing.T) {
	images := photos(t)
	light, heavy := degrade.GaussianNoise{Sigma: degrade.Fixed(15)}, degrade.GaussianNoise{Sigma: degrade.Fixed(50)}
	both := []degrade.Degradation{light, heavy}
	_, err := NewSynthetic(images, SyntheticConfig{})
	wantError(t, err, "at least one degradation")
	_, err = NewSynthetic(images, SyntheticConfig{Degradations: both})
	wantError(t, err, `kind "noise"`)
	_, err = NewSynthetic(images, SyntheticConfig{Degradations: both, Classes: []string{"a"}})
	wantError(t, err, "1 class names for 2")
	_, err = NewSynthetic(images, SyntheticConfig{Degradations: both[:1], Patch: -1})
	wantError(t, err, "negative")
	d := synthetic(t, images, SyntheticConfig{Degradations: both, Classes: []string{"noise", "noise"}, Patch: 8})
	if s := mustSample(t, d, 0, d.Len()-1); s.Label != 0 || len(d.Classes()) != 1 {
		t.Errorf("equal class names: label %d, classes %v", s.Label, d.Classes())
	}
	broken := fstest.MapFS{"a.png": {Data: []byte("<html>")}}
	bad, err := FromFS(broken)
	if err != nil {
		t.Fatal(err)
	}
	_, err = synthetic(t, bad, SyntheticConfig{Degradations: both[:1], Patch: 8}).Sample(0, 0)
	wantError(t, err, "a.png", "HTML text")
}

func TestPaired(t *testing.T) {
	for _, c := range []struct {
		rule   string
		lq, gt []string
		want   []string // clean partner of each degraded picture
	}{
		{PairName, []string{"close/a.png", "far/b.png"}, []string{"a.png", "b.png", "c.png"}, []string{"a.png", "b.png"}},
		{"low*=normal*", []string{"low00690.png", "low00691.png"}, []string{"normal00690.png", "normal00691.png"}, []string{"normal00690.png", "normal00691.png"}},
		{"*x2=*", []string{"norain-1x2.png", "norain-2x2.png"}, []string{"norain-1.png", "norain-2.jpg"}, []string{"norain-1.png", "norain-2.jpg"}},
		{"*_rain=*_clean", []string{"s1/0_rain.png", "s2/0_rain.png"}, []string{"s1/0_clean.png", "s2/0_clean.png"}, []string{"s1/0_clean.png", "s2/0_clean.png"}},
		{PairSame, []string{"a.png", "b/c.png"}, []string{"a.png", "b/c.png"}, []string{"a.png", "b/c.png"}},
		{PairSame, []string{"a.png"}, []string{"a.tif"}, []string{"a.tif"}},
		{PairSame, []string{"a.png"}, []string{"a.png", "a.tif"}, []string{"a.png"}},
		{PairPrefix, []string{"0001_0.8_0.2.png", "0001_1.png", "0002_0.8.png"}, []string{"0001.png", "0002.png", "0003.png"}, []string{"0001.png", "0001.png", "0002.png"}},
		{PairRain, []string{"rain-001.png", "rain-002.png"}, []string{"norain-001.png", "norain-002.png"}, []string{"norain-001.png", "norain-002.png"}},
	} {
		dir := t.TempDir()
		for i, name := range c.lq {
			writePhoto(t, filepath.Join(dir, "lq", name), 20, 12, i)
		}
		for i, name := range c.gt {
			writePhoto(t, filepath.Join(dir, "gt", name), 20, 12, 10+i)
		}
		cfg := PairedConfig{LQ: filepath.Join(dir, "lq"), GT: filepath.Join(dir, "gt"), Rule: c.rule, Eval: true}
		d, err := NewPaired(cfg)
		if err != nil {
			t.Fatalf("%s %v: %v", c.rule, c.lq, err)
		}
		if d.Len() != len(c.lq) || !slices.Equal(d.Classes(), []string{"lq"}) {
			t.Errorf("%s: length %d, classes %v", c.rule, d.Len(), d.Classes())
		}
		for i, want := range c.want {
			s := mustSample(t, d, 0, i)
			clean, err := imageio.Read(filepath.Join(dir, "gt", want))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.GT.Pix, clean.Pix) || s.Name != filepath.Join(dir, "lq", c.lq[i]) {
				t.Errorf("%s: %s is not paired with %s", c.rule, s.Name, want)
			}
		}
	}
}

// Both pictures of a pair are cut and turned alike, at each size of patch.
func TestPairedAlignment(t *testing.T) {
	dir := t.TempDir()
	writePhoto(t, filepath.Join(dir, "lq/a.png"), 20, 12, 5)
	writePhoto(t, filepath.Join(dir, "gt/a.png"), 20, 12, 5)
	for _, patch := range []int{0, 8, 12, 32} {
		d, err := NewPaired(PairedConfig{LQ: filepath.Join(dir, "lq"), GT: filepath.Join(dir, "gt"), Class: "rain", Patch: patch, Cache: NewCache(1)})
		if err != nil {
			t.Fatal(err)
		}
		different := false
		for epoch := range 10 {
			s := mustSample(t, d, epoch, 0)
			if !slices.Equal(s.LQ.Pix, s.GT.Pix) || patch > 0 && s.LQ.W != patch {
				t.Errorf("patch %d: pair not aligned, or wrong size", patch)
			}
			different = different || !slices.Equal(s.LQ.Pix, mustSample(t, d, 0, 0).LQ.Pix)
		}
		if !different || d.Classes()[0] != "rain" {
			t.Errorf("patch %d: epochs do not differ, or class is %v", patch, d.Classes())
		}
	}
}

func TestPairedErrors(t *testing.T) {
	type file struct {
		name string
		w, h int
	}
	for _, c := range []struct {
		name, rule string
		files      []file
		want       []string
	}{
		{"missing clean partner", "", []file{{"lq/a.png", 4, 4}, {"lq/b.png", 4, 4}, {"gt/a.png", 4, 4}}, []string{"lq/b.png has no clean partner named b.*"}},
		{"missing degraded partner", "", []file{{"lq/a.png", 4, 4}, {"gt/a.png", 4, 4}, {"gt/b.png", 4, 4}}, []string{"gt/b.png has no degraded partner"}},
		{"unequal size", "", []file{{"lq/a.png", 4, 5}, {"gt/a.png", 4, 4}}, []string{"lq/a.png has 4x5 pixels", "gt/a.png has 4x4"}},
		{"empty degraded folder", "", []file{{"lq/readme.bmp/x.txt", 0, 0}, {"gt/a.png", 4, 4}}, []string{"degraded pictures", "no pictures in"}},
		{"no clean folder", "", []file{{"lq/a.png", 4, 4}}, []string{"clean pictures", "gt", "no such file"}},
		{"several partners", "prefix", []file{{"lq/a_1.tif", 4, 4}, {"gt/a.png", 4, 4}, {"gt/sub/a.png", 4, 4}}, []string{"several clean partners"}},
		{"not a rain name", "rain", []file{{"lq/a.png", 4, 4}, {"gt/norain-1.png", 4, 4}}, []string{"lq/a.png is not named rain-*"}},
		{"unknown rule", "suffix", nil, []string{`"suffix"`, `"same"`, `"prefix"`, `"rain"`, `"low*=normal*"`}},
		{"unequal numbers", "order", []file{{"lq/a.png", 4, 4}, {"lq/b.png", 4, 4}, {"gt/a.png", 4, 4}}, []string{"2 degraded and 1 clean"}},
		{"two stars", "*_*=*", nil, []string{`"*_*=*"`}},
		{"a folder in a rule", "a/*=*", nil, []string{`"a/*=*"`}},
		{"another sub-folder", "a*=b*", []file{{"lq/1/a1.png", 4, 4}, {"gt/2/b1.png", 4, 4}}, []string{"a1.png has no clean partner named 1/b1.*"}},
		{"many", "", []file{{"lq/1.png", 4, 4}, {"lq/2.png", 4, 4}, {"lq/3.png", 4, 4}, {"lq/4.png", 4, 4}, {"lq/5.png", 4, 4}, {"lq/6.png", 4, 4}, {"gt/0.png", 4, 4}}, []string{"and 2 more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range c.files {
				if f.w > 0 {
					writePhoto(t, filepath.Join(dir, f.name), f.w, f.h, 0)
				} else if err := os.MkdirAll(filepath.Join(dir, f.name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, err := NewPaired(PairedConfig{LQ: filepath.Join(dir, "lq"), GT: filepath.Join(dir, "gt"), Rule: c.rule})
			wantError(t, err, c.want...)
		})
	}

	dir := t.TempDir()
	writePhoto(t, filepath.Join(dir, "lq/a.png"), 4, 4, 0)
	writePhoto(t, filepath.Join(dir, "gt/a.png"), 4, 4, 0)
	d, err := NewPaired(PairedConfig{LQ: filepath.Join(dir, "lq"), GT: filepath.Join(dir, "gt"), Cache: NewCache(1)})
	if err != nil {
		t.Fatal(err)
	}
	writePhoto(t, filepath.Join(dir, "gt/a.png"), 5, 4, 0) // changed after the check
	_, err = d.Sample(0, 0)
	wantError(t, err, "a.png", "equal in size")
	if err := os.Remove(filepath.Join(dir, "gt/a.png")); err != nil {
		t.Fatal(err)
	}
	_, err = d.Sample(0, 0)
	wantError(t, err, "gt/a.png", "no such file")
	if err := os.WriteFile(filepath.Join(dir, "gt/a.png"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = NewPaired(d.cfg)
	wantError(t, err, "gt/a.png", "empty")
}

// fixed is a data set of n samples whose first value tells epoch and index; every `odd`-th is larger.
type fixed struct {
	n, odd  int
	classes []string
	fail    int // index that fails, -1: none
	made    *atomic.Int64
}

func (f fixed) Len() int          { return f.n }
func (f fixed) Classes() []string { return f.classes }
func (f fixed) Sample(epoch, index int) (Sample, error) {
	if f.made != nil {
		f.made.Add(1)
	}
	if index == f.fail {
		return Sample{}, errors.New("photo.png is truncated")
	}
	side := 2
	if f.odd > 0 && index%f.odd == f.odd-1 {
		side = 3
	}
	im := imageio.New(side, side)
	im.Pix[0] = float32(epoch*1000 + index)
	return Sample{LQ: im, GT: im.Clone(), Label: index % len(f.classes), Name: fmt.Sprintf("%d.png", index)}, nil
}

func TestConcatClasses(t *testing.T) {
	five := fixed{n: 4, classes: []string{"noise", "rain"}, fail: -1}
	one := fixed{n: 3, classes: []string{"rain"}, fail: -1}
	for _, c := range []struct {
		parts   []Part
		classes []string
		last    int // label of the last sample
	}{
		{[]Part{{Dataset: one}, {Dataset: one}}, []string{"rain", "rain (2)"}, 1},
		{[]Part{{Dataset: five}, {Dataset: one, Class: "rain"}}, []string{"noise", "rain"}, 1},
		{[]Part{{Dataset: five}, {Dataset: one}}, []string{"noise", "rain", "rain (2)"}, 2},
		{[]Part{{Dataset: one, Class: "snow"}, {Dataset: five, Class: "mixed"}}, []string{"snow", "mixed"}, 1},
	} {
		d, err := NewConcat(c.parts...)
		if err != nil {
			t.Fatal(err)
		}
		if s := mustSample(t, d, 0, d.Len()-1); !slices.Equal(d.Classes(), c.classes) || s.Label != c.last {
			t.Errorf("classes %v, last label %d; want %v, %d", d.Classes(), s.Label, c.classes, c.last)
		}
	}

	// Repetitions within an epoch, and all epochs, are different draws.
	d, err := NewConcat(Part{Dataset: one, Enlarge: 2})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[float32]bool{}
	for epoch := range 3 {
		for i := range d.Len() {
			seen[mustSample(t, d, epoch, i).LQ.Pix[0]] = true
		}
	}
	if len(seen) != 3*6 {
		t.Errorf("%d different draws, want 18", len(seen))
	}

	_, err = NewConcat()
	wantError(t, err, "empty")
	_, err = NewConcat(Part{Dataset: one}, Part{Dataset: fixed{classes: []string{"x"}}})
	wantError(t, err, "data set 2 of 2", "0 samples")
	_, err = NewConcat(Part{Dataset: one, Enlarge: -1})
	wantError(t, err, "enlarge -1")
	failing, err := NewConcat(Part{Dataset: fixed{n: 1, classes: []string{"x"}, fail: 0}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = failing.Sample(0, 0)
	wantError(t, err, "photo.png")
}

// batches returns the first value of each sample of n batches.
func batches(t *testing.T, ds Dataset, cfg LoaderConfig, n int) []float32 {
	t.Helper()
	l := NewLoader(ds, cfg)
	defer l.Close()
	var out []float32
	for range n {
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b.N != cfg.BatchSize || b.H != 2 || b.W != 2 || len(b.LQ) != b.N*12 || len(b.GT) != b.N*12 || len(b.Labels) != b.N || len(b.Names) != b.N {
			t.Fatalf("batch of shape %d,%d,%d with %d values", b.N, b.H, b.W, len(b.LQ))
		}
		for j := range b.N {
			out = append(out, b.LQ[j*12])
			if index := int(b.GT[j*12]) % 1000; b.Names[j] != fmt.Sprintf("%d.png", index) || int(b.Labels[j]) != index%2 {
				t.Fatalf("sample %v has name %s, label %d", b.LQ[j*12], b.Names[j], b.Labels[j])
			}
		}
	}
	return out
}

// Order and content do not depend on workers, prefetching or the step at which loading began; every
// epoch is a permutation; batches reach over the end of an epoch.
func TestLoaderOrder(t *testing.T) {
	ds := fixed{n: 10, classes: []string{"a", "b"}, fail: -1}
	want := batches(t, ds, LoaderConfig{BatchSize: 3, Seed: 5, Workers: 1, Prefetch: 1}, 10)
	for epoch := range 3 {
		part := slices.Sorted(slices.Values(want[epoch*10 : epoch*10+10]))
		for i, v := range part {
			if v != float32(epoch*1000+i) {
				t.Fatalf("epoch %d is no permutation: %v", epoch, part)
			}
		}
	}
	if slices.Equal(want[:10], want[10:20]) {
		t.Error("epochs have the same order")
	}
	for _, cfg := range []LoaderConfig{{}, {Workers: 4, Prefetch: 7}, {Workers: 8, Prefetch: 1}} {
		cfg.BatchSize, cfg.Seed = 3, 5
		if got := batches(t, ds, cfg, 10); !slices.Equal(got, want) {
			t.Errorf("%+v: other order", cfg)
		}
		cfg.Start = 4
		if got := batches(t, ds, cfg, 6); !slices.Equal(got, want[12:]) {
			t.Errorf("%+v: resuming at step 4 gives other batches", cfg)
		}
	}
	if got := batches(t, ds, LoaderConfig{BatchSize: 3, Seed: 6}, 10); slices.Equal(got, want) {
		t.Error("seed makes no difference")
	}
	// A batch larger than the set runs through several epochs.
	got := batches(t, fixed{n: 2, classes: []string{"a", "b"}, fail: -1}, LoaderConfig{BatchSize: 7}, 2)
	if got[13] < 6000 {
		t.Errorf("sample 13 of a set of 2 is of epoch %v", got[13]/1000)
	}
}

func TestLoaderErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		ds   Dataset
		size int
		want string
	}{
		{"failing sample", fixed{n: 1, classes: []string{"a"}, fail: 0}, 1, "batch 0: photo.png is truncated"},
		{"mixed sizes", fixed{n: 2, odd: 2, classes: []string{"a"}, fail: -1}, 2, "set a patch size"},
		{"empty set", fixed{classes: []string{"a"}}, 1, "empty"},
		{"no batch size", fixed{n: 1, classes: []string{"a"}, fail: -1}, 0, "batch size is 0"},
	} {
		l := NewLoader(c.ds, LoaderConfig{BatchSize: c.size})
		_, err := l.Next()
		wantError(t, err, c.want)
		l.Close()
	}
	wantError(t, new(Batch).put(0, Sample{LQ: imageio.New(2, 2), GT: imageio.New(2, 3), Name: "x.png"}), "x.png", "2x2", "2x3")

	// An error takes the place of its batch only.
	l := NewLoader(fixed{n: 3, classes: []string{"a"}, fail: 1}, LoaderConfig{BatchSize: 1})
	defer l.Close()
	failed := 0
	for range 6 {
		if _, err := l.Next(); err != nil {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d of 6 batches failed, want 2", failed)
	}
}

// In a synctest bubble the test fails if a goroutine is left over.
func TestLoaderCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		l := NewLoader(fixed{n: 100, classes: []string{"a"}, fail: -1, made: &made}, LoaderConfig{BatchSize: 2, Workers: 3, Prefetch: 4})
		synctest.Wait() // nothing moves any more: everything that may be prepared is prepared
		if n := made.Load(); n != 2*4 {
			t.Errorf("%d samples prepared ahead, want 8", n)
		}
		if _, err := l.Next(); err != nil {
			t.Error(err)
		}
		l.Close()
		l.Close()
		if _, err := l.Next(); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // Close while another goroutine waits
		gate := make(chan struct{})
		l := NewLoader(blocking{fixed{n: 1, classes: []string{"a"}, fail: -1}, gate}, LoaderConfig{BatchSize: 1, Workers: 1})
		got := make(chan error)
		go func() {
			_, err := l.Next()
			got <- err
		}()
		synctest.Wait()
		go l.Close()
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("Next during Close: %v", err)
		}
		close(gate)
	})
}

// blocking makes no sample before the gate opens.
type blocking struct {
	fixed
	gate chan struct{}
}

func (b blocking) Sample(epoch, index int) (Sample, error) {
	<-b.gate
	return b.fixed.Sample(epoch, index)
}

// The whole chain on real photos, with several workers: what `go test -race` watches.
func TestLoaderOnPhotos(t *testing.T) {
	load := func(workers int) []*Batch {
		train := synthetic(t, photos(t), SyntheticConfig{Degradations: fiveKinds(t), Patch: 32, Enlarge: 2, Seed: 1})
		both, err := NewConcat(Part{Dataset: train}, Part{Dataset: train, Class: "noise", Enlarge: 2})
		if err != nil {
			t.Fatal(err)
		}
		l := NewLoader(both, LoaderConfig{BatchSize: 4, Seed: 2, Workers: workers})
		defer l.Close()
		var out []*Batch
		for range 12 {
			b, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	one, many := load(1), load(4)
	for s := range one {
		if !slices.Equal(one[s].LQ, many[s].LQ) || !slices.Equal(one[s].GT, many[s].GT) || !slices.Equal(one[s].Labels, many[s].Labels) || !slices.Equal(one[s].Names, many[s].Names) {
			t.Errorf("batch %d depends on the number of workers", s)
		}
	}
}

// The official draw: three flips alike, transposition in three of four cases. 6000 draws, five
// standard errors.
func TestAugmentationFrequencies(t *testing.T) {
	flips, transposed := [3]int{}, 0
	for i := range 6000 {
		a := drawAugmentation(stream(1, 0, i))
		flips[a.flip]++
		if a.rot != 0 {
			transposed++
		}
	}
	for _, n := range flips {
		if n < 2000-183 || n > 2000+183 {
			t.Errorf("flips %v, want 2000 each", flips)
		}
	}
	if transposed < 4500-168 || transposed > 4500+168 {
		t.Errorf("%d transposed, want 4500", transposed)
	}
}

func TestPlaceCoversThePicture(t *testing.T) {
	seen := map[[2]int]bool{}
	for i := range 500 {
		x, y := place(10, 9, 8, false, stream(1, 0, i))
		seen[[2]int{x, y}] = true
	}
	if len(seen) != 3*2 {
		t.Errorf("places %v, want x 0..2, y 0..1", seen)
	}
	if x, y := place(3, 20, 8, true, nil); x != 0 || y != 6 {
		t.Errorf("middle at %d,%d, want 0,6", x, y)
	}
}
