package benchmark

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
)

// In returns the layout in which the split lies in a folder: the first whose folders are there; of several
// with these folders, the one by whose rule the pictures pair. The error says what folders are expected.
func (sp *Split) In(dir string) (Layout, error) {
	for _, l := range sp.Layouts {
		if l.isIn(dir) {
			return sp.bestRule(l, dir), nil
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return Layout{}, fmt.Errorf("cannot read the data set's folder: %w", err)
	}
	return Layout{}, fmt.Errorf("%s does not hold the split %s: expected there %s", dir, sp.Name, sp.expected())
}

// bestRule returns the layout with the folders of l that leaves the fewest pictures in dir alone.
func (sp *Split) bestRule(l Layout, dir string) Layout {
	best, fewest := l, -1
	var same []Layout
	for _, o := range sp.Layouts {
		if l.LQ != "" && o.LQ == l.LQ && o.GT == l.GT && o.List == l.List {
			same = append(same, o)
		}
	}
	if len(same) < 2 { // nothing to compare
		return l
	}
	for _, o := range same {
		p, err := datasets.Pair(o.Under(dir).config())
		if err == nil && (fewest < 0 || len(p.Unpaired) < fewest) {
			best, fewest = o, len(p.Unpaired)
		}
	}
	return best
}

// expected says what folders a copy may have.
func (sp *Split) expected() string {
	var ways []string
	for _, l := range sp.Layouts {
		if !slices.Contains(ways, l.String()) {
			ways = append(ways, l.String())
		}
	}
	const show = 3
	if len(ways) > show+1 {
		ways = append(ways[:show], fmt.Sprintf("in %d other ways (godcpt data list NAME)", len(ways)-show))
	}
	return strings.Join(ways, ", or ")
}

// String names the folders.
func (l Layout) String() string {
	switch {
	case l.LQ != "" && l.GT == "." && l.LQ != ".":
		return l.LQ + " and, beside it, the clean pictures"
	case l.LQ == "." && l.GT != ".":
		return l.GT + " and, beside it, the degraded pictures"
	case l.LQ != "" && l.LQ != l.GT:
		return l.LQ + " and " + l.GT
	case l.GT == ".":
		return "the pictures themselves"
	}
	return l.GT
}

// Under returns the layout with the paths that it has in the given folder of the set.
func (l Layout) Under(dir string) Layout {
	for _, p := range []*string{&l.LQ, &l.GT, &l.List} {
		if *p != "" {
			*p = filepath.Join(dir, filepath.FromSlash(*p))
		}
	}
	return l
}

// Absolute returns the layout, given with the paths that it has here, with absolute ones.
func (l Layout) Absolute() (Layout, error) {
	for _, p := range []*string{&l.LQ, &l.GT, &l.List} {
		if *p == "" {
			continue
		}
		absolute, err := filepath.Abs(*p)
		if err != nil {
			return l, err
		}
		*p = absolute
	}
	return l, nil
}

// isIn reports whether the layout's folders are in dir.
func (l Layout) isIn(dir string) bool {
	at := l.Under(dir)
	if l.List != "" {
		if _, err := os.Stat(at.List); err != nil {
			return false
		}
	}
	if l.LQ != "" && l.LQ == l.GT { // the names tell
		p, err := datasets.Pair(at.config())
		return err == nil && len(p.Pairs) > 0
	}
	return (l.LQ == "" || holdsPictures(dir, l.LQ)) && holdsPictures(dir, l.GT)
}

// holdsPictures reports whether a folder, or one of those that a pattern means, is in dir and holds a
// picture, in itself or, unless it is dir, below.
func holdsPictures(dir, pattern string) bool {
	root := os.DirFS(dir)
	found, err := fs.Glob(root, pattern)
	if err != nil {
		return false
	}
	for _, name := range found {
		if hasPicture(root, name, name != ".") {
			return true
		}
	}
	return false
}

var errFound = errors.New("found")

// hasPicture reports whether there is a picture in a folder or, if below, in those below it.
func hasPicture(root fs.FS, dir string, below bool) bool {
	err := fs.WalkDir(root, dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != dir && (!below || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case !entry.IsDir() && name != dir && imageio.IsImage(name):
			return errFound
		}
		return nil
	})
	return errors.Is(err, errFound)
}

// DefaultDir returns the folder of a set in the folder of all data: one that is called so, also by an
// alias, ignoring case and hyphens, else the one that would be.
func (s *Set) DefaultDir(root string) string {
	for _, name := range s.names() {
		dir := filepath.Join(root, filepath.FromSlash(name))
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	entries, _ := os.ReadDir(filepath.Clean(root)) // if there is no such folder, nothing is in it
	for _, e := range entries {
		if s.called(e.Name()) {
			return filepath.Join(root, e.Name())
		}
	}
	return filepath.Join(root, s.Name)
}
