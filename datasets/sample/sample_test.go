package sample

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Every photo can be read, has the stated size and is listed in SOURCES.md; no photo is in two sets.
func TestPhotos(t *testing.T) {
	sources, err := FS.ReadFile("SOURCES.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]string{}
	total := 0
	for _, set := range []struct {
		names []string
		n     int
		area  int
	}{
		{TrainImages(), 52, 481 * 321}, {TestImages(), 8, 500 * 500}, {DegradedImages(), 1, 480 * 320},
	} {
		if len(set.names) != set.n {
			t.Errorf("%d photos like %v, want %d", len(set.names), set.names[:1], set.n)
		}
		for _, name := range set.names {
			data, err := FS.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			total += len(data)
			im, err := imageio.Decode(bytes.NewReader(data), name)
			if err != nil {
				t.Fatal(err)
			}
			if im.W*im.H != set.area || im.Gray {
				t.Errorf("%s: %dx%d, grey %v", name, im.W, im.H, im.Gray)
			}
			if !strings.Contains(string(sources), "| "+path.Base(name)+" |") {
				t.Errorf("%s is not listed in SOURCES.md", name)
			}
			sum := sha256.Sum256(data)
			if other, ok := seen[sum]; ok {
				t.Errorf("%s is the same as %s", name, other)
			}
			seen[sum] = name
		}
	}
	if total > 7_500_000 {
		t.Errorf("the photos have %d bytes, more than the 7.5 MB that a module may carry", total)
	}
	files := 0
	if err := fs.WalkDir(FS, ".", func(_ string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if files != len(seen)+1 { // and SOURCES.md
		t.Errorf("%d files are embedded, but the lists name %d photos", files, len(seen))
	}
}
