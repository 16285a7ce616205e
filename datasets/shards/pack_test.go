package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
)

// writePicture writes a w x h picture whose pixels depend on position and seed.
func writePicture(t *testing.T, path string, w, h, seed int) {
	t.Helper()
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32((i*7+i*i%251+seed*31)%256) / 255
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := imageio.Write(path, im); err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, cfg PackConfig) *Packed {
	t.Helper()
	p, err := Pack(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What comes out of shards is what went in, byte for byte, under keys without dots; equal calls give
// equal shards, of at most the size that was asked for.
func TestPackPhotos(t *testing.T) {
	src := t.TempDir()
	names := map[string]string{ // file: key and extension
		"a.png": "a.png", "a.tif": "a-2.tif", // in the order of the files
		"sub/b.c.PNG": "sub/b_c.png", "sub.d/b_c.png": "sub.d/b_c.png",
		"sub/b_c.png": "sub/b_c-2.png", "ü ä.png": "ü ä.png",
		strings.Repeat("long", 40) + ".png": strings.Repeat("long", 40) + ".png",
	}
	i := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		writePicture(t, filepath.Join(src, strings.ToLower(name)), 9+i, 8, i)
		if lower := strings.ToLower(name); lower != name {
			if err := os.Rename(filepath.Join(src, lower), filepath.Join(src, name)); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
	dir := t.TempDir()
	const size = 6000
	calls := 0
	first := pack(t, PackConfig{Images: src, Out: filepath.Join(dir, "set"), ShardBytes: size, Progress: func(_, total int) {
		if calls++; total != len(names) {
			t.Errorf("%d samples in all", total)
		}
	}})
	if first.Samples != len(names) || calls != len(names) || len(first.Damaged) != 0 || len(first.Files) < 2 {
		t.Errorf("packed %+v with %d calls", first, calls)
	}
	f, err := OpenFiles(filepath.Join(dir, "set"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]string{} // member: path
	for _, name := range files(t, f) {
		_, member, _ := strings.Cut(name, "/")
		stored[member] = name
	}
	if len(stored) != len(names) {
		t.Errorf("stored: %q", stored)
	}
	for file, member := range names {
		want, err := os.ReadFile(filepath.Join(src, file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(f, stored[member])
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, stored as %s: %v; stored are %q", file, member, err, stored)
		}
	}
	var bytesOf int64
	for i, file := range first.Files {
		if want := filepath.Join(dir, "set", fmt.Sprintf("set-%06d.tar", i)); file != want {
			t.Errorf("file %s, want %s", file, want)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytesOf += info.Size(); info.Size() > size {
			t.Errorf("%s has %d bytes", file, info.Size())
		}
	}
	if bytesOf != first.Bytes {
		t.Errorf("%d bytes, said %d", bytesOf, first.Bytes)
	}

	contents := func(p *Packed) []byte {
		var all []byte
		for _, file := range p.Files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	again := pack(t, PackConfig{Images: src, Out: filepath.Join(dir, "again", "set"), ShardBytes: size})
	other := pack(t, PackConfig{Images: src, Out: filepath.Join(dir, "other"), ShardBytes: size, Seed: 1})
	if !bytes.Equal(contents(first), contents(again)) {
		t.Error("the same call gives other shards")
	}
	if bytes.Equal(contents(first), contents(other)) {
		t.Error("another seed gives the same order")
	}
}

// Pairs from shards are the samples that the folders give.
func TestPackPairs(t *testing.T) {
	lq, gt, out := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "pairs")
	for i := range 5 {
		writePicture(t, filepath.Join(lq, fmt.Sprintf("rain-%d.png", i)), 8+i, 9, i)
		writePicture(t, filepath.Join(gt, fmt.Sprintf("norain-%d.tif", i)), 8+i, 9, i+100)
	}
	p := pack(t, PackConfig{Images: lq, GT: gt, Rule: datasets.PairRain, Out: out, ShardBytes: 9000})
	if p.Samples != 5 || len(p.Files) < 2 {
		t.Errorf("packed %+v", p)
	}
	cfg := datasets.PairedConfig{Class: "rain", Eval: true}
	f, err := OpenFiles(out, Config{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := datasets.PairedFromFS(f, cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.LQ, cfg.GT, cfg.Rule = lq, gt, datasets.PairRain
	want, err := datasets.NewPaired(cfg)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]datasets.Sample{}
	for i := range got.Len() {
		s, err := got.Sample(0, i)
		if err != nil {
			t.Fatal(err)
		}
		byName[Key(filepath.Base(s.Name))] = s
	}
	for i := range want.Len() {
		w, err := want.Sample(0, i)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := byName[Key(filepath.Base(w.Name))]
		if !ok || !slices.Equal(s.LQ.Pix, w.LQ.Pix) || !slices.Equal(s.GT.Pix, w.GT.Pix) {
			t.Errorf("%s differs from the shards' pair", w.Name)
		}
	}
	if _, ok := datasets.InShardOrder(got).(datasets.Ordered); !ok {
		t.Error("pairs in shards have no order")
	}
}

func TestPairsFromShardsErrors(t *testing.T) {
	open := func(names ...string) (*datasets.Paired, error) {
		f, err := Open(mapFS(map[string][]byte{"a.tar": archive(t, regular(names...)...)}), "*", Config{})
		if err != nil {
			t.Fatal(err)
		}
		return datasets.PairedFromFS(f, datasets.PairedConfig{Class: "x"})
	}
	_, err := open("1.png", "2.png")
	wantError(t, err, "no pairs", "KEY.lq.png")
	_, err = open("1.lq.png", "1.gt.png", "2.lq.png", "3.gt.jpg")
	wantError(t, err, "a.tar/2.lq.png has no clean partner", "a.tar/3.gt.jpg has no degraded partner")
	_, err = open("1.lq.png", "1.gt.png", "1.gt.jpg", "1.lq.jpg")
	wantError(t, err, "have one key", "has no clean partner of its own")
	for _, cfg := range []datasets.PairedConfig{{}, {Class: "x", LQ: "y"}, {Class: "x", Rule: "same"}, {Class: "x", Patch: -1}} {
		if _, err := datasets.PairedFromFS(mapFS(nil), cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// Damaged pictures and unequal pairs are left out and named, up to a limit; what cannot be packed
// leaves nothing behind.
func TestPackDamaged(t *testing.T) {
	lq, gt, parent := t.TempDir(), t.TempDir(), t.TempDir()
	out := filepath.Join(parent, "set")
	for i := range 40 {
		writePicture(t, filepath.Join(lq, fmt.Sprintf("%02d.png", i)), 8, 8, i)
		writePicture(t, filepath.Join(gt, fmt.Sprintf("%02d.png", i)), 8, 8, i)
	}
	cut := filepath.Join(gt, "07.png")
	data, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, data[:len(data)-20], 0o644); err != nil { // its header is whole
		t.Fatal(err)
	}
	writePicture(t, filepath.Join(lq, "11.png"), 9, 8, 0)
	cfg := PackConfig{Images: lq, GT: gt, Out: out}
	p := pack(t, cfg)
	if p.Samples != 38 || len(p.Damaged) != 2 {
		t.Fatalf("packed %+v", p)
	}
	wantError(t, p.Damaged[0], cut, "truncated or damaged PNG")
	wantError(t, p.Damaged[1], "11.png has 9x8 pixels", "has 8x8", "equal in size")

	_, err = Pack(t.Context(), cfg)
	wantError(t, err, out+" is not empty")
	cfg.Out = filepath.Join(parent, "new")
	tooSmall := cfg
	tooSmall.ShardBytes = 2000
	_, err = Pack(t.Context(), tooSmall)
	wantError(t, err, "takes", "a shard may have 2000: give a larger shard size")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err = Pack(stopped, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	writePicture(t, filepath.Join(lq, "12.png"), 9, 8, 0)
	_, err = Pack(t.Context(), cfg)
	wantError(t, err, "3 of 40 samples cannot be used, more than 5 %", "07.png", "11.png", "12.png")
	if err := os.Remove(filepath.Join(lq, "12.png")); err != nil {
		t.Fatal(err)
	}
	_, err = Pack(t.Context(), cfg)
	wantError(t, err, "12.png has no degraded partner")
	_, err = Pack(t.Context(), PackConfig{Images: filepath.Join(parent, "none"), Out: cfg.Out})
	wantError(t, err, "none", "no such file")
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A file that changes while it is packed ends the work, and an empty folder may be given.
func TestPackFolder(t *testing.T) {
	src, out := t.TempDir(), t.TempDir()
	path := filepath.Join(src, "p.png")
	writePicture(t, path, 8, 8, 0)
	_, err := Pack(t.Context(), PackConfig{Images: src, Out: out, Progress: func(int, int) {
		if err := os.WriteFile(path, []byte("short"), 0o644); err != nil {
			t.Error(err)
		}
	}})
	wantError(t, err, "p.png has changed while it was packed")
	if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) != 2 { // src and out
		t.Errorf("left behind: %v, %v", entries, err)
	}
	writePicture(t, path, 8, 8, 0)
	pack(t, PackConfig{Images: src, Out: out})
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 1 {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}

// A list chooses what is packed: of photos, and of pairs.
func TestPackList(t *testing.T) {
	lq, gt, dir := t.TempDir(), t.TempDir(), t.TempDir()
	for i := range 4 {
		writePicture(t, filepath.Join(lq, fmt.Sprintf("%d.png", i)), 8, 8, i)
		writePicture(t, filepath.Join(gt, fmt.Sprintf("%d.png", i)), 8, 8, 10+i)
	}
	list := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(list, []byte("0.png\n3.png\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]PackConfig{"photos": {Images: lq}, "pairs": {Images: lq, GT: gt}} {
		cfg.List, cfg.Out = list, filepath.Join(dir, name)
		if p := pack(t, cfg); p.Samples != 2 {
			t.Errorf("%s: packed %+v", name, p)
		}
	}
}

// A second process is told to wait; what a killed one has left is used by no one and removed by the next one.
func TestPackAlone(t *testing.T) {
	src, dir := t.TempDir(), t.TempDir()
	for i := range 3 {
		writePicture(t, filepath.Join(src, fmt.Sprintf("%d.png", i)), 8, 8, i)
	}
	cfg := PackConfig{Images: src, Out: filepath.Join(dir, "set")}
	left := filepath.Join(dir, ".set.packing", "shards", "set-000009.tar")
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	var second error
	during := cfg
	during.Progress = func(done, _ int) {
		if done == 1 {
			_, second = Pack(t.Context(), cfg)
		}
	}
	pack(t, during)
	wantError(t, second, "another process is packing", "wait for it")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if entries, err = os.ReadDir(cfg.Out); err != nil || len(entries) != 1 {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}

// A link to an empty folder on another disk is filled, not replaced.
func TestPackThroughLink(t *testing.T) {
	src, elsewhere, dir := t.TempDir(), t.TempDir(), t.TempDir()
	writePicture(t, filepath.Join(src, "a.png"), 8, 8, 1)
	out := filepath.Join(dir, "set")
	if err := os.Symlink(elsewhere, out); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	pack(t, PackConfig{Images: src, Out: out})
	if _, err := os.Stat(filepath.Join(elsewhere, "set-000000.tar")); err != nil {
		t.Error(err)
	}
}

// fullDisk takes so many bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	if *d -= fullDisk(len(p)); *d < 0 {
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("no space left")

// A full disk is not taken for a picture that changes.
func TestPackFullDisk(t *testing.T) {
	dir := t.TempDir()
	writePicture(t, filepath.Join(dir, "a.png"), 64, 64, 1)
	samples, err := listSamples(PackConfig{Images: dir})
	if err != nil {
		t.Fatal(err)
	}
	disk := fullDisk(600)
	if err := writeShard(t.Context(), &disk, samples); !errors.Is(err, errFull) || strings.Contains(err.Error(), "changed") {
		t.Errorf("error %v", err)
	}
}

func TestPackRefuses(t *testing.T) {
	both, linked, out := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "set")
	writePicture(t, filepath.Join(both, "a.png"), 8, 8, 1)
	if err := os.Symlink("nowhere.png", filepath.Join(linked, "b.png")); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	_, err := Pack(t.Context(), PackConfig{Images: both, GT: both, Out: out})
	wantError(t, err, "a.png would be its own clean picture")
	_, err = Pack(t.Context(), PackConfig{Images: linked, Out: out})
	wantError(t, err, "b.png is a link to nothing")
}

// A key is the path below the folder, or below what of a pattern of folders is no pattern.
func TestNewKey(t *testing.T) {
	taken := map[string]bool{}
	odd := filepath.Join(t.TempDir(), "odd[1]") // is there, and so is no pattern
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{odd, filepath.Join(odd, "z.png"), "z"},
		{"src", "src/a.png", "a"}, {"src/", "src/a.jpg", "a-2"}, {"./src", "src/x/b.1.png", "x/b_1"},
		{"go/*/blur", "go/s1/blur/1.png", "s1/blur/1"}, {"go/s?/b*", "go/s2/blur/1.png", "s2/blur/1"},
	} {
		if key, err := newKey(c[0], c[1], taken); err != nil || key != c[2] {
			t.Errorf("%s in %s has the key %q, want %q (%v)", c[1], c[0], key, c[2], err)
		}
	}
}
