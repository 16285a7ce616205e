package benchmark

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godcpt/godcpt/datasets"
)

// Match is a split of a set that lies in a folder.
type Match struct {
	Set    *Set
	Split  *Split
	Dir    string // folder of the set
	Layout Layout // relative to Dir

	named int // how well the folder's name is the set's: 2 it is, 1 contains it, 0 neither
}

// at is the layout with the paths of its folders.
func (m Match) at() Layout { return m.Layout.Under(m.Dir) }

// candidate is a match with what speaks for it.
type candidate struct {
	Match
	fit    float64 // share of official file names, 0 to 1
	known  bool    // there are official file names to compare with
	count  int     // pictures that are there: degraded ones, or clean ones where there are no pairs
	places string  // folders, for comparison
}

// Recognise returns the splits that lie in a folder, in the order of the table, by the names of folders
// and files; no picture is read. Dir is a set's folder, or one within it. If several sets fit equally
// well, there is no match, and they are named.
func Recognise(dir string) (matches []Match, couldBe []string) {
	return recognise(dir, All())
}

func recognise(dir string, sets []*Set) (matches []Match, couldBe []string) {
	found := candidates(dir, sets)
	groups := map[string][]candidate{} // of the same folders
	for _, c := range found {
		if c.convinces() {
			groups[c.places] = append(groups[c.places], c)
		}
	}
	for _, group := range groups {
		slices.SortStableFunc(group, func(a, b candidate) int { return cmp.Compare(b.score(), a.score()) })
		if len(group) > 1 && group[0].score() == group[1].score() && group[0].Set != group[1].Set {
			for _, c := range group {
				couldBe = append(couldBe, c.Set.Spec(c.Split))
			}
			continue
		}
		matches = append(matches, group[0].Match)
	}
	slices.Sort(couldBe)
	return tidy(matches, sets), couldBe
}

