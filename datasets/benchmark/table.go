// Package benchmark knows the data sets of the field: how their copies lie on disks, which degraded
// picture belongs to which clean one, how many there are, who publishes them under which terms.
//
// One table, benchmarks.yaml, drives everything here. A recipe names a set and Find, FindSplit and
// Split.In give the folders and the pairing rule for package datasets; Check examines a folder: which
// set it is, what is missing, misnamed, unpaired, duplicated, unequal or corrupt; Get fetches what can be
// fetched without a person.
package benchmark

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Set is one published data set.
type Set struct {
	Name    string   `yaml:"name" json:"name"` // as papers write it
	Aliases []string `yaml:"aliases" json:"aliases,omitempty"`
	// Task is the class of degradation: rain, noise, haze and so on; clean for pictures to degrade.
	Task    string   `yaml:"task" json:"task"`
	About   string   `yaml:"about" json:"about"`
	Paper   string   `yaml:"paper" json:"paper,omitempty"`
	Licence string   `yaml:"licence" json:"licence"`
	Home    string   `yaml:"home" json:"home"`               // the authors' page
	Tables  []string `yaml:"tables" json:"tables,omitempty"` // of the DCPT paper that use it
	// Degrade is the degradation with which those tables use clean pictures, as in a recipe.
	Degrade  map[string]any `yaml:"degrade" json:"degrade,omitempty"`
	Splits   []Split        `yaml:"splits" json:"splits"`
	Variants []Variant      `yaml:"variants" json:"variants,omitempty"`
	Files    []File         `yaml:"files" json:"files,omitempty"`
}

// Split is a part of a set that is used as a whole, such as its test pictures.
type Split struct {
	Name string `yaml:"name" json:"name"`
	LQ   int    `yaml:"lq" json:"lq"` // number of degraded pictures; 0 for clean ones only
	GT   int    `yaml:"gt" json:"gt"` // number of clean pictures
	// Layouts are the ways in which copies lie in the set's folder, the authors' first.
	Layouts []Layout `yaml:"layouts" json:"layouts"`
	// Pattern are regular expressions of the official file names, without folder; "" if there is none.
	// One that matches exactly as many names as there are pictures lists them.
	Pattern Pattern `yaml:"pattern" json:"pattern,omitzero"`
	// Sizes are all sizes that the official pictures have (the degraded ones, where there are pairs), as
	// in 481x321; nil if they are many.
	Sizes []string `yaml:"sizes" json:"sizes,omitempty"`
}

// Pattern holds regular expressions of file names.
type Pattern struct {
	LQ string `yaml:"lq" json:"lq,omitempty"`
	GT string `yaml:"gt" json:"gt,omitempty"`
}

// Layout says where the pictures of a split lie. Paths are relative to the set's folder, with slashes;
// their elements may be patterns: see datasets.FromDir.
type Layout struct {
	LQ   string `yaml:"lq" json:"lq,omitempty"` // "" for clean pictures only
	GT   string `yaml:"gt" json:"gt"`
	Pair string `yaml:"pair" json:"pair,omitempty"` // rule: see datasets.PairedConfig
	List string `yaml:"list" json:"list,omitempty"` // list file: see datasets.FromList
	// TrimGT is how many pixels are cut at each side of clean pictures that are larger by just that.
	TrimGT int `yaml:"trim_gt" json:"trim_gt,omitempty"`
}

// Variant is a known copy that differs from the authors' one.
type Variant struct {
	About string   `yaml:"about" json:"about"`
	Sizes []string `yaml:"sizes" json:"sizes"` // sizes of its pictures
}

// File can be fetched without a login.
type File struct {
	URL    string `yaml:"url" json:"url"`
	Size   int64  `yaml:"size" json:"size,omitempty"`     // in bytes, 0 if it is not known
	SHA256 string `yaml:"sha256" json:"sha256,omitempty"` // hexadecimal, "" if it is not known
	Unpack string `yaml:"unpack" json:"unpack"`           // zip, tar.gz or none
	Into   string `yaml:"into" json:"into,omitempty"`     // folder in the set's folder
}

