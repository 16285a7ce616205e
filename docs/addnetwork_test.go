package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The steps of add-a-network.md, followed to the letter on a copy that only the Go tools see.
func TestAddANetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the tests of dcpt once more")
	}
	page, err := os.ReadFile("add-a-network.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	command := regexp.MustCompile(`(?m)^\$ go test (\S+) -run '([^']+)'$`).FindStringSubmatch(string(page))
	if len(blocks) != 3 || command == nil {
		t.Fatalf("%d blocks of Go code, command %q: the page has changed, and this test with it must", len(blocks), command)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(root, "dcpt", "network.go")
	code, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	const head = "var architectures = map[string]architecture{\n"
	if strings.Count(string(code), head) != 1 {
		t.Fatal("dcpt/network.go has no list of architectures")
	}
	contents := map[string]string{
		filepath.Join(root, "dcpt", "toynet.go"): blocks[0][1],
		list:                                     strings.Replace(string(code), head, head+blocks[1][1], 1),
		filepath.Join(root, "dcpt", "toynet_test.go"): blocks[2][1],
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for path, text := range contents {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	// The tables of the other networks are tested elsewhere: of those in the command, only the toy's.
	run := exec.Command("go", "test", "-v", "-overlay", overlayFile, command[1], "-run", "^("+command[2]+")/toynet")
	run.Dir = root
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"--- PASS: TestNetworkGradients/toynet-0", "--- PASS: TestNetworkWeights/toynet-0", "--- PASS: TestNetworkOddSize/toynet-0", "--- PASS: TestPresets"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}
