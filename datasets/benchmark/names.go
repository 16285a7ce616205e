package benchmark

import (
	"cmp"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// officialNames are the file names that one side of a split has.
type officialNames struct {
	pattern *regexp.Regexp      // nil: they are not known
	all     []string            // nil if the pattern does not list them
	key     func(string) string // by which names are compared
}

func newOfficialNames(pattern string, count int) officialNames {
	o := officialNames{pattern: fullMatch(pattern)}
	const spellings = 16 // so many each name may have: extensions, zeros, words
	all, ok := enumerate(pattern, spellings*count)
	if !ok {
		return o
	}
	for _, key := range []func(string) string{stem, numbers} {
		if names := distinct(all, key); len(names) == count {
			o.all, o.key = names, key
			return o
		}
	}
	return o
}

// distinct returns the first name of each key, sorted.
func distinct(names []string, key func(string) string) []string {
	there := map[string]bool{}
	var all []string
	for _, n := range names {
		if k := key(n); !there[k] {
			there[k] = true
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// byNumber compares names by the numbers in them.
func byNumber(a, b string) int {
	x, y := numbers(a), numbers(b)
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
}

var number = regexp.MustCompile(`\d+`)

// numbers are the numbers in a file name: copies write them with and without zeros and words around.
func numbers(name string) string {
	all := number.FindAllString(stem(name), -1)
	for i, n := range all {
		all[i] = strings.TrimLeft(n, "0")
	}
	return strings.Join(all, " ")
}

// has reports whether a file name, without folder, is an official one, and whether it is but for its
// extension: ext is the official one then.
func (o officialNames) has(name string) (ok bool, ext string) {
	if o.pattern == nil || o.pattern.MatchString(name) {
		return true, ""
	}
	stem := strings.TrimSuffix(name, path.Ext(name))
	for _, ext := range imageio.Extensions() {
		if o.pattern.MatchString(stem+ext) || o.pattern.MatchString(stem+strings.ToUpper(ext)) {
			return true, ext
		}
	}
	return false, ""
}

// missing lists the official names that are not among the given ones, however they are spelled.
func (o officialNames) missing(names []string) []string {
	if o.all == nil {
		return nil
	}
	there := map[string]bool{}
	for _, n := range names {
		there[o.key(n)] = true
	}
	var missing []string
	for _, n := range o.all {
		if !there[o.key(n)] {
			missing = append(missing, n)
		}
	}
	return missing
}

// stem is a file name without folder and extension.
func stem(name string) string {
	base := path.Base(name)
	return strings.TrimSuffix(base, path.Ext(base))
}

// enumerate lists the strings that a regular expression matches, those that it prefers first (x? prefers x,
// x?? does not), if they are at most the given number. Some may be there more than once.
func enumerate(pattern string, most int) ([]string, bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	return language(re.Simplify(), most)
}

// language is enumerate for a parsed expression.
func language(re *syntax.Regexp, most int) ([]string, bool) {
	if re.Flags&syntax.FoldCase != 0 {
		return nil, false
	}
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, true
	case syntax.OpCapture:
		return language(re.Sub[0], most)
	case syntax.OpQuest:
		all, ok := language(re.Sub[0], most)
		if re.Flags&syntax.NonGreedy != 0 {
			return append([]string{""}, all...), ok
		}
		return append(all, ""), ok
	case syntax.OpCharClass:
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if all = append(all, string(r)); len(all) > most {
					return nil, false
				}
			}
		}
		return all, true
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some, ok := language(sub, most)
			if all = append(all, some...); !ok || len(all) > most {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			some, ok := language(sub, most)
			if !ok || len(all)*len(some) > most {
				return nil, false
			}
			var longer []string
			for _, a := range all {
				for _, b := range some {
					longer = append(longer, a+b)
				}
			}
			all = longer
		}
		return all, true
	}
	return nil, false
}
