package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWriteKeepsOldContentOnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := Write(path, 0o644, func(w io.Writer) error {
		if _, err := w.Write([]byte("half of the new")); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("error = %v, want %v", err, boom)
	}
	got, _ := os.ReadFile(path)
	if string(got) != "old" {
		t.Errorf("content = %q, want the old one", got)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files left, want 1: temporary file not removed", len(entries))
	}
}

func TestRemoveLeftovers(t *testing.T) {
	dir := t.TempDir()
	if err := RemoveLeftovers(filepath.Join(dir, "absent")); err != nil {
		t.Fatal(err)
	}
	var left string
	killed := errors.New("killed")
	err := Write(filepath.Join(dir, "a.b"), 0o644, func(io.Writer) error {
		entries, _ := os.ReadDir(dir)
		left = entries[0].Name()
		return killed
	})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
	for _, name := range []string{left, ".hidden", "a.tmp-1", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveLeftovers(dir); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".hidden", "a", "a.tmp-1"}; !slices.Equal(names, want) {
		t.Errorf("left: %q, want %q", names, want)
	}
}
