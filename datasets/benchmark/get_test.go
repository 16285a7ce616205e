package benchmark

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// shop offers the files of a set, and notes what is asked for.
type shop struct {
	files map[string][]byte // by path
	asked []string
	cut   bool // the first answer breaks off in the middle
	url   string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{files: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
		data, ok := s.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"1"`)
		if s.cut {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data[:len(data)/2])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	t.Setenv(MirrorEnv, "")
	t.Setenv(DirEnv, "")
	return s
}

func pictureBytes(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.png")
	if err := imageio.Write(path, imageio.New(6, 4)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func zipOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, n := range names {
		w, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pictureBytes(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tarGzOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, n := range names {
		data := pictureBytes(t)
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// testSet is a set of pairs with the given files.
func testSet(files ...File) *Set {
	return &Set{
		Name: "Test", Home: "https://example.org/home", Files: files,
		Splits: []Split{{Name: "test", LQ: 1, GT: 1, Layouts: []Layout{{LQ: "lq", GT: "gt"}}}},
	}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// holdsSet reports whether a folder is the test's set, and that nothing lies beside it.
func holdsSet(t *testing.T, out string) {
	t.Helper()
	if _, err := testSet().Splits[0].In(out); err != nil {
		t.Error(err)
	}
	if around, err := os.ReadDir(filepath.Dir(out)); err != nil || len(around) != 1 {
		t.Errorf("beside it: %v, %v", around, err)
	}
}

func TestGet(t *testing.T) {
	for name, data := range map[string][]byte{
		"a.zip":    zipOf(t, "lq/1.png", "gt/1.png"),
		"b.zip":    zipOf(t, "Test-master/lq/1.png", "Test-master/gt/1.png"), // in a folder of its own
		"c.zip":    zipOf(t, "all/README.txt", "all/Test/lq/1.png", "all/Test/gt/1.png", "LICENSE"),
		"a.tar.gz": tarGzOf(t, "lq/1.png", "gt/1.png"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.files["/files/"+name] = data
			_, format, _ := strings.Cut(name, ".")
			set := testSet(File{URL: s.url + "/files/" + name + "?dl=1", SHA256: sum(data), Size: int64(len(data)), Unpack: format})
			if !set.Direct() || set.Local() {
				t.Errorf("direct %v, local %v", set.Direct(), set.Local())
			}
			out := filepath.Join(t.TempDir(), "set")
			var progress int64
			err := Get(t.Context(), set, GetOptions{Out: out, Progress: func(file string, done, total int64) {
				if file == name && total == int64(len(data)) {
					progress = done
				}
			}})
			if err != nil || progress != int64(len(data)) {
				t.Errorf("progress %d of %d, error %v", progress, len(data), err)
			}
			holdsSet(t, out)
			for _, beside := range []string{"README.txt", "LICENSE"} {
				if _, err := os.Stat(filepath.Join(out, beside)); (err == nil) != (name == "c.zip") {
					t.Errorf("%s: %v", beside, err)
				}
			}
			if err := Get(t.Context(), set, GetOptions{Out: out}); err == nil || !strings.Contains(err.Error(), "exists and is not replaced") {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// Single files, of which each has its folder.
func TestGetFiles(t *testing.T) {
	s := newShop(t)
	s.files["/1.png"], s.files["/x/1c.png"] = pictureBytes(t), pictureBytes(t)
	out := filepath.Join(t.TempDir(), "set")
	if err := os.Mkdir(out, 0o755); err != nil { // an empty folder is no obstacle
		t.Fatal(err)
	}
	var said []string
	err := Get(t.Context(), testSet(File{URL: s.url + "/1.png", Unpack: "none", Into: "lq"}, File{URL: s.url + "/x/1c.png", Unpack: "none", Into: "gt"}),
		GetOptions{Out: out, Say: func(text string) { said = append(said, text) }})
	if err != nil {
		t.Fatal(err)
	}
	holdsSet(t, out)
	if !strings.Contains(strings.Join(said, "\n"), "1c.png is not checked, as no checksum of it is known: sha256 "+sum(pictureBytes(t))) {
		t.Errorf("said %q", said)
	}
}

// The folder comes before the mirror, the mirror before the publisher.
func TestGetFolderAndMirror(t *testing.T) {
	data := zipOf(t, "lq/1.png", "gt/1.png")
	s := newShop(t)
	s.files["/mirror/Test/a.zip"], s.files["/mirror/Test/Test.zip"], s.files["/a.zip"] = data, data, data
	set := testSet(File{URL: s.url + "/a.zip", Unpack: "zip"})
	byHand := testSet()

	t.Setenv(MirrorEnv, s.url+"/mirror")
	for _, set := range []*Set{set, byHand} {
		out := filepath.Join(t.TempDir(), "set")
		if err := Get(t.Context(), set, GetOptions{Out: out}); err != nil {
			t.Fatal(err)
		}
		holdsSet(t, out)
	}
	if got := strings.Join(s.asked, " "); got != "/mirror/Test/a.zip /mirror/Test/Test.zip" {
		t.Errorf("asked for %s", got)
	}

	dir := t.TempDir()
	t.Setenv(DirEnv, dir)
	if err := os.MkdirAll(filepath.Join(dir, "Test"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.zip", "Test.zip"} {
		if err := os.WriteFile(filepath.Join(dir, "Test", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.asked = nil
	for _, set := range []*Set{set, byHand} {
		out := filepath.Join(t.TempDir(), "set")
		if err := Get(t.Context(), set, GetOptions{Out: out}); err != nil || !set.Local() {
			t.Fatal(err)
		}
		holdsSet(t, out)
	}
	if len(s.asked) > 0 {
		t.Errorf("asked for %v", s.asked)
	}
	if err := os.WriteFile(filepath.Join(dir, "Test", "a.zip"), []byte("<!DOCTYPE html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Get(t.Context(), set, GetOptions{Out: filepath.Join(t.TempDir(), "set")}); err == nil || !strings.Contains(err.Error(), "web page that was saved") {
		t.Errorf("error %v", err)
	}
}

func TestGetErrors(t *testing.T) {
	s := newShop(t)
	s.files["/other.zip"] = zipOf(t, "a/1.png", "b/1.png")
	s.files["/evil.zip"] = zipOf(t, "lq/1.png", "../gt/1.png")
	s.files["/a.zip"] = zipOf(t, "lq/1.png", "gt/1.png")
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file File
		out  string
		want []string
	}{
		{"not there", File{URL: s.url + "/none.zip", Unpack: "zip"}, "", []string{"404 Not Found", "https://example.org/home"}},
		{"another file", File{URL: s.url + "/a.zip", SHA256: strings.Repeat("0", 64), Unpack: "zip"}, "", []string{"not the expected one (sha256"}},
		{"another set", File{URL: s.url + "/other.zip", Unpack: "zip"}, "", []string{"does not hold Test: expected lq and gt"}},
		{"a hostile archive", File{URL: s.url + "/evil.zip", Unpack: "zip"}, "", []string{"leads out of the folder"}},
		{"no archive", File{URL: s.url + "/a.zip", Unpack: "tar.gz"}, "", []string{"cannot unpack", "gzip"}},
		{"a folder that holds something", File{URL: s.url + "/a.zip", Unpack: "zip"}, full, []string{"exists and is not replaced"}},
		{"without encryption", File{URL: "http://example.org/a.zip", Unpack: "zip"}, "", []string{"By hand:", "http://example.org/a.zip", "lq and gt", "godcpt data check", "put a.zip into"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			out := c.out
			if out == "" {
				out = filepath.Join(parent, "set")
			}
			err := Get(t.Context(), testSet(c.file), GetOptions{Out: out})
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(parent, "set")); err == nil {
				t.Error("there is a folder, as if it were the set")
			}
			if _, err := os.Stat(filepath.Join(parent, "gt")); err == nil {
				t.Error("the archive has left its folder")
			}
		})
	}

	err := Get(t.Context(), testSet(), GetOptions{Out: "data/Test"})
	for _, want := range []string{"open https://example.org/home", "unpack it so that data/Test holds", "test: lq and gt", "put Test.zip into a folder F/Test, with " + DirEnv + "=F"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// What was fetched and is of no use is not taken for good by the next call; what a person has brought stays.
func TestGetDiscardsWhatIsOfNoUse(t *testing.T) {
	s := newShop(t)
	good := zipOf(t, "lq/1.png", "gt/1.png")
	set := testSet(File{URL: s.url + "/a.zip", Unpack: "zip"})
	for name, bad := range map[string][]byte{"cut off": good[:len(good)/2], "another set": zipOf(t, "a/1.png", "b/1.png")} {
		out := filepath.Join(t.TempDir(), "set")
		s.files["/a.zip"] = bad
		if err := Get(t.Context(), set, GetOptions{Out: out}); err == nil || !strings.Contains(err.Error(), "run this again to fetch it anew") {
			t.Errorf("%s: error %v", name, err)
		}
		s.files["/a.zip"] = good
		if err := Get(t.Context(), set, GetOptions{Out: out}); err != nil {
			t.Errorf("after one that was %s: %v", name, err)
			continue
		}
		holdsSet(t, out)

		dir := t.TempDir()
		t.Setenv(DirEnv, dir)
		brought := filepath.Join(dir, "Test", "a.zip")
		if err := os.Mkdir(filepath.Dir(brought), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(brought, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Get(t.Context(), set, GetOptions{Out: filepath.Join(dir, "set")}); err == nil || !strings.Contains(err.Error(), "Replace it") {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := os.Stat(brought); err != nil {
			t.Error(err)
		}
		t.Setenv(DirEnv, "")
	}
}

// A link to an empty folder on another disk is filled, not replaced.
func TestGetThroughLink(t *testing.T) {
	s := newShop(t)
	s.files["/a.zip"] = zipOf(t, "lq/1.png", "gt/1.png")
	elsewhere, out := filepath.Join(t.TempDir(), "room"), filepath.Join(t.TempDir(), "set")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, out); err != nil {
		t.Skipf("symbolic links cannot be made here: %v", err)
	}
	if err := Get(t.Context(), testSet(File{URL: s.url + "/a.zip", Unpack: "zip"}), GetOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	holdsSet(t, elsewhere)
}

// What has arrived is not fetched again.
func TestGetResumes(t *testing.T) {
	s := newShop(t)
	data := zipOf(t, "lq/1.png", "gt/1.png")
	s.files["/a.zip"] = data
	set := testSet(File{URL: s.url + "/a.zip", Unpack: "zip"})
	out := filepath.Join(t.TempDir(), "set")
	s.cut = true
	ctx, cancel := context.WithCancel(t.Context())
	err := Get(ctx, set, GetOptions{Out: out, Retry: func(string, error) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	s.cut, s.asked = false, nil
	if err := Get(t.Context(), set, GetOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	holdsSet(t, out)
	if len(s.asked) != 1 || !strings.Contains(s.asked[0], "bytes=") {
		t.Errorf("asked for %q", s.asked)
	}
}
