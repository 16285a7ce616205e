package backend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// newCache is a cache in a folder of the test.
func newCache(t *testing.T, log io.Writer) *programCache {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("compiled programs are kept on Linux and macOS only")
	}
	dir := filepath.Join(t.TempDir(), "programs")
	if err := privateDir(dir); err != nil {
		t.Fatal(err)
	}
	return &programCache{dir: dir, limit: 1 << 20, plugin: []byte("plugin"), log: log}
}

func TestProgramsReadBack(t *testing.T) {
	var log strings.Builder
	c := newCache(t, &log)
	key := c.key([]byte("mlir"), []byte("module @a {}"), []byte("options"))
	if got := c.read(key); got != nil {
		t.Fatalf("read %q from an empty cache", got)
	}
	c.write(key, []byte("machine code"))
	if got := c.read(key); string(got) != "machine code" {
		t.Errorf("read %q", got)
	}
	info, err := os.Stat(filepath.Join(c.dir, key+programExt))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v", info.Mode(), err)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
}

// A file that is not whole, that was renamed, or that somebody else may have written, is never used; it
// is removed, so that it is replaced, and reported once.
func TestProgramsRejectFiles(t *testing.T) {
	damage := map[string]func(t *testing.T, path string){
		"empty":     func(t *testing.T, path string) { truncate(t, path, 0) },
		"cut off":   func(t *testing.T, path string) { truncate(t, path, 40) },
		"one bit":   func(t *testing.T, path string) { flipLastBit(t, path) },
		"other key": func(t *testing.T, path string) { replaceWithOther(t, path) },
		"writable": func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o662); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			c := newCache(t, &log)
			c.write("aa", []byte("some machine code"))
			path := filepath.Join(c.dir, "aa"+programExt)
			spoil(t, path)
			if got := c.read("aa"); got != nil {
				t.Errorf("read %q", got)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			c.write("aa", []byte("anew"))
			if got := c.read("aa"); string(got) != "anew" {
				t.Errorf("read %q after it was replaced", got)
			}
			spoil(t, path)
			c.read("aa")
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d notes: %s", n, log.String())
			}
		})
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func flipLastBit(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data[len(data)-1] ^= 1
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replaceWithOther puts a whole file of another key in place.
func replaceWithOther(t *testing.T, path string) {
	t.Helper()
	c := &programCache{dir: filepath.Dir(path), limit: 1 << 20, log: io.Discard}
	c.write("bb", []byte("of another processor"))
	if err := os.Rename(filepath.Join(c.dir, "bb"+programExt), path); err != nil {
		t.Fatal(err)
	}
}

// Everything that the result of compiling depends on gives another key; the name of the module does not.
func TestProgramsKey(t *testing.T) {
	c := newCache(t, io.Discard)
	base := []string{"plugin", "mlir", "module @f_1 {a}", "options"}
	key := func(parts []string) string {
		c.plugin = []byte(parts[0])
		return c.key([]byte(parts[1]), []byte(parts[2]), []byte(parts[3]))
	}
	seen := []string{key(base)}
	for i, other := range []string{"another processor", "hlo", "module @f_1 {b}", "option"} {
		parts := slices.Clone(base)
		parts[i] = other
		if slices.Contains(seen, key(parts)) {
			t.Errorf("%q has the key of another", parts)
		}
		seen = append(seen, key(parts))
	}
	for _, other := range []string{"module @f_1 attributes {x} {a}", "module @f-1 {a}", "module @f_1", "moduleoptions", ""} {
		if parts := []string{base[0], base[1], other, base[3]}; slices.Contains(seen, key(parts)) {
			t.Errorf("%q has the key of another", parts)
		}
	}
	if renamed := []string{base[0], base[1], "module @Other_2 {a}", base[3]}; key(renamed) != seen[0] {
		t.Error("the name of the module changes the key")
	}
	c.stop("for a test")
	if got := key(base); got != "" || c.wants(got, time.Hour) {
		t.Errorf("a cache that is off has the key %q", got)
	}
}

func TestProgramsEnvironment(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("compiled programs are kept on Linux and macOS only")
	}
	plugin := filepath.Join(t.TempDir(), "plugin.so")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() []byte {
		t.Helper()
		h, err := environmentHash(plugin)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write(plugin, "one")
	seen := [][]byte{hash()}
	if !bytes.Equal(hash(), seen[0]) {
		t.Error("the hash of one environment differs")
	}
	flags := filepath.Join(t.TempDir(), "flags")
	for _, change := range []struct {
		name string
		make func()
	}{
		{"another plugin", func() { write(plugin, "another") }},
		{"flags", func() { t.Setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true") }},
		{"a file of flags", func() { write(flags, "--a"); t.Setenv("XLA_FLAGS", flags) }},
		{"its content", func() { write(flags, "--b") }},
		{"threads", func() { t.Setenv("PJRT_NPROC", "1") }},
	} {
		change.make()
		h := hash()
		if slices.ContainsFunc(seen, func(s []byte) bool { return bytes.Equal(s, h) }) {
			t.Errorf("%s: the hash of another environment", change.name)
		}
		seen = append(seen, h)
	}
	t.Setenv("XLA_FLAGS", filepath.Join(t.TempDir(), "missing"))
	if _, err := environmentHash(plugin); err == nil {
		t.Error("no error where XLA_FLAGS names a file that is missing")
	}
}

func TestProgramsOff(t *testing.T) {
	isolate(t)
	for name, value := range map[string]string{NoProgramCacheEnv: "1", "XLA_FLAGS": "--xla_dump_to=dump"} {
		t.Run(name, func(t *testing.T) {
			if _, off := programDir(); off != "" {
				t.Errorf("off without a reason: %s", off)
			}
			t.Setenv(name, value)
			if _, off := programDir(); !strings.Contains(off, name) {
				t.Errorf("off: %q", off)
			}
		})
	}
}

func TestProgramsDir(t *testing.T) {
	isolate(t)
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	for value, want := range map[string]string{"": filepath.Join(filepath.Dir(cache), "programs"), own: own} {
		t.Setenv(ProgramsDirEnv, value)
		if dir, err := programFolder(); dir != want || err != nil {
			t.Errorf("%s=%q: %s, %v, want %s", ProgramsDirEnv, value, dir, err, want)
		}
	}
}

func TestClearProgramCache(t *testing.T) {
	isolate(t)
	dir, err := programFolder()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := ClearProgramCache(); n != 0 || err != nil {
		t.Errorf("without a folder: %d, %v", n, err)
	}
	if err := privateDir(dir); err != nil {
		t.Fatal(err)
	}
	c := &programCache{dir: dir, limit: 1 << 20, log: io.Discard}
	c.write("a", []byte("code"))
	c.write("b", []byte("code"))
	other := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := ClearProgramCache(); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if !exists(other) || len(programFiles(dir)) > 0 {
		t.Error("another file is gone, or a program is left")
	}
}

// The programs that were not used for the longest time go first.
func TestProgramsBound(t *testing.T) {
	c := newCache(t, io.Discard)
	const size = 1000
	c.limit = 3 * (size + 32) // three files with their checksums
	start := time.Now().Add(-time.Hour)
	for i, key := range []string{"a", "b", "c"} {
		c.write(key, make([]byte, size))
		used := start.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(c.dir, key+programExt), used, used); err != nil {
			t.Fatal(err)
		}
	}
	c.read("a") // is now the newest of them
	c.write("d", make([]byte, size))
	c.write("too large", make([]byte, c.limit+1))
	var kept []string
	for _, key := range []string{"a", "b", "c", "d", "too large"} {
		if c.read(key) != nil {
			kept = append(kept, key)
		}
	}
	if !slices.Equal(kept, []string{"a", "c", "d"}) {
		t.Errorf("kept %q", kept)
	}
}

// Several processes share the folder: whoever reads gets a whole program or none.
func TestProgramsConcurrent(t *testing.T) {
	c := newCache(t, io.Discard)
	c.limit = 5 * 10_000
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var log strings.Builder
			own := &programCache{dir: c.dir, limit: c.limit, log: &log}
			for k := range 20 {
				key := fmt.Sprint("key", k%7)
				if err := own.write(key, bytes.Repeat([]byte(key), 2_000)); err != nil {
					t.Error(err)
				}
				if got := own.read(key); got != nil && !bytes.Equal(got, bytes.Repeat([]byte(key), 2_000)) {
					t.Errorf("%d read %d bytes of another program", i, len(got))
				}
			}
			if own.noted {
				t.Error(log.String())
			}
		})
	}
	wg.Wait()
	var total int64
	for _, f := range programFiles(c.dir) {
		total += f.Size()
	}
	if total == 0 || total > c.limit {
		t.Errorf("%d bytes are kept, the limit is %d", total, c.limit)
	}
}

// A folder may be lost while the process runs.
func TestProgramsFolderLost(t *testing.T) {
	c := newCache(t, io.Discard)
	if err := os.Remove(c.dir); err != nil {
		t.Fatal(err)
	}
	if err := c.write("a", []byte("code")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("writing: %v", err)
	}
	if got := c.read("a"); got != nil {
		t.Errorf("read %q", got)
	}
}