// Tasks are the values that Set.Task may have.
var Tasks = []string{"clean", "noise", "rain", "haze", "blur", "defocus", "lowlight", "snow", "jpeg", "raindrop", "mixed"}

//go:embed benchmarks.yaml
var table []byte

// All lists the sets.
var All = sync.OnceValue(func() []*Set {
	sets, err := parse(table)
	if err != nil {
		panic(err) // the table is a part of the program
	}
	return sets
})

func parse(table []byte) ([]*Set, error) {
	var sets []*Set
	if err := yaml.UnmarshalWithOptions(table, &sets, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("the table of data sets: %w", err)
	}
	return sets, nil
}

// normal is a name as it is compared: case, hyphens, underscores and slashes do not matter.
func normal(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", "/", "", `\`, "").Replace(strings.ToLower(name))
}

// names lists the name and the aliases.
func (s *Set) names() []string { return append([]string{s.Name}, s.Aliases...) }

// called reports whether a name is one of the set's.
func (s *Set) called(name string) bool {
	return slices.ContainsFunc(s.names(), func(n string) bool { return normal(n) == normal(name) })
}

// Find returns the set of a name, ignoring case, hyphens and underscores. The error for an unknown one
// names what is near.
func Find(name string) (*Set, error) {
	var known, containing []string
	for _, s := range All() {
		if s.called(name) {
			return s, nil
		}
		known = append(known, s.names()...)
		if n := normal(name); len(n) > 1 && strings.Contains(normal(s.Name), n) {
			containing = append(containing, s.Name)
		}
	}
	if near := suggest.Nearest(name, known); near != "" {
		containing = []string{near}
	}
	hint := ""
	if len(containing) > 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(containing, ", "))
	}
	return nil, fmt.Errorf("there is no data set %q%s: godcpt data list shows all", name, hint)
}

// FindSplit returns what a recipe names: SET/SPLIT, or SET if that has only one split.
func FindSplit(name string) (*Set, *Split, error) {
	set, err := Find(name)
	part, split := name, ""
	if err != nil {
		if part, split, _ = strings.Cut(name, "/"); split == "" {
			return nil, nil, err
		}
		if set, err = Find(part); err != nil {
			return nil, nil, err
		}
	}
	if split == "" {
		if len(set.Splits) > 1 {
			return nil, nil, fmt.Errorf("%s has several splits: write %s", set.Name, strings.Join(set.splitNames(), " or "))
		}
		return set, &set.Splits[0], nil
	}
	for i := range set.Splits {
		if normal(set.Splits[i].Name) == normal(split) {
			return set, &set.Splits[i], nil
		}
	}
	return nil, nil, fmt.Errorf("%s has no split %q: write %s", set.Name, split, strings.Join(set.splitNames(), " or "))
}

// Spec is how a recipe names a split of the set.
func (s *Set) Spec(split *Split) string {
	if len(s.Splits) == 1 {
		return s.Name
	}
	return s.Name + "/" + split.Name
}

func (s *Set) splitNames() []string {
	var names []string
	for i := range s.Splits {
		names = append(names, s.Spec(&s.Splits[i]))
	}
	return names
}

// Pairs reports whether the split has degraded pictures of its own.
func (sp *Split) Pairs() bool { return sp.LQ > 0 }

// Count is the number of official pairs, or of clean pictures where there are no pairs.
func (sp *Split) Count() int {
	if sp.Pairs() {
		return sp.LQ
	}
	return sp.GT
}

// fullMatch compiles a pattern so that it must match a whole name; nil for "".
func fullMatch(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	return regexp.MustCompile("^(?:" + pattern + ")$") // a test compiles all of the table
}
