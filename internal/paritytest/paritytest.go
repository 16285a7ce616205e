// Package paritytest finds the parity vectors (tensors computed by the official PyTorch code)
// that numerical tests compare with.
package paritytest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Env names the environment variable that overrides the folder of the vectors.
const Env = "GODCPT_PARITY"

// Dir returns the absolute folder of the parity vectors: $GODCPT_PARITY, else ../shared/parity
// beside the repository. It skips the test if the folder does not exist, unless the variable
// names it: then a missing folder is an error of whoever set it.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(Env); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(Root(), dir)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("%s names a folder that cannot be read: %v", Env, err)
		}
		return dir
	}
	dir := filepath.Join(Root(), "..", "shared", "parity")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no parity vectors at %s (set %s to a folder of them); the small cases in dcpt/testdata/parity are still checked", dir, Env)
	}
	return dir
}

// Dirs returns the folders of vectors that exist here: the small ones committed in
// dcpt/testdata/parity, which every checkout has, and the full set of Dir where there is one.
func Dirs(t testing.TB) []string {
	t.Helper()
	if os.Getenv(Env) != "" {
		return []string{Dir(t)}
	}
	full := filepath.Join(Root(), "..", "shared", "parity")
	if _, err := os.Stat(full); err == nil {
		return []string{full}
	}
	return []string{filepath.Join(Root(), "dcpt", "testdata", "parity")}
}

// Originals returns the case folders of dcpt/testdata/originals: vectors of the projects that the
// networks come from, which every checkout has.
func Originals(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Root(), "dcpt", "testdata", "originals", "*", "case.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors of the original projects (%v)", err)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}

// Cases returns the case folders (those with a case.json) whose name has one of the prefixes,
// over all Dirs. Finding none fails the test, which would check nothing; it only skips it where
// the variable names a folder, which may hold other kinds of cases only.
func Cases(t testing.TB, prefixes ...string) []string {
	t.Helper()
	var cases []string
	for _, dir := range Dirs(t) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, err := os.Stat(filepath.Join(dir, e.Name(), "case.json")); err != nil {
				continue
			}
			for _, p := range prefixes {
				if strings.HasPrefix(e.Name(), p) {
					cases = append(cases, filepath.Join(dir, e.Name()))
					break
				}
			}
		}
	}
	if len(cases) == 0 {
		NoCases(t, strings.Join(prefixes, ", "))
	}
	return cases
}

// NoCases ends a test that found no case of its kind in Dirs.
func NoCases(t testing.TB, kind string) {
	t.Helper()
	if dir := os.Getenv(Env); dir != "" {
		t.Skipf("%s=%s holds no case of the kind %s", Env, dir, kind)
	}
	t.Fatalf("no case of the kind %s in %v: nothing would be checked", kind, Dirs(t))
}

// Case decodes the case.json of a case folder into v.
func Case(t testing.TB, dir string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s/case.json: %v", dir, err)
	}
}

// Root returns the repository's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
