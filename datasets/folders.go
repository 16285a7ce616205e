package datasets

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// isPattern reports whether a path has elements that path.Match would not take literally.
func isPattern(p string) bool { return strings.ContainsAny(p, "*?[") }

// fromPattern lists the pictures in all folders that a pattern names.
func fromPattern(pattern string) (*Images, error) {
	elements := strings.Split(filepath.ToSlash(filepath.Clean(pattern)), "/")
	first := 0
	for !isPattern(elements[first]) {
		first++
	}
	root := strings.Join(elements[:first], "/")
	switch {
	case root == "" && first > 0:
		root = "/"
	case root == "":
		root = "."
	}
	root = filepath.FromSlash(root)
	s := &Images{fsys: os.DirFS(root), root: root, cache: NewCache(DefaultCacheBytes)}
	for _, e := range elements[first:] {
		s.fixed = append(s.fixed, !isPattern(e))
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("cannot read the folder of pictures: %w", err)
	}
	dirs, err := fs.Glob(s.fsys, strings.Join(elements[first:], "/"))
	for _, dir := range dirs {
		if info, statErr := fs.Stat(s.fsys, dir); err == nil && statErr == nil && info.IsDir() {
			err = s.walk(dir)
		}
	}
	return s.listed(pattern, err)
}

// key is the path of picture i without extension and without what the pattern of folders spells out: of
// test/*/blur and test/GOPR0384_11_00/blur/000001.png, GOPR0384_11_00/000001.
func (s *Images) key(i int) string {
	name := s.names[i]
	name = strings.TrimSuffix(name, path.Ext(name))
	if s.fixed == nil {
		return name
	}
	var kept []string
	for j, e := range strings.Split(name, "/") {
		if j >= len(s.fixed) || !s.fixed[j] {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, "/")
}
