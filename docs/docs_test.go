// Package docs holds the pages about GoDCPT, and the tests that keep them true to the code.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/dcpt"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pages are the texts with links: those here, the README and the notebooks.
func pages(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"*.md", "../*.md", "../notebooks/*.ipynb"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the page, or on the web
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}

// path is a file or folder of the repository in backquotes.
var path = regexp.MustCompile("`((?:cmd|datasets|dcpt|docs|internal|layers|notebooks|recipes|scripts|tools)(?:/[\\w.-]+)*)`")

func TestArchitectureNamesWhatExists(t *testing.T) {
	text := read(t, "architecture.md")
	for _, m := range path.FindAllStringSubmatch(text, -1) {
		file, _, _ := strings.Cut(m[1], ".Import") // dcpt.ImportWeights is no file
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Errorf("architecture.md: there is no %s", m[1])
		}
	}
}

// Every package has a place on the page.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := read(t, "architecture.md")
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name != ".." && strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		// Packages below one that is named are its parts.
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), "../"))
		for ; dir != "."; dir = filepath.ToSlash(filepath.Dir(dir)) {
			if strings.Contains(text, "`"+dir+"`") || strings.Contains(text, "`"+dir+"/") {
				return nil
			}
		}
		t.Errorf("architecture.md does not name the package of %s", file)
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
}

// keys lists the keys of a recipe, at any depth.
func keys(t reflect.Type, seen map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		seen[name] = true
		keys(t.Field(i).Type, seen)
	}
}

func TestRecipesExplainsEveryKey(t *testing.T) {
	text := read(t, "recipes.md")
	want := map[string]bool{}
	keys(reflect.TypeFor[dcpt.Recipe](), want)
	for _, network := range []dcpt.Network{&dcpt.NAFNet{}, &dcpt.Restormer{}, &dcpt.PromptIR{}, &dcpt.SwinIR{}, &dcpt.RCAN{}} {
		keys(reflect.TypeOf(network), want)
	}
	for _, name := range dcpt.Presets() {
		want[name] = true
	}
	if !want["warmup_iter"] || !want["dec_blocks"] {
		t.Fatalf("keys %v: some are missing", want)
	}
	for key := range want {
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("recipes.md does not explain %q", key)
		}
	}
}

func TestExampleRecipeIsValid(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "recipes.md"), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("recipes.md has no example")
	}
	if _, err := dcpt.ParseRecipe([]byte(example)); err != nil {
		t.Errorf("the example of recipes.md: %v", err)
	}
}

func TestDataNamesEveryDegradation(t *testing.T) {
	text := read(t, "data.md")
	for _, kind := range degrade.Kinds() {
		_, rest, ok := strings.Cut(text, "| `"+kind+"` |")
		if !ok {
			t.Errorf("data.md does not name the degradation %q", kind)
			continue
		}
		row, _, _ := strings.Cut(rest, "\n")
		for key, value := range defaults(t, kind) {
			if !strings.Contains(row, "`"+key+"`"+value) {
				t.Errorf("data.md does not say \"`%s`%s\" of %s", key, value, kind)
			}
		}
		for _, name := range degrade.Presets(kind) {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("data.md does not name preset %s of %s", name, kind)
			}
		}
	}
}

// defaults returns what the page should say after each parameter of a degradation: its default, nothing
// for a list that is empty.
func defaults(t *testing.T, kind string) map[string]string {
	t.Helper()
	values, err := degrade.Parameters(kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = degrade.New(kind, map[string]any{"?": 0}) // the error about an unknown parameter lists all
	_, list, ok := strings.Cut(fmt.Sprint(err), "known: ")
	if !ok {
		t.Fatalf("%s: %v", kind, err)
	}
	want := map[string]string{}
	for _, key := range strings.Split(list, ", ") {
		switch value := values[key].(type) {
		case nil:
			want[key] = ""
		case []float64:
			want[key] = fmt.Sprintf(" [%g, %g]", value[0], value[1])
		default:
			want[key] = fmt.Sprintf(" %v", value)
		}
	}
	return want
}

// The numbers of data sets and degradations in the README are those of the tables.
func TestReadmeCounts(t *testing.T) {
	text := read(t, "../README.md")
	for _, want := range []string{
		fmt.Sprintf("knows %d data sets", len(benchmark.All())), fmt.Sprintf("in %d ways and their mixtures", len(degrade.Kinds())),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("README.md does not say %q", want)
		}
	}
}

// The figures of the table of networks are those of the networks.
func TestNetworksTable(t *testing.T) {
	rows := map[string][]string{}
	for _, line := range strings.Split(read(t, "networks.md"), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 8 {
			rows[strings.Trim(cells[1], " `")] = cells[2:5]
		}
	}
	for _, preset := range dcpt.Presets() {
		network, err := dcpt.NewNetwork(dcpt.NetworkConfig{"preset": preset})
		if err != nil {
			t.Fatal(err)
		}
		multiple := network.SizeMultiple()
		side := (256 + multiple - 1) / multiple * multiple
		d, err := dcpt.Describe(network, side, side)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{fmt.Sprint(d.Parameters), fmt.Sprintf("%.1f", float64(d.MACs)/1e9), fmt.Sprint(multiple)}
		var got []string
		for _, cell := range rows[preset] {
			got = append(got, strings.ReplaceAll(cell, " ", ""))
		}
		if !slices.Equal(got, want) {
			t.Errorf("networks.md says %q of %s, want %q", got, preset, want)
		}
	}
}
