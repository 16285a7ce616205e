// Package recipes holds the experiments that ship with the module: one YAML file each.
package recipes

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/suggest"
)

// FS holds the files, NAME.yaml.
//
//go:embed *.yaml
var FS embed.FS

const extension = ".yaml"

// Names lists the recipes that ship with the module.
func Names() []string {
	files, err := fs.Glob(FS, "*"+extension)
	if err != nil { // only a malformed pattern, and this is a constant
		panic(err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], extension)
	}
	return files
}

// Load reads a recipe: a file, or by its bare name one that ships with the module. A file is what has
// an extension or a folder in its name. Settings are those of dcpt.LoadRecipe.
func Load(name string, settings ...string) (*dcpt.Recipe, error) {
	if filepath.Ext(name) != "" || filepath.Base(name) != name {
		return dcpt.LoadRecipe(name, settings...)
	}
	if !slices.Contains(Names(), name) {
		err := suggest.Unknown("recipe", name, Names())
		if _, statErr := os.Stat(name); statErr == nil {
			err = errors.Join(err, fmt.Errorf("to read the file of that name, write ./%s", name))
		}
		return nil, err
	}
	data, err := FS.ReadFile(name + extension)
	if err != nil {
		return nil, err
	}
	r, err := dcpt.ParseRecipe(data, settings...)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	return r, nil
}
