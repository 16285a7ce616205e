// Package zoo knows the PyTorch weights that DCPT and the projects of its networks have published, and
// gets their files: from a folder, from a mirror, or from where they are published.
package zoo

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Weights is one published file.
type Weights struct {
	Name string `yaml:"name" json:"name"`
	// Preset is the network that it fits, "" if no preset does; Arch is the architecture then.
	Preset string `yaml:"preset" json:"preset,omitempty"`
	Arch   string `yaml:"arch" json:"arch,omitempty"`
	// Task is what it removes from photos.
	Task string `yaml:"task" json:"task"`
	// File is the name that its authors gave the file.
	File string `yaml:"file" json:"file"`
	// URL is where the file can be fetched, "" if only a person can, on Page.
	URL string `yaml:"url" json:"url,omitempty"`
	// Copy says that URL is somebody else's copy.
	Copy bool `yaml:"-" json:"copy,omitempty"`
	// Size in bytes and SHA256 in hexadecimal; 0 and "" where no source states them.
	Size   int64  `yaml:"size" json:"size,omitempty"`
	SHA256 string `yaml:"sha256" json:"sha256,omitempty"`

	Project string `yaml:"-" json:"project"`
	Home    string `yaml:"-" json:"home"` // of the project
	Page    string `yaml:"-" json:"page"` // where the project offers the file
	Licence string `yaml:"-" json:"licence"`
}

// Network names the network for people.
func (w Weights) Network() string {
	if w.Preset != "" {
		return w.Preset
	}
	return w.Arch + " of " + w.Project
}

//go:embed weights.yaml
var table []byte

// project is an entry of the table.
type project struct {
	Project string    `yaml:"project"`
	Home    string    `yaml:"home"`
	Page    string    `yaml:"page"`
	Licence string    `yaml:"licence"`
	Release string    `yaml:"release"` // what addresses begin with
	Copies  bool      `yaml:"copies"`  // Release is not the project's own
	Weights []Weights `yaml:"weights"`
}

// All lists the published weights, project by project.
var All = sync.OnceValue(func() []Weights {
	all, err := parse(table)
	if err != nil {
		panic(err) // the table is a part of the program
	}
	return all
})

func parse(table []byte) ([]Weights, error) {
	var projects []project
	if err := yaml.UnmarshalWithOptions(table, &projects, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("the table of weights: %w", err)
	}
	var all []Weights
	for _, p := range projects {
		for _, w := range p.Weights {
			w.Project, w.Home, w.Page, w.Licence = p.Project, p.Home, p.Page, p.Licence
			if w.URL == "" && p.Release != "" {
				w.URL, w.Copy = p.Release+w.File, p.Copies
			}
			all = append(all, w)
		}
	}
	return all, nil
}

// Find returns the weights of a name. The error for an unknown one names what is near.
func Find(name string) (Weights, error) {
	var names, containing []string
	for _, w := range All() {
		if w.Name == name {
			return w, nil
		}
		names = append(names, w.Name)
		if name != "" && strings.Contains(w.Name, strings.ToLower(name)) {
			containing = append(containing, w.Name)
		}
	}
	if len(containing) == 0 {
		if near := suggest.Nearest(name, names); near != "" {
			containing = []string{near}
		}
	}
	hint := ""
	if len(containing) > 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(containing, ", "))
	}
	return Weights{}, fmt.Errorf("there are no weights %q%s: godcpt weights list shows all", name, hint)
}
