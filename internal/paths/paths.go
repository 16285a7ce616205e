// Package paths compares places in the file system.
package paths

import "path/filepath"

// Inside reports whether a path, which may not be there yet, is dir or lies in it, symbolic links followed.
func Inside(path, dir string) bool {
	name, err := filepath.Rel(resolved(dir), resolved(path))
	return err == nil && filepath.IsLocal(name)
}

// resolved is the absolute path behind symbolic links, as far as the path exists.
func resolved(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}
