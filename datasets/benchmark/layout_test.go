package benchmark

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
)

// picture writes a small picture whose pixels depend on seed.
func writePicture(t *testing.T, path string, w, h, seed int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32((i*(2*seed+3)+i*i%251+seed*7)%256) / 255
	}
	if err := imageio.Write(path, im); err != nil {
		t.Fatal(err)
	}
}

// concrete is a folder that a pattern of the table means.
func concrete(pattern string) string {
	return strings.NewReplacer("[1-4]", "1", "[^c]", "x", "*", "x1").Replace(pattern)
}

// pairNames are file names, without extension, that belong together by a rule.
func pairNames(rule string) (lq, gt string) {
	switch rule {
	case datasets.PairPrefix:
		return "0001_0.8_0.2", "0001"
	case datasets.PairRain:
		return "rain-001", "norain-001"
	case datasets.PairOrder:
		return "1P0A0917", "1P0A0916"
	}
	if a, b, ok := strings.Cut(rule, "="); ok {
		return strings.Replace(a, "*", "7", 1), strings.Replace(b, "*", "7", 1)
	}
	return "1", "1"
}

// Every layout of the table is found in a folder that has it, and its pictures pair.
func TestLayouts(t *testing.T) {
	for _, s := range All() {
		for i := range s.Splits {
			sp := &s.Splits[i]
			for _, l := range sp.Layouts {
				t.Run(fmt.Sprintf("%s/%s/%s", s.Name, sp.Name, strings.ReplaceAll(l.String(), "/", ":")), func(t *testing.T) {
					dir := t.TempDir()
					lq, gt := pairNames(l.Pair)
					file := func(folder, name string, seed int) string {
						path := filepath.Join(dir, filepath.FromSlash(concrete(folder)), name+".png")
						writePicture(t, path, 5, 4, seed)
						return path
					}
					gtFile := file(l.GT, gt, 1)
					lqFile := gtFile
					if l.LQ != "" {
						lqFile = file(l.LQ, lq, 2)
					}
					if l.List != "" {
						if err := os.WriteFile(filepath.Join(dir, l.List), []byte(gtFile+" "+lqFile+"\n"), 0o644); err != nil {
							t.Fatal(err)
						}
					}
					found, err := sp.In(dir)
					if err != nil {
						t.Fatal(err)
					}
					if l.LQ == "" {
						images, err := found.Under(dir).images()
						if err != nil || images.Len() != 1 || images.Name(0) != gtFile {
							t.Errorf("%v, %v", images, err)
						}
						return
					}
					p, err := datasets.Pair(found.Under(dir).config())
					if err != nil || len(p.Pairs) != 1 || p.LQ.Name(p.Pairs[0].LQ) != lqFile || p.GT.Name(p.Pairs[0].GT) != gtFile || len(p.Unpaired) > 0 {
						t.Errorf("found %+v: %+v, %v", found, p, err)
					}
				})
			}
		}
	}
}

func TestInErrors(t *testing.T) {
	_, sp, err := FindSplit("Rain100L")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.In(t.TempDir()); err == nil || !strings.Contains(err.Error(), "expected there rainy and norain, or ") {
		t.Errorf("error %v", err)
	}
	if _, err := sp.In(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
}

func TestDefaultDir(t *testing.T) {
	root := t.TempDir()
	s, err := Find("LOLv1")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.DefaultDir(root); got != filepath.Join(root, s.Name) {
		t.Errorf("nothing there: %s", got)
	}
	if err := os.Mkdir(filepath.Join(root, "lol_v1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := s.DefaultDir(root); got != filepath.Join(root, "lol_v1") {
		t.Errorf("another spelling: %s", got)
	}
	if err := os.Mkdir(filepath.Join(root, s.Name), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := s.DefaultDir(root); got != filepath.Join(root, s.Name) {
		t.Errorf("its name comes first: %s", got)
	}
}

// One way more than are shown is shown instead of being counted.
func TestExpected(t *testing.T) {
	var sp Split
	for _, gt := range []string{"a", "b", "c", "d", "e"} {
		sp.Layouts = append(sp.Layouts, Layout{GT: gt})
		got := sp.expected()
		if n := len(sp.Layouts); n < 5 && got != strings.Join([]string{"a", "b", "c", "d"}[:n], ", or ") || n == 5 && got != "a, or b, or c, or in 2 other ways (godcpt data list NAME)" {
			t.Errorf("%d layouts: %s", n, got)
		}
	}
}

func TestRecipeText(t *testing.T) {
	for text, want := range map[string]string{"/data/Rain100L": "/data/Rain100L", "it's mine": "'it''s mine'", "two\nlines": `"two\nlines"`} {
		if got := RecipeText(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// A folder bears a set's name by the same rule as a match is named.
func TestBears(t *testing.T) {
	for dir, want := range map[string]bool{
		"/data/Rain100L": true, "/data/rain_100l": true, "/data/SOTS/outdoor": true, "/data/LOL-v1": true, "/data/my-gopro-copy": true,
		"/data/photos": false, "/data/clean": false, "/data/train": false,
	} {
		if got := Bears(dir); got != want {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
}
