package linefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func all(int, string) (bool, error) { return true, nil }

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOpenKeeps(t *testing.T) {
	noB := func(_ int, line string) (bool, error) { return line != "b", nil }
	tests := []struct {
		name, old string
		keep      func(int, string) (bool, error)
		want      string
	}{
		{"empty", "", all, ""},
		{"all", "a\nb\n", all, "a\nb\n"},
		{"empty lines", "\n\na\n", all, "\n\na\n"},
		{"some", "a\nb\nc\n", noB, "a\nc\n"},
		{"unfinished line", "a\nbc", all, "a\n"},
		{"only an unfinished line", "a", all, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tt.old), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path, 1, tt.keep)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Append("new"); err != nil {
				t.Fatal(err)
			}
			if got := content(t, path); got != tt.want+"new\n" {
				t.Errorf("got %q, want %q", got, tt.want+"new\n")
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestErrorOfKeepNamesTheLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	_, err := Open(path, 1, func(i int, _ string) (bool, error) {
		if i == 1 {
			return false, boom
		}
		return false, nil
	})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), path+", line 2") {
		t.Errorf("error = %v, want boom at line 2 of %s", err, path)
	}
	if got := content(t, path); got != "a\nb\n" {
		t.Errorf("the file was changed to %q", got)
	}
}

func TestFlushed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := Open(path, 3, all)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "", "x\nx\nx\n", "x\nx\nx\n"} {
		if err := f.Append("x"); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != want {
			t.Errorf("after %d lines: %q, want %q", i+1, got, want)
		}
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, path), strings.Repeat("x\n", 4); got != want {
		t.Errorf("after Flush: %q, want %q", got, want)
	}
}

func TestFullDiskKeepsTheLines(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full to stand for a full disk: %v", err)
	}
	defer full.Close()
	path := filepath.Join(t.TempDir(), "log")
	f, err := Open(path, 1, all)
	if err != nil {
		t.Fatal(err)
	}
	disk := f.file
	f.file = full
	if err := f.Append("a"); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want no space left, with the path", err)
	}
	f.file = disk // somebody made room
	if err := f.Append("b"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "a\nb\n" {
		t.Errorf("got %q, want both lines", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := Open(path, 7, all)
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 100 {
				if err := f.Append("line"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, path), strings.Repeat("line\n", 800); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
