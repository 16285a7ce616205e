package benchmark

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/godcpt/godcpt/datasets"
)

// general finds pairs of folders in a folder that is no set of the table, or takes all its pictures for
// clean ones.
func general(dir string) ([]*Part, error) {
	pairs := folderPairs(dir, subFolders(dir))
	if len(pairs) == 0 {
		pairs = nestedPairs(dir)
	}
	var parts []*Part
	for _, l := range pairs {
		if rule, ok := bestRule(l.Under(dir)); ok {
			l.Pair = rule
			parts = append(parts, newGeneralPart(dir, l))
		}
	}
	if len(parts) > 0 {
		return parts, nil
	}
	if !hasPicture(os.DirFS(dir), ".", true) {
		return nil, fmt.Errorf("%s: %w%s", dir, errNoPictures, whyNone(dir))
	}
	if rule := flatRule(dir); rule != "" {
		return []*Part{newGeneralPart(dir, Layout{LQ: ".", GT: ".", Pair: rule})}, nil
	}
	return []*Part{newGeneralPart(dir, Layout{GT: "."})}, nil
}

// whyNone says what is in a folder in place of pictures; "" if that is nothing to speak of.
func whyNone(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		switch {
		case path.Ext(e.Name()) == shardExtension:
			return fmt.Sprintf(". %s may be shards of pictures: they are checked when a recipe opens them", e.Name())
		case e.Type()&os.ModeSymlink != 0 && isFolder(dir, e):
			return fmt.Sprintf(". %s leads to another folder: name that folder", e.Name())
		}
	}
	return ""
}

// shardExtension is that of package shards.
const shardExtension = ".tar"

// flatRule returns the rule that tells degraded and clean pictures in one folder apart and pairs all of them;
// "" if there is none.
func flatRule(dir string) string {
	images, err := datasets.FromDir(dir)
	if err != nil || images.Len() < 2 {
		return ""
	}
	for _, rule := range flatRules(files(images)) {
		p, err := datasets.Pair(datasets.PairedConfig{LQ: dir, GT: dir, Rule: rule})
		if err == nil && len(p.Unpaired) == 0 && 2*len(p.Pairs) == images.Len() {
			return rule
		}
	}
	return ""
}

// flatRules lists rules that may tell pictures in one folder apart: those of sets in the table that lie so, and
// those of words in the names, such as low_*=high_* and *_noisy=*_clean.
func flatRules(files []string) []string {
	var rules []string
	add := func(rule string) {
		if !slices.Contains(rules, rule) && datasets.CheckPairRule(rule) == nil {
			rules = append(rules, rule)
		}
	}
	for _, s := range All() {
		for _, split := range s.Splits {
			for _, l := range split.Layouts {
				if l.LQ != "" && l.LQ == l.GT {
					add(l.Pair)
				}
			}
		}
	}
	patterns := map[string][]string{} // of each side
	note := func(word, pattern string) {
		if side := sideOf(word); side != "" && !slices.Contains(patterns[side], pattern) {
			patterns[side] = append(patterns[side], pattern)
		}
	}
	for _, f := range files {
		name := stem(filepath.ToSlash(f))
		if i := strings.IndexAny(name, "-_0123456789"); i > 0 {
			separator := strings.TrimRight(name[i:i+1], "0123456789")
			note(name[:i], name[:i]+separator+"*")
		}
		if i := strings.LastIndexAny(name, "-_"); i >= 0 {
			note(name[i+1:], "*"+name[i:])
		}
	}
	for _, lq := range patterns["lq"] {
		for _, gt := range patterns["gt"] {
			add(lq + "=" + gt)
		}
	}
	return rules
}

// noteHalf says of a part without pairs if its folder is one half of pairs, so that degraded pictures are not
// taken for clean ones.
func (p *Part) noteHalf(dir string) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return
	}
	parent, name := filepath.Split(absolute)
	parent = filepath.Clean(parent)
	for _, l := range folderPairs(parent, subFolders(parent)) {
		rule, ok := bestRule(l.Under(parent))
		if !ok || name != l.LQ && name != l.GT {
			continue
		}
		side, other := "degraded", l.GT
		if name == l.GT {
			side, other = "clean", l.LQ
		}
		p.note("these seem to be the %s pictures of pairs, with %s beside them: check %s", side, other, parent)
		if name == l.LQ {
			l.Pair = rule
			p.Recipe = generalLine(parent, l.Under(parent))
		}
		return
	}
}

func newGeneralPart(dir string, l Layout) *Part {
	at := l.Under(dir)
	p := &Part{Dir: dir, LQ: at.LQ, GT: at.GT, Pair: at.Pair, layout: at}
	p.Recipe = generalLine(dir, at)
	return p
}

// subFolders lists the folders in a folder that hold pictures.
func subFolders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if isFolder(dir, e) && hasPicture(os.DirFS(dir), e.Name(), true) {
			names = append(names, e.Name())
		}
	}
	return names
}

// folderPairs returns the pairs among folders, by the names that such folders have.
func folderPairs(dir string, names []string) []Layout {
	var lq, gt []string
	for _, name := range names {
		switch sideOf(name) {
		case "lq":
			lq = append(lq, name)
		case "gt":
			gt = append(gt, name)
		}
	}
	if len(gt) == 1 && len(lq) == 0 && len(names) > 1 { // whatever lies beside the clean pictures
		lq = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == gt[0] })
	}
	if len(lq) == 1 && len(gt) == 0 && len(names) == 2 {
		gt = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == lq[0] })
	}
	if len(gt) != 1 {
		return nil
	}
	var pairs []Layout
	for _, name := range lq {
		pairs = append(pairs, Layout{LQ: name, GT: gt[0]})
	}
	return pairs
}

