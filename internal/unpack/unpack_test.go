package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is a file of an archive; names that end in a slash are folders.
type entry struct {
	name, content string
	link          byte // tar's type of a link, 0 for none
}

func makeZip(t *testing.T, entries []entry) string {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.link != 0 {
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return save(t, "a.zip", buf.Bytes())
}

// An archive with a password is not taken for a damaged one.
func TestZipWithPassword(t *testing.T) {
	path := makeZip(t, []entry{{name: "a.png", content: "x"}})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flags := bytes.Index(data, []byte("PK\x01\x02")) + 8 // in the directory, which counts
	data[flags] |= 1
	err = Archive(t.Context(), save(t, "b.zip", data), Zip, t.TempDir())
	if !errors.Is(err, ErrPassword) {
		t.Errorf("error %v", err)
	}
}

func makeTarGz(t *testing.T, entries []entry) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o777, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if e.link != 0 {
			h.Typeflag, h.Linkname, h.Size, e.content = e.link, e.content, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return save(t, "a.tar.gz", buf.Bytes())
}

func save(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var makers = map[string]func(*testing.T, []entry) string{Zip: makeZip, TarGz: makeTarGz}

func TestArchive(t *testing.T) {
	entries := []entry{{"set/", "", 0}, {"set/a.png", "aa", 0}, {"set/sub/b.png", "b", 0}, {"__MACOSX/set/a.png", "x", 0}, {"set/.DS_Store", "x", 0}, {"./c.txt", "c", 0}}
	for format, make := range makers {
		dir := t.TempDir()
		if err := Archive(t.Context(), make(t, entries), format, dir); err != nil {
			t.Fatal(err)
		}
		var found []string
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				data, _ := os.ReadFile(path)
				rel, _ := filepath.Rel(dir, path)
				info, _ := e.Info()
				found = append(found, filepath.ToSlash(rel)+"="+string(data))
				if info.Mode().Perm()&0o111 != 0 {
					t.Errorf("%s: %s can be executed", format, rel)
				}
			}
			return err
		})
		if got := strings.Join(found, " "); err != nil || got != "c.txt=c set/a.png=aa set/sub/b.png=b" {
			t.Errorf("%s: %s (%v)", format, got, err)
		}
	}
}

func TestArchiveRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"parent", []entry{{"../evil.png", "x", 0}}, "leads out"},
		{"parent in the middle", []entry{{"a/../../evil.png", "x", 0}}, "leads out"},
		{"absolute", []entry{{"/evil.png", "x", 0}}, "leads out"},
		{"backslashes", []entry{{`..\evil.png`, "x", 0}}, "leads out"},
		{"drive", []entry{{`C:\evil.png`, "x", 0}}, "leads out"},
		{"link", []entry{{"a", "/etc", tar.TypeSymlink}, {"a/evil.png", "x", 0}}, "link"},
		{"twice", []entry{{"a.png", "x", 0}, {"a.png", "y", 0}}, "file exists"},
		{"bomb", []entry{{"a.png", strings.Repeat("0", maxExtra*2), 0}}, "far more"},
	} {
		for format, make := range makers {
			t.Run(c.name+" "+format, func(t *testing.T) {
				outside := t.TempDir()
				dir := filepath.Join(outside, "in")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				err := Archive(t.Context(), make(t, c.entries), format, dir)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if around, err := os.ReadDir(outside); err != nil || len(around) != 1 {
					t.Errorf("outside: %v, %v", around, err)
				}
			})
		}
	}
	hard := makeTarGz(t, []entry{{"a", "/etc/passwd", tar.TypeLink}})
	if err := Archive(t.Context(), hard, TarGz, t.TempDir()); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("hard link: %v", err)
	}
}

func TestArchiveErrors(t *testing.T) {
	file := makeZip(t, []entry{{"a.png", "x", 0}})
	for format, want := range map[string]string{TarGz: "gzip", "rar": `unknown format "rar"`} {
		if err := Archive(t.Context(), file, format, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", format, err)
		}
	}
	whole, err := os.ReadFile(makeTarGz(t, []entry{{"a.png", strings.Repeat("abcdefg", 100), 0}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := Archive(t.Context(), save(t, "cut.tar.gz", whole[:len(whole)-20]), TarGz, t.TempDir()); err == nil {
		t.Error("no error for an archive that is cut off")
	}
	if err := Archive(t.Context(), filepath.Join(t.TempDir(), "none.zip"), Zip, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Archive(ctx, file, Zip, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
