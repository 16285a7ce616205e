package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The library example compiles.
func TestReadmeExample(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "```go\n")
	code, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no Go example")
	}
	source := `package main

import (
	"log"
	"os"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
)

func main() {
` + code + `
	if err != nil {
		log.Fatal(err)
	}
}
`
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	// Vetting type-checks without linking.
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The verbs that it names exist, and the picture is small enough for a README.
func TestReadmeIsTrue(t *testing.T) {
	text := readme(t)
	var known []string
	for _, verb := range (&program{}).rootCommand().Commands() {
		known = append(known, verb.Name())
	}
	for _, m := range regexp.MustCompile(`(?:\./cmd/|    |`+"`"+`)godcpt (\w+)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("the README names the verb %q; there are %v", m[1], known)
		}
	}
	const limit = 400_000
	info, err := os.Stat(filepath.Join("..", "..", "docs", "images", "before_after.png"))
	if err != nil || info.Size() > limit {
		t.Errorf("the picture: %v, %v", info, err)
	}
}