// tidy keeps the matches of the best set in each folder, drops splits that contain another one, and sorts.
func tidy(matches []Match, sets []*Set) []Match {
	matches = slices.DeleteFunc(matches, func(m Match) bool {
		return slices.ContainsFunc(matches, func(o Match) bool {
			return m.Set == o.Set && m.Split != o.Split && within(o.at().GT, m.at().GT) && !within(m.at().GT, o.at().GT) && !m.Split.Pairs()
		})
	})
	order := func(m Match) (int, int) {
		return slices.Index(sets, m.Set), slices.IndexFunc(m.Set.Splits, func(s Split) bool { return s.Name == m.Split.Name })
	}
	slices.SortFunc(matches, func(a, b Match) int {
		i, j := order(a)
		k, l := order(b)
		return cmp.Or(cmp.Compare(i, k), cmp.Compare(j, l), cmp.Compare(a.Dir, b.Dir))
	})
	return matches
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// candidates returns all splits with a layout whose folders are in dir, which may be a set's folder or one
// of the two below it.
func candidates(dir string, sets []*Set) []candidate {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	var all []candidate
	lists := map[string][]string{} // names of the pictures in a folder
	for _, up := range []string{".", "..", filepath.Join("..", "..")} {
		root := filepath.Join(dir, up)
		for _, set := range sets {
			for i := range set.Splits {
				split := &set.Splits[i]
				for _, l := range split.Layouts {
					if up != "." && !l.liesIn(root, absolute) || !l.isIn(root) {
						continue
					}
					c := candidate{Match: Match{Set: set, Split: split, Dir: root, Layout: split.bestRule(l, root)}}
					c.places = c.at().LQ + "\n" + c.at().GT
					c.examine(filepath.Join(absolute, up), lists)
					all = append(all, c)
					break
				}
			}
		}
	}
	return all
}

// liesIn reports whether the layout's folders, below root, are dir or in it.
func (l Layout) liesIn(root, dir string) bool {
	root, err := filepath.Abs(root)
	if err != nil {
		return false
	}
	at := l.Under(root)
	depth := strings.Count(dir, string(filepath.Separator))
	// A pattern within dir is compared element by element.
	inside := func(p string) bool {
		elements := strings.Split(p, string(filepath.Separator))
		if len(elements) <= depth {
			return false
		}
		ok, err := filepath.Match(strings.Join(elements[:depth+1], string(filepath.Separator)), dir)
		return err == nil && ok
	}
	return (l.LQ == "" || inside(at.LQ)) && inside(at.GT)
}

// examine notes what speaks for the candidate. The folder of the set is given by its full path.
func (c *candidate) examine(root string, lists map[string][]string) {
	c.named = c.folderName(root)
	list := func(dir string) []string {
		names, ok := lists[dir]
		if !ok {
			if images, err := datasets.FromDir(dir); err == nil {
				for i := range images.Len() {
					names = append(names, filepath.Base(images.Name(i)))
				}
			}
			lists[dir] = names
		}
		return names
	}
	at, fits, total := c.at(), 0, 0
	for _, side := range []struct{ dir, pattern string }{{at.LQ, c.Split.Pattern.LQ}, {at.GT, c.Split.Pattern.GT}} {
		if side.dir == "" {
			continue
		}
		names := list(side.dir)
		if c.count == 0 {
			c.count = len(names)
		}
		if side.pattern == "" {
			continue
		}
		official := newOfficialNames(side.pattern, 0)
		for _, name := range names {
			if ok, _ := official.has(name); ok {
				fits++
			}
		}
		total += len(names)
	}
	if c.known = total > 0; c.known {
		c.fit = float64(fits) / float64(total)
	}
}

// folderName compares the names of the set's folder and of the one above it with those of the set: data
// may lie in Rain100L, SOTS/outdoor, LOL-v2 or GoPro/test.
func (c *candidate) folderName(root string) int {
	base, above := filepath.Base(root), filepath.Base(filepath.Dir(root))
	contains := false
	for _, n := range c.Set.names() {
		whole := normal(n)
		for _, name := range []string{base, above + base} {
			switch name := normal(name); name {
			case whole, whole + normal(c.Split.Name):
				return 2
			default:
				contains = contains || len(whole) >= 4 && strings.Contains(name, whole)
			}
		}
	}
	if contains {
		return 1
	}
	return 0
}

// Bears reports whether a folder has the name of a set, or one with that in it: whether a match there would be
// Named. Nothing is read.
func Bears(dir string) bool {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for _, s := range All() {
		for i := range s.Splits {
			c := candidate{Match: Match{Set: s, Split: &s.Splits[i]}}
			if c.folderName(absolute) > 0 {
				return true
			}
		}
	}
	return false
}

// convinces reports whether enough speaks for a candidate: the folder's name, or else file names that
// say something, or the official number of them.
func (c *candidate) convinces() bool {
	if c.named > 0 {
		return true
	}
	const most = 0.98
	return c.known && c.fit >= most && c.count <= c.Split.Count() && (c.count == c.Split.Count() || c.telling())
}

// telling reports whether the official file names say what they are: they have letters, or so many of
// their numbers would not be met by chance.
func (c *candidate) telling() bool {
	pattern := cmp.Or(c.Split.Pattern.LQ, c.Split.Pattern.GT)
	const several, sparse = 10, 20
	if all := newOfficialNames(pattern, c.Split.Count()).all; c.count >= several && len(all) > 0 {
		if largest, err := strconv.Atoi(stem(slices.MaxFunc(all, byNumber))); err == nil && largest > sparse*len(all) {
			return true
		}
	}
	pattern = strings.TrimSuffix(pattern, filepath.Ext(pattern))
	letters := 0
	for i, r := range pattern {
		if (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') && (i == 0 || pattern[i-1] != '\\') {
			letters++
		}
	}
	const word = 3
	return letters >= word
}

// score orders candidates for the same folders.
func (c *candidate) score() float64 {
	s := 100*float64(c.named) + 10*c.fit
	switch {
	case c.count == c.Split.Count():
		s += 5
	case c.count > c.Split.Count():
		s -= 20
	}
	if strings.Contains(normal(filepath.ToSlash(c.at().GT)), normal(c.Split.Name)) {
		s += 3
	}
	return s
}
