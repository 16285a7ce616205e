package shards

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/degrade"
)

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

// archive returns a tar file of members, regular ones with their name as content unless they say
// otherwise.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			content = "content of " + h.Name
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func regular(names ...string) []tar.Header {
	var list []tar.Header
	for _, name := range names {
		list = append(list, tar.Header{Name: name, Mode: 0o644})
	}
	return list
}

func mapFS(files map[string][]byte) fstest.MapFS {
	m := fstest.MapFS{}
	for name, data := range files {
		m[name] = &fstest.MapFile{Data: data}
	}
	return m
}

// files lists all files.
func files(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// streamFS has files that can only be read from their beginning and do not say their size, and counts
// how often each is opened.
type streamFS struct {
	fs.FS
	mu     sync.Mutex
	opened map[string]int
}

func (s *streamFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, Extension) {
		return f, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == nil {
		s.opened = map[string]int{}
	}
	s.opened[name]++
	return onlyStream{f}, nil
}

type onlyStream struct{ f fs.File }

func (s onlyStream) Read(p []byte) (int, error) { return s.f.Read(p) }
func (s onlyStream) Close() error               { return s.f.Close() }
func (s onlyStream) Stat() (fs.FileInfo, error) {
	info, err := s.f.Stat()
	return unknownSize{info}, err
}

type unknownSize struct{ fs.FileInfo }

func (unknownSize) Size() int64 { return 0 }

// Whatever the file system below, a set of shards is a proper one.
func TestIsFileSystem(t *testing.T) {
	below := mapFS(map[string][]byte{
		"set/a-000000.tar": archive(t, regular("x.png", "./sub/y.lq.png", "sub/y.gt.png", "sub/deep/z.json")...),
		"set/a-000001.tar": archive(t, slices.Concat([]tar.Header{{Name: "sub/", Typeflag: tar.TypeDir}}, regular("x.png"))...),
		"set/other.txt":    []byte("not a shard"),
	})
	want := []string{"set/a-000000.tar/sub/deep/z.json", "set/a-000000.tar/sub/y.gt.png", "set/a-000000.tar/sub/y.lq.png", "set/a-000000.tar/x.png", "set/a-000001.tar/x.png"}
	for name, fsys := range map[string]fs.FS{"random": below, "stream": &streamFS{FS: below}} {
		f, err := Open(fsys, "set/*.tar", Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(f, want...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := files(t, f); !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if r := f.Report(); r.Shards != 2 || r.Files != 5 || r.Damaged != nil || r.Refused != nil {
			t.Errorf("%s: report %+v", name, r)
		}
		data, err := fs.ReadFile(f, "set/a-000000.tar/sub/y.gt.png")
		if err != nil || string(data) != "content of sub/y.gt.png" {
			t.Errorf("%s: read %q, %v", name, data, err)
		}
		if f.Shard("set/a-000001.tar/x.png") != 1 || f.Shard("set/a-000000.tar/x.png") != 0 {
			t.Errorf("%s: wrong numbers of shards", name)
		}
		if _, err := f.Open("set/a-000000.tar/none.png"); err == nil {
			t.Errorf("%s: a file that is not there opens", name)
		}
	}
}

// A shard that is cut off anywhere gives the samples before the cut, whole ones only, and a report.
func TestCutShard(t *testing.T) {
	// Each member takes 1024 bytes, the end as much.
	data := archive(t, regular("1.lq.png", "1.gt.png", "2.lq.png", "2.gt.png", "3.lq.png", "3.gt.png")...)
	for cut := 0; cut < len(data); cut += 256 {
		for _, stream := range []bool{false, true} {
			var fsys fs.FS = mapFS(map[string][]byte{"a.tar": data[:cut]})
			if stream {
				fsys = &streamFS{FS: fsys}
			}
			_, err := Open(fsys, "*.tar", Config{})
			whole := cut == 6*1024+512 // one of the two blocks of zeros at the end is enough to know that all is there
			if whole {
				if err != nil {
					t.Errorf("cut at %d: %v", cut, err)
				}
				continue
			}
			wantError(t, err, "1 of 1 shards are damaged, more than the limit of 5 %", "a.tar", "copy or download them again")

			f, err := Open(fsys, "*.tar", Config{MaxDamaged: 1})
			if err != nil {
				t.Fatal(err)
			}
			// The sample that is being read is given up: whether more of it followed cannot be known.
			want := 2 * max(0, (cut-1024-512-1)/2048)
			if got := files(t, f); len(got) > cut/2048*2 || len(got) < want {
				t.Errorf("cut at %d, stream %v: %d files, want %d at least", cut, stream, len(got), want)
			} else if len(got)%2 != 0 {
				t.Errorf("cut at %d: half a sample: %q", cut, got)
			}
			for _, name := range files(t, f) {
				content, err := fs.ReadFile(f, name)
				if _, base, _ := strings.Cut(name, "/"); err != nil || string(content) != "content of "+base {
					t.Errorf("cut at %d: %s holds %q, %v", cut, name, content, err)
				}
			}
			if r := f.Report(); len(r.Damaged) != 1 || !strings.Contains(r.Damaged[0], "a.tar") {
				t.Errorf("cut at %d: report %+v", cut, r)
			}
		}
	}
}

// A header that is overwritten ends a shard; the limit counts shards.
func TestCorruptShard(t *testing.T) {
	good := archive(t, regular("1.png", "2.png", "3.png", "4.png")...)
	bad := bytes.Clone(good)
	copy(bad[2*1024:], "garbage garbage")
	set := map[string][]byte{}
	for i := range 20 {
		set[fmt.Sprintf("a-%06d.tar", i)] = good
	}
	set["a-000007.tar"] = bad
	f, err := Open(mapFS(set), "*.tar", Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := f.Report()
	if r.Files != 19*4+1 || len(r.Damaged) != 1 || !strings.HasPrefix(r.Damaged[0], "a-000007.tar is cut off or corrupt at byte 2560 of 5120, after 1 files") {
		t.Errorf("report %+v", r)
	}
	_, err = Open(mapFS(set), "*.tar", Config{MaxDamaged: -1})
	wantError(t, err, "1 of 20", "limit of 0 %", "a-000007.tar")
	set["a-000008.tar"] = bad
	_, err = Open(mapFS(set), "*.tar", Config{})
	wantError(t, err, "2 of 20", "limit of 5 %", "a-000007.tar", "a-000008.tar")
}

func TestNoShards(t *testing.T) {
	good := archive(t, regular("1.png")...)
	_, err := Open(mapFS(map[string][]byte{"a.tar": good}), "b*.tar", Config{})
	wantError(t, err, "there is no file b*.tar")
	_, err = Open(mapFS(nil), "[", Config{})
	wantError(t, err, `pattern "["`)
	_, err = Open(mapFS(map[string][]byte{"a.tar": []byte("\x1f\x8b compressed or whatever")}), "*", Config{})
	wantError(t, err, "a.tar is no tar file, or a compressed one")
	_, err = Open(mapFS(map[string][]byte{"a.tar/b.tar": good}), "*", Config{})
	wantError(t, err, "cannot read shard a.tar", "not a file")
	_, err = OpenFiles(filepath.Join(t.TempDir(), "none", "*.tar"), Config{})
	wantError(t, err, "cannot read the folder of shards", "none")
	dir := t.TempDir()
	_, err = OpenFiles(dir, Config{})
	wantError(t, err, dir, "there is no file *.tar")

	if err := os.WriteFile(filepath.Join(dir, "a.tar"), good, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{dir, dir + "/", dir + "/a*.tar", dir + "/a.tar"} {
		f, err := OpenFiles(pattern, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if f.String() != dir || !slices.Equal(files(t, f), []string{"a.tar/1.png"}) {
			t.Errorf("%s: %s holds %q", pattern, f, files(t, f))
		}
	}
}

// What is no ordinary file in a shard is refused; nothing is ever written.
func TestHostileMembers(t *testing.T) {
	long := strings.Repeat("long/", 60) + "ü.png"
	headers := slices.Concat(
		regular("../up.png", "a/../../up.png", "a/../inside.png", "/absolute.png", "", "."),
		[]tar.Header{
			{Name: "link.png", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
			{Name: "hard.png", Typeflag: tar.TypeLink, Linkname: "good.png"},
			{Name: "fifo.png", Typeflag: tar.TypeFifo},
			{Name: "device.png", Typeflag: tar.TypeChar},
			{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}},
		},
		regular("good.png", "good.png", "good.png/below.png", "dir/x.png", "dir"),
		[]tar.Header{{Name: long, Format: tar.FormatPAX}, {Name: "gnu/" + long, Format: tar.FormatGNU}},
	)
	f, err := Open(mapFS(map[string][]byte{"a.tar": archive(t, headers...)}), "*", Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.tar/dir/x.png", "a.tar/gnu/" + long, "a.tar/good.png", "a.tar/" + long}
	if got := files(t, f); !slices.Equal(got, want) {
		t.Errorf("files %q", got)
	}
	if data, err := fs.ReadFile(f, "a.tar/gnu/"+long); err != nil || string(data) != "content of gnu/"+long {
		t.Errorf("long name: %q, %v", data, err)
	}
	if r := f.Report(); len(r.Refused) != 13 || len(r.Damaged) != 0 {
		t.Errorf("%d refused: %s", len(r.Refused), strings.Join(r.Refused, "\n"))
	}
	if err := fstest.TestFS(f, want...); err != nil {
		t.Error(err)
	}
}

// Sizes and contents that are not in the file, by header alone.
func TestHostileSizes(t *testing.T) {
	var big bytes.Buffer
	w := tar.NewWriter(&big)
	if err := w.WriteHeader(&tar.Header{Name: "1.png", Size: 1 << 60, Format: tar.FormatPAX}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(mapFS(map[string][]byte{"a.tar": big.Bytes()}), "*", Config{MaxDamaged: 1})
	if err != nil || f.Report().Files != 0 || len(f.Report().Damaged) != 1 {
		t.Errorf("a member of 2^60 bytes: %+v, %v", f.Report(), err)
	}
	if reason := refuse(&tar.Header{Name: "1.png", Typeflag: tar.TypeReg, Size: maxMember + 1}, "1.png"); !strings.Contains(reason, "more than a picture") {
		t.Errorf("a large member: %q", reason)
	}

	// A sparse file, as GNU tar writes it with --sparse --format=pax: its content begins with a map.
	var sparse bytes.Buffer
	w = tar.NewWriter(&sparse)
	for _, h := range []tar.Header{{Name: "s.png", Size: 512}, {Name: "x.png", Size: 4}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(append([]byte("1\n0\n4\n"), make([]byte, 512)...)[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=real.png", "GNU.sparse.realsize=4"} {
		line := fmt.Sprintf("%d %s\n", len(r)+4, r)
		records += line
	}
	pax := paxHeader(t, records)
	f, err = Open(mapFS(map[string][]byte{"a.tar": append(pax, sparse.Bytes()...)}), "*", Config{MaxDamaged: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r := f.Report(); len(r.Refused) != 1 || !strings.Contains(r.Refused[0], "sparse") || !slices.Equal(files(t, f), []string{"a.tar/x.png"}) {
		t.Errorf("sparse file: %+v, files %q", r, files(t, f))
	}
}

// paxHeader returns an extended header with records, which archive/tar does not write.
func paxHeader(t *testing.T, records string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "pax", Size: int64(len(records))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, records); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	data := out.Bytes()
	data[156] = tar.TypeXHeader
	sum := 0
	copy(data[148:156], "        ")
	for _, b := range data[:512] {
		sum += int(b)
	}
	copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// What webdataset.ShardWriter 1.0 has written is read (testdata, three samples of two pictures).
func TestReadsWebDataset(t *testing.T) {
	f, err := OpenFiles(filepath.Join("testdata", "wds-*.tar"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if r := f.Report(); r.Files != 9 || r.Damaged != nil || r.Refused != nil {
		t.Errorf("report %+v", r)
	}
	d, err := datasets.PairedFromFS(f, datasets.PairedConfig{Class: "x", Eval: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s, err := d.Sample(0, i)
		if err != nil {
			t.Fatal(err)
		}
		if s.LQ.W != 3 || s.LQ.H != 2 || s.LQ.Pix[0] != float32(10*i)/255 || s.GT.Pix[0] != float32(10*i+5)/255 {
			t.Errorf("sample %d: %dx%d, %v, %v", i, s.LQ.W, s.LQ.H, s.LQ.Pix[0], s.GT.Pix[0])
		}
		if want := filepath.Join("testdata", fmt.Sprintf("wds-%06d.tar", i/2), "scene", fmt.Sprintf("%04d.lq.png", i)); s.Name != want {
			t.Errorf("sample %d is called %s, want %s", i, s.Name, want)
		}
	}
}

func noise(t *testing.T) []degrade.Degradation {
	t.Helper()
	d, err := degrade.New("noise", nil)
	if err != nil {
		t.Fatal(err)
	}
	return []degrade.Degradation{d}
}

// An epoch takes every sample once, in an order that is its own, a few shards at a time; a file system
// that can only stream is then read once in an epoch.
func TestOrder(t *testing.T) {
	src, out := filepath.Join(t.TempDir(), "photos"), filepath.Join(t.TempDir(), "set")
	const pictures, times = 24, 2
	for i := range pictures {
		writePicture(t, filepath.Join(src, fmt.Sprintf("p%02d.png", i)), 8, 8, i)
	}
	if _, err := Pack(t.Context(), PackConfig{Images: src, Out: out, ShardBytes: 6000}); err != nil {
		t.Fatal(err)
	}
	below := &streamFS{FS: os.DirFS(out)}
	opened, err := Open(below, "*", Config{StreamBytes: 4 * 6000})
	if err != nil {
		t.Fatal(err)
	}
	numbers := opened.Report().Shards
	images, err := datasets.FromFS(opened)
	if err != nil {
		t.Fatal(err)
	}
	images.UseCache(datasets.NewCache(0))
	plain, err := datasets.NewSynthetic(images, datasets.SyntheticConfig{Degradations: noise(t), Enlarge: times, Patch: 8})
	if err != nil {
		t.Fatal(err)
	}
	d := datasets.InShardOrder(plain)
	ordered, ok := d.(datasets.Ordered)
	if !ok {
		t.Fatal("a set of shards has no order")
	}
	at := opened.Together()
	if numbers < 6 || at != 2 {
		t.Fatalf("%d shards, %d at a time", numbers, at)
	}

	shardOf := func(i int) int { return opened.Shard(filepath.ToSlash(images.Name(i % pictures))) }
	held := map[int]int{} // samples in each shard
	for i := range d.Len() {
		held[shardOf(i)]++
	}
	most := 0
	for _, n := range held {
		most = max(most, n)
	}
	first := ordered.Order(1, 0)
	sorted := slices.Sorted(slices.Values(first))
	if len(first) != pictures*times || len(slices.Compact(sorted)) != pictures*times {
		t.Fatalf("order %v", first)
	}
	for name, other := range map[string][]int{"seed": ordered.Order(2, 0), "epoch": ordered.Order(1, 1)} {
		if slices.Equal(first, other) {
			t.Errorf("the order does not depend on the %s", name)
		}
	}
	if !slices.Equal(first, ordered.Order(1, 0)) {
		t.Error("the order is not a function of seed and epoch")
	}
	span := map[int][2]int{} // first and last place of each shard
	for place, i := range first {
		s := shardOf(i)
		if _, seen := span[s]; !seen {
			span[s] = [2]int{place, place}
		}
		span[s] = [2]int{span[s][0], place}
	}
	for s, places := range span {
		if length := places[1] - places[0] + 1; length > at*most {
			t.Errorf("shard %d is spread over %d samples, more than %d shards hold", s, length, at)
		}
	}

	clear(below.opened)
	for some := range slices.Chunk(first, 4) { // as the workers of a loader, which is never far ahead
		var workers sync.WaitGroup
		for _, index := range some {
			workers.Go(func() {
				s, err := d.Sample(0, index)
				if err != nil || s.GT.W != 8 {
					t.Error(err)
				}
			})
		}
		workers.Wait()
	}
	for name, n := range below.opened {
		if n != 1 {
			t.Errorf("%s was read %d times in an epoch", name, n)
		}
	}
	if len(below.opened) != numbers {
		t.Errorf("%d of %d shards were read", len(below.opened), numbers)
	}
}

// Pictures that lie in folders have no order of their own.
func TestNoOrderWithoutShards(t *testing.T) {
	src := t.TempDir()
	writePicture(t, filepath.Join(src, "p.png"), 8, 8, 0)
	images, err := datasets.FromDir(src)
	if err != nil {
		t.Fatal(err)
	}
	d, err := datasets.NewSynthetic(images, datasets.SyntheticConfig{Degradations: noise(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got := datasets.InShardOrder(d); got != datasets.Dataset(d) {
		t.Errorf("%T", got)
	}
}

// A shard that fails to be read is tried again by the next one who needs it.
func TestStreamRetries(t *testing.T) {
	below := &failingFS{FS: mapFS(map[string][]byte{"a.tar": archive(t, regular("1.png")...)})}
	f, err := Open(&streamFS{FS: below}, "*", Config{})
	if err != nil {
		t.Fatal(err)
	}
	below.fail = true
	if _, err := fs.ReadFile(f, "a.tar/1.png"); err == nil {
		t.Fatal("read without its shard")
	}
	below.fail = false
	if data, err := fs.ReadFile(f, "a.tar/1.png"); err != nil || string(data) != "content of 1.png" {
		t.Errorf("second time: %q, %v", data, err)
	}
	below.FS = mapFS(map[string][]byte{"a.tar": nil})
	if data, err := fs.ReadFile(f, "a.tar/1.png"); err != nil || string(data) != "content of 1.png" {
		t.Errorf("held: %q, %v", data, err)
	}
}

type failingFS struct {
	fs.FS
	fail bool
}

func (f *failingFS) Open(name string) (fs.File, error) {
	if f.fail {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f.FS.Open(name)
}

// Whatever a file holds, what is listed of it can be read, and both ways of reading agree.
func FuzzOpen(f *testing.F) {
	var good bytes.Buffer
	w := tar.NewWriter(&good)
	for _, name := range []string{"a.lq.png", "a.gt.png", strings.Repeat("long/", 40) + "b.png"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: 3}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte(name[:3])); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:good.Len()-700])
	f.Fuzz(func(t *testing.T, data []byte) {
		below := mapFS(map[string][]byte{"s.tar": data})
		random, err := Open(below, "*", Config{MaxDamaged: 1})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := Open(&streamFS{FS: below}, "*", Config{MaxDamaged: 1})
		if err != nil {
			t.Fatal(err)
		}
		names := files(t, random)
		if !slices.Equal(names, files(t, stream)) {
			t.Errorf("listed %q and, as a stream, %q", names, files(t, stream))
		}
		for _, name := range names {
			a, errA := fs.ReadFile(random, name)
			b, errB := fs.ReadFile(stream, name)
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: %v, %v", name, errA, errB)
			}
		}
	})
}

// Shards of which nothing can be used say so, instead of that there are no pictures.
func TestOpenNothingUsable(t *testing.T) {
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	for _, name := range []string{"/data/a.png", "/data/b.png"} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(fstest.MapFS{"x.tar": {Data: buf.Bytes()}}, "*.tar", Config{})
	wantError(t, err, "none of the 2 members can be used", `"/data/a.png" has a name that leads out`)
}