// nestedPairs returns the pairs among the folders that all sub-folders have, as with sequences.
func nestedPairs(dir string) []Layout {
	var common []string
	for i, sub := range subFolders(dir) {
		names := subFolders(filepath.Join(dir, sub))
		if i == 0 {
			common = names
		}
		common = slices.DeleteFunc(common, func(n string) bool { return !slices.Contains(names, n) })
	}
	pairs := folderPairs(dir, common)
	for i, l := range pairs {
		pairs[i] = Layout{LQ: "*/" + l.LQ, GT: "*/" + l.GT}
	}
	return pairs
}

// sideOf says what the pictures in a folder of a name are, by the folders in the table and some more
// words: lq, gt, or "" if it does not tell.
func sideOf(name string) string { return sides()[normal(name)] }

var sides = sync.OnceValue(func() map[string]string {
	words := map[string]string{}
	add := func(folder, side string) {
		word := normal(path.Base(folder))
		if folder == "." || strings.ContainsAny(word, "*?[") {
			return
		}
		if other, ok := words[word]; ok && other != side {
			side = ""
		}
		words[word] = side
	}
	for _, s := range All() {
		for _, split := range s.Splits {
			for _, l := range split.Layouts {
				if l.LQ != "" && l.LQ != l.GT {
					add(l.LQ, "lq")
					add(l.GT, "gt")
				}
			}
		}
	}
	for _, word := range strings.Fields("lq low lr input degraded noisy rain rainy haze hazy blur blurry blurred snow snowy dark source") {
		add(word, "lq")
	}
	for _, word := range strings.Fields("gt high hr target groundtruth clean clear sharp norain normal reference label") {
		add(word, "gt")
	}
	for _, word := range []string{"train", "test", "val"} {
		words[word] = ""
	}
	return words
})

// bestRule returns the pairing rule that leaves the fewest pictures alone; false if it leaves most.
func bestRule(l Layout) (rule string, ok bool) {
	rules := []string{datasets.PairSame, datasets.PairName, datasets.PairPrefix, datasets.PairRain}
	fewest := -1
	for i := 0; i < len(rules); i++ {
		p, err := datasets.Pair(datasets.PairedConfig{LQ: l.LQ, GT: l.GT, Rule: rules[i]})
		if err != nil {
			return "", false
		}
		if i == 0 {
			if guess := guessRule(files(p.LQ), files(p.GT)); guess != "" {
				rules = append(rules, guess)
			}
		}
		if len(p.Pairs) > len(p.Unpaired) && (fewest < 0 || len(p.Unpaired) < fewest) {
			fewest, rule = len(p.Unpaired), rules[i]
		}
	}
	return rule, fewest >= 0
}

// guessRule returns the rule that says what the names on each side have in common at their beginning and
// end, "" if that is nothing.
func guessRule(lq, gt []string) string {
	a, b := star(lq), star(gt)
	if a == "*" && b == "*" || a == b || datasets.CheckPairRule(a+"="+b) != nil {
		return ""
	}
	return a + "=" + b
}

// star is the pattern of file names: what all begin with and end with, but for digits, and a star.
func star(names []string) string {
	before, after := stem(filepath.ToSlash(names[0])), stem(filepath.ToSlash(names[0]))
	for _, n := range names[1:] {
		n = stem(filepath.ToSlash(n))
		for !strings.HasPrefix(n, before) {
			before = before[:len(before)-1]
		}
		for !strings.HasSuffix(n, after) {
			after = after[1:]
		}
	}
	if len(names) == 1 { // all of it is common: only the words count
		before = strings.TrimRight(before, "0123456789")
		if i := strings.IndexAny(after, "0123456789"); i >= 0 {
			before, after = after[:i], after[i:]
		}
	}
	return strings.TrimRight(before, "0123456789") + "*" + strings.TrimLeft(after, "0123456789")
}

// plainYAML are texts that need no quotes in a recipe.
var plainYAML = regexp.MustCompile(`^[\pL\d./][\pL\d./_+\-]*$`)

// RecipeText is a text, such as a path, as it is written into a line of a recipe: with quotes where YAML needs
// them.
func RecipeText(s string) string {
	if plainYAML.MatchString(s) {
		return s
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// generalLine is the line of a recipe for folders that are no set of the table.
func generalLine(dir string, at Layout) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		absolute = dir
	}
	name := RecipeText(strings.ToLower(filepath.Base(absolute)))
	if at.LQ == "" {
		return fmt.Sprintf("{name: noise, images: %s, degrade: {kind: noise}}", RecipeText(filepath.ToSlash(at.GT)))
	}
	line := fmt.Sprintf("{name: %s, lq: %s, gt: %s", name, RecipeText(filepath.ToSlash(at.LQ)), RecipeText(filepath.ToSlash(at.GT)))
	if at.Pair != datasets.PairSame {
		line += ", pair: " + RecipeText(at.Pair)
	}
	return line + "}"
}

// recipeLine is the line of a recipe for a split of a set.
func (m Match) recipeLine() string {
	name, degradation := m.Set.Task, ""
	if !m.Split.Pairs() {
		name = "noise"
		if kind, ok := m.Set.Degrade["kind"].(string); ok {
			name = kind
		} else {
			degradation = ", degrade: {kind: noise}"
		}
	}
	return fmt.Sprintf("{name: %s, benchmark: %s, dir: %s%s}", name, RecipeText(m.Set.Spec(m.Split)), RecipeText(filepath.ToSlash(m.Dir)), degradation)
}
