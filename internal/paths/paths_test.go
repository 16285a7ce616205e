package paths

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInside(t *testing.T) {
	root := t.TempDir()
	in := filepath.Join(root, "in")
	if err := os.MkdirAll(filepath.Join(in, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"whole": in, "part": filepath.Join(in, "sub")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Skipf("symbolic links cannot be made here: %v", err)
		}
	}
	for path, want := range map[string]bool{
		"in": true, "in/": true, "in/sub": true, "in/new/deep": true, "whole": true, "whole/new": true, "part": true, "part/new": true,
		".": false, "out": false, "in2": false, "in/../out": false, "..in": false,
	} {
		if got := Inside(filepath.Join(root, path), in); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
		if got := Inside(filepath.Join(root, path), filepath.Join(root, "whole")); got != want {
			t.Errorf("%s, with a link to the folder: %v, want %v", path, got, want)
		}
	}
}
