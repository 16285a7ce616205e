package datasets

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// readList returns the paths in each line: one in all of them, or two in all.
func readList(file string) ([][]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of pictures: %w", err)
	}
	var lines [][]string
	scanner := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	for n := 1; scanner.Scan(); n++ {
		text := filepath.ToSlash(strings.ReplaceAll(scanner.Text(), `\`, "/"))
		paths := splitPaths(text)
		if len(paths) == 0 || strings.HasPrefix(paths[0], "#") {
			continue
		}
		if len(paths) > 2 || len(lines) > 0 && len(paths) != len(lines[0]) {
			return nil, fmt.Errorf("%s, line %d: %d names; a list has one picture in each line, or a pair in each line", file, n, len(paths))
		}
		lines = append(lines, paths)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the list of pictures %s: %w", file, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s names no pictures", file)
	}
	return lines, nil
}

// splitPaths splits a line of a list at blanks, tabs and commas. Where all of it is paths with extensions of
// pictures, these end the paths, so that blanks in their names do not matter.
func splitPaths(line string) []string {
	const separators = " \t,\r"
	words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) })
	var paths []string
	rest := strings.Trim(line, separators)
	for at := 0; at < len(rest); {
		end := strings.IndexAny(rest[at:], separators)
		if end < 0 {
			end = len(rest) - at
		}
		at += end
		if name := rest[:at]; imageio.IsImage(name) {
			paths = append(paths, name)
			rest, at = strings.TrimLeft(rest[at:], separators), 0
			continue
		}
		at += len(rest[at:]) - len(strings.TrimLeft(rest[at:], separators))
	}
	if rest != "" { // there is something else
		return words
	}
	return paths
}

// FromList is FromDir restricted to the pictures that a list file names. A name that is not there is an
// error.
//
// List files are text files, as many data sets and projects ship them: one path in each line (of a
// degraded picture where there are pairs), or two (a pair, in either order; for Pair only). Paths are
// separated by blanks, tabs or commas, and may hold blanks if all end in extensions of pictures; empty lines and lines that begin with # do not count. A path means
// the picture whose path has the most elements at its end in common with it, so that neither the folder
// that paths are relative to nor the order of the two matters.
func FromList(dir, file string) (*Images, error) {
	s, err := FromDir(dir)
	if err != nil {
		return nil, err
	}
	lines, err := readList(file)
	if err != nil {
		return nil, err
	}
	if len(lines[0]) != 1 {
		return nil, fmt.Errorf("%s names pairs; for pictures without a partner, a list has one name in each line", file)
	}
	missing := s.restrict(lines)
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s names %d pictures that are not in %s: %s", file, len(missing), dir, enumerate(missing))
	}
	return s, nil
}

// restrict keeps the pictures that the lines name, and returns the names that are none of them.
func (s *Images) restrict(lines [][]string) (missing []string) {
	at := s.byBase()
	keep := make([]bool, len(s.names))
	for _, line := range lines {
		i, _ := s.find(at, line[0])
		if i < 0 {
			missing = append(missing, line[0])
			continue
		}
		keep[i] = true
	}
	var names []string
	for i, name := range s.names {
		if keep[i] {
			names = append(names, name)
		}
	}
	s.setNames(names)
	return missing
}

// byBase lists the pictures of each file name.
func (s *Images) byBase() map[string][]int {
	at := make(map[string][]int, len(s.names))
	for i, name := range s.names {
		at[path.Base(name)] = append(at[path.Base(name)], i)
	}
	return at
}

// find returns the picture that a path in a list means and how many elements at the end of its path
// are those of the list; -1 if there is none, or no single one.
func (s *Images) find(byBase map[string][]int, listed string) (at, common int) {
	at = -1
	for _, i := range byBase[path.Base(listed)] {
		switch n := commonEnd(listed, filepath.ToSlash(s.Name(i))); {
		case n > common:
			at, common = i, n
		case n == common:
			at = -1
		}
	}
	return at, common
}

// commonEnd counts the equal elements at the end of two paths.
func commonEnd(a, b string) int {
	x, y := strings.Split(path.Clean(a), "/"), strings.Split(path.Clean(b), "/")
	slices.Reverse(x)
	slices.Reverse(y)
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

// listedPair returns the degraded and the clean picture that a line names, in either order: the one
// that fits the paths better.
func (p *Pairing) listedPair(lqBase, gtBase map[string][]int, line []string) (lq, gt int, ok bool) {
	most := 0
	for _, order := range [][2]string{{line[0], line[1]}, {line[1], line[0]}} {
		i, n := p.LQ.find(lqBase, order[0])
		j, m := p.GT.find(gtBase, order[1])
		if i >= 0 && j >= 0 && n+m > most {
			lq, gt, most = i, j, n+m
		}
	}
	return lq, gt, most > 0
}
