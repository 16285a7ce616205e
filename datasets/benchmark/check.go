package benchmark

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets"
)

// Kinds of problems that Check finds.
const (
	Corrupt      = "corrupt"      // cannot be decoded as a whole
	Unpaired     = "unpaired"     // has no partner
	Misnamed     = "misnamed"     // is not called as the others
	Duplicated   = "duplicated"   // has the pixels of another one
	Undegraded   = "undegraded"   // has the pixels of its clean picture
	Swapped      = "swapped"      // degraded and clean ones are in each other's place
	Unequal      = "unequal"      // has another size than its clean picture
	Resized      = "resized"      // has a size that neither the official nor a known copy has
	Recompressed = "recompressed" // is a JPEG file where the official one is not
	Surplus      = "surplus"      // there are more than officially
)

// Problem is something that is wrong with pictures.
type Problem struct {
	Kind  string   `json:"kind"`
	Text  string   `json:"text"`            // what is wrong, and with how many
	Files []string `json:"files,omitempty"` // which, with more about each where there is more to say
	Do    string   `json:"do"`              // what to do
}

// Part is what was found of one split of a set, or of a pair of folders, or of a folder.
type Part struct {
	Set   string `json:"set,omitempty"` // "" if it is none of the table
	Split string `json:"split,omitempty"`
	Task  string `json:"task,omitempty"`
	Dir   string `json:"dir"`          // folder of the set
	LQ    string `json:"lq,omitempty"` // folder of degraded pictures; "" for clean ones only
	GT    string `json:"gt"`           // folder of clean pictures
	Pair  string `json:"pair,omitempty"`
	// Found counts the pairs, or the clean pictures, and Official how many there should be (0 if unknown).
	Found    int       `json:"found"`
	Official int       `json:"official,omitempty"`
	Missing  []string  `json:"missing,omitempty"` // official names of pictures that are not there, where known
	Variant  string    `json:"variant,omitempty"` // the known copy that it is
	Notes    []string  `json:"notes,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
	Recipe   string    `json:"recipe"` // the line for a recipe

	set     *Set
	split   *Split
	layout  Layout // with full paths
	pairing *datasets.Pairing
	lq, gt  []string // files: of the pairs where there are pairs
}

// Complete reports whether all pictures of a split are there.
func (p *Part) Complete() bool { return p.Official > 0 && p.Found == p.Official }

// Noun is what Found counts.
func (p *Part) Noun() string {
	if p.LQ != "" {
		return "pairs"
	}
	return "pictures"
}

// Report is the result of Check.
type Report struct {
	Dir     string   `json:"dir"`
	Parts   []*Part  `json:"parts"`
	CouldBe []string `json:"could_be,omitempty"` // sets that fit equally well
	Others  []string `json:"others,omitempty"`   // folders beside recognised sets that were not looked at
}

// Sound reports whether no problem was found.
func (r *Report) Sound() bool {
	return !slices.ContainsFunc(r.Parts, func(p *Part) bool { return len(p.Problems) > 0 })
}

// Options of Check.
type Options struct {
	// As names the set, or SET/SPLIT; "" to recognise it.
	As string
	// Progress, if not nil, is told how many pictures were decoded.
	Progress func(done, total int)
}

// Check examines the pictures in a folder: a set of the table, a part of one, a folder of several sets, a
// pair of folders, or any folder of pictures. Every picture is decoded. An error means that nothing could
// be examined; what is wrong with the pictures is in the report.
func Check(ctx context.Context, dir string, opts Options) (*Report, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is a file: name the folder of the data set", dir)
	}
	r, err := plan(dir, opts.As)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Parts {
		if err := p.list(); err != nil {
			return nil, err
		}
	}
	pictures, err := examine(ctx, r.files(), opts.Progress)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Parts {
		p.judge(pictures)
	}
	r.compareSplits(pictures)
	return r, nil
}

// plan finds out what is in the folder.
func plan(dir, as string) (*Report, error) {
	r := &Report{Dir: dir}
	if as != "" {
		matches, err := forced(dir, as)
		if err != nil {
			return nil, err
		}
		r.add(matches)
		return r, nil
	}
	matches, couldBe := Recognise(dir)
	if !slices.ContainsFunc(matches, Match.Named) {
		const depth = 2 // SOTS/outdoor
		r.planFolders(dir, depth)
	}
	if len(r.Parts) == 0 {
		r.CouldBe = couldBe
		r.add(matches)
	}
	if len(r.Parts) > 0 {
		return r, nil
	}
	parts, err := general(dir)
	r.Parts = parts
	if len(parts) == 1 && parts[0].LQ == "" {
		parts[0].noteHalf(dir)
	}
	return r, err
}

// forced returns the splits of a named set in a folder.
func forced(dir, as string) ([]Match, error) {
	set, err := Find(as)
	splitName := ""
	if err != nil {
		var split *Split
		if set, split, err = FindSplit(as); err != nil {
			return nil, err
		}
		splitName = split.Name
	}
	only := *set
	only.Splits = slices.DeleteFunc(slices.Clone(set.Splits), func(s Split) bool { return splitName != "" && s.Name != splitName })
	var matches []Match
	for _, c := range candidates(dir, []*Set{&only}) {
		c.Set = set
		if !slices.ContainsFunc(matches, func(m Match) bool { return m.at() == c.at() }) {
			matches = append(matches, c.Match)
		}
	}
	if len(matches) > 0 {
		return tidy(matches, []*Set{set}), nil
	}
	var expected []string
	for i := range only.Splits {
		expected = append(expected, fmt.Sprintf("%s: %s", only.Splits[i].Name, only.Splits[i].expected()))
	}
	return nil, fmt.Errorf("%s does not hold %s. Expected there\n%s%s", dir, as, strings.Join(expected, "\n"), whatIsIn(dir))
}

// whatIsIn names the folders with pictures in a folder, a line for an error; "" if there are none.
func whatIsIn(dir string) string {
	images, err := datasets.FromDir(dir)
	if err != nil {
		return ""
	}
	var folders []string
	for _, f := range files(images) {
		rel, err := filepath.Rel(dir, filepath.Dir(f))
		if rel = filepath.ToSlash(rel); rel == "." {
			rel = "the folder itself"
		}
		if err == nil && !slices.Contains(folders, rel) {
			folders = append(folders, rel)
		}
	}
	const show = 4
	more := ""
	if n := len(folders) - show; n > 0 {
		folders, more = folders[:show], fmt.Sprintf(" and %d more", n)
	}
	return "\nThere are pictures in " + strings.Join(folders, ", ") + more
}

// Named reports whether the set's folder bears its name, so that the match is no guess.
func (m Match) Named() bool { return m.named > 0 }

func (r *Report) add(matches []Match) {
	for _, m := range matches {
		at := m.at()
		p := &Part{
			Set: m.Set.Name, Split: m.Split.Name, Task: m.Set.Task, Dir: m.Dir, LQ: at.LQ, GT: at.GT, Pair: cmp.Or(at.Pair, datasets.PairSame),
			set: m.Set, split: m.Split, layout: at,
		}
		p.Official = m.Split.Count()
		p.Recipe = m.recipeLine()
		r.Parts = append(r.Parts, p)
	}
}

// planFolders looks for sets in the folders of a folder, by their names, and in those of the folders that
// are none, so deep.
func (r *Report) planFolders(dir string, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil || depth == 0 {
		return
	}
	var others []string
	before := len(r.Parts)
	for _, e := range entries {
		if !isFolder(dir, e) {
			continue
		}
		sub := filepath.Join(dir, e.Name())
		matches, _ := Recognise(sub)
		matches = slices.DeleteFunc(matches, func(m Match) bool { return !m.Named() || !within(m.at().GT, sub) })
		r.add(matches)
		if len(matches) > 0 {
			continue
		}
		found := len(r.Parts)
		r.planFolders(sub, depth-1)
		if len(r.Parts) == found && hasPicture(os.DirFS(dir), e.Name(), true) {
			others = append(others, sub)
		}
	}
	if len(r.Parts) > before {
		r.Others = append(r.Others, others...)
	}
}

// list lists the pictures of a part.
func (p *Part) list() (err error) {
	if p.LQ == "" {
		images, err := p.layout.images()
		if err != nil {
			return err
		}
		p.gt, p.Found = files(images), images.Len()
		return nil
	}
	if p.pairing, err = datasets.Pair(p.layout.config()); err != nil {
		return err
	}
	p.lq, p.gt, p.Found = files(p.pairing.LQ), files(p.pairing.GT), len(p.pairing.Pairs)
	return nil
}

// images lists the clean pictures of a layout without pairs, given with its full paths.
func (l Layout) images() (*datasets.Images, error) {
	if l.List != "" {
		return datasets.FromList(l.GT, l.List)
	}
	return datasets.FromDir(l.GT)
}

// config is what package datasets opens the layout with, given with its full paths.
func (l Layout) config() datasets.PairedConfig {
	return datasets.PairedConfig{LQ: l.LQ, GT: l.GT, Rule: l.Pair, List: l.List, TrimGT: l.TrimGT}
}

func files(images *datasets.Images) []string {
	names := make([]string, images.Len())
	for i := range names {
		names[i] = images.Name(i)
	}
	return names
}

// files lists the files of all parts, each once.
func (r *Report) files() []string {
	var all []string
	for _, p := range r.Parts {
		all = append(append(all, p.lq...), p.gt...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareSplits notes pictures that are in two splits of a set: what is tested on must not be trained on.
func (r *Report) compareSplits(pictures map[string]picture) {
	for i, p := range r.Parts {
		for _, q := range r.Parts[:i] {
			if p.Set == "" || p.Set != q.Set || p.Split == q.Split || p.GT == q.GT {
				continue
			}
			here := map[[32]byte]bool{}
			for _, f := range q.gt {
				if pic := pictures[f]; pic.err == nil {
					here[pic.pixels] = true
				}
			}
			n := 0
			for _, f := range p.gt {
				if here[pictures[f].pixels] {
					n++
				}
			}
			if n > 0 {
				p.Notes = append(p.Notes, fmt.Sprintf("%s of it in the split %s, too: what is tested on must not be trained on", count(n, "clean picture"), q.Split))
			}
		}
	}
}

// isFolder reports whether an entry of a folder is a folder to look at: not a hidden one, nor what macOS puts
// into archives. Links to folders elsewhere count, since data is often kept on another disk; one that leads back
// into dir or above it does not.
func isFolder(dir string, e os.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" {
		return false
	}
	if e.Type()&os.ModeSymlink == 0 {
		return e.IsDir()
	}
	to, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	if real, err = filepath.Abs(real); err == nil {
		to, err = filepath.Abs(to)
	}
	info, statErr := os.Stat(to)
	return err == nil && statErr == nil && info.IsDir() && !within(to, real) && !within(real, to)
}

// errNoPictures is the error of a folder with nothing to examine.
var errNoPictures = errors.New("there are no pictures, in it or below")
