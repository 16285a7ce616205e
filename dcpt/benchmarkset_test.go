package dcpt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// benchmarkData makes a folder with parts of published sets.
func benchmarkData(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	picture := func(name string, seed int) {
		path := filepath.Join(root, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		im := imageio.New(24, 20)
		for i := range im.Pix {
			im.Pix[i] = float32((i*seed)%256) / 255
		}
		must(t, imageio.Write(path, im))
	}
	for i := 1; i <= 2; i++ {
		picture(fmt.Sprintf("rain_100l/rainy/rain-%03d.png", i), 3)
		picture(fmt.Sprintf("rain_100l/norain/norain-%03d.png", i), 5)
		picture(fmt.Sprintf("GoPro/test/GOPR0%d/blur/000001.png", i), 7)
		picture(fmt.Sprintf("GoPro/test/GOPR0%d/sharp/000001.png", i), 9)
		picture(fmt.Sprintf("Kodak24/kodim%02d.png", i), 11)
	}
	return root
}

func TestBenchmarkSets(t *testing.T) {
	root := benchmarkData(t)
	list := filepath.Join(root, "list.txt")
	must(t, os.WriteFile(list, []byte("kodim02.png\n"), 0o644))
	for _, c := range []struct {
		set     string // of data.test
		samples int
		name    string // of the first sample
	}{
		{"{name: x, benchmark: Rain100L}", 2, "rain_100l/rainy/rain-001.png"},
		{"{name: x, benchmark: rain100l/test, dir: rain_100l}", 2, "rain_100l/rainy/rain-001.png"},
		{"{name: x, benchmark: GoPro/test}", 2, "GoPro/test/GOPR01/blur/000001.png"},
		{"{name: x, benchmark: Kodak24, degrade: {kind: noise}}", 2, "Kodak24/kodim01.png"},
		{"{name: x, images: Kodak24, list: list.txt, degrade: {kind: noise}}", 1, "Kodak24/kodim02.png"},
		{"{name: x, lq: 'GoPro/test/*/blur', gt: 'GoPro/test/*/sharp'}", 2, "GoPro/test/GOPR01/blur/000001.png"},
		{"{name: x, lq: rain_100l/rainy, gt: rain_100l/norain, pair: 'rain-*=norain-*'}", 2, "rain_100l/rainy/rain-001.png"},
	} {
		r := tinyRecipe(t, root, "data.test=["+c.set+"]")
		test, err := r.TestSet()
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		s, err := test.Sample(0, 0)
		must(t, err)
		if test.Len() != c.samples || s.Name != filepath.Join(root, filepath.FromSlash(c.name)) {
			t.Errorf("%s: %d samples, the first from %s", c.set, test.Len(), s.Name)
		}
	}
}

func TestBenchmarkSetErrors(t *testing.T) {
	root := benchmarkData(t)
	for set, want := range map[string]string{
		"{name: x, benchmark: Rain100M}":                                     "did you mean Rain100",
		"{name: x, benchmark: GoPro}":                                        "several splits: write GoPro/",
		"{name: x, benchmark: GoPro/val}":                                    `no split "val": write GoPro/`,
		"{name: x, benchmark: Rain100L, lq: a}":                              "leave images, lq, gt, pair and list out",
		"{name: x, benchmark: Rain100L, degrade: {kind: noise}}":             "leave degrade out",
		"{name: x, benchmark: BSDS500/train}":                                "add degrade",
		"{name: x, benchmark: Kodak24, degrade: {kind: nose}}":               `unknown degradation "nose"`,
		"{name: x, dir: a, lq: a, gt: b}":                                    "dir belongs to benchmark",
		"{name: x, benchmark: Rain100L, enlarge: -1}":                        "enlarge is -1",
		"{name: x, lq: a, gt: b, pair: suffix}":                              `unknown pairing rule "suffix"`,
		"{name: x, images: 'sample:test', list: a, degrade: {kind: noise}}":  "list belongs to a folder",
		"{name: x, images: Kodak24, list: none.txt, degrade: {kind: noise}}": "cannot read the list",

		// Found when the folders are opened.
		"{name: x, benchmark: WED}":                             "godcpt data get WED",
		"{name: x, benchmark: Rain100H/test, dir: Kodak24}":     "godcpt data check " + filepath.Join(root, "Kodak24") + " --as Rain100H",
		"{name: x, lq: rain_100l, gt: rain_100l, pair: prefix}": "write benchmark: Rain100L and dir: " + filepath.Join(root, "rain_100l"),
		"{name: x, lq: rain_100l/rain, gt: rain_100l/clean}":    "write benchmark: Rain100L and dir: ",
		"{name: x, images: rain_100l, degrade: {kind: noise}}":  "write benchmark: Rain100L and dir: ",
		"{name: x, lq: rain_100l/rainy, gt: Kodak24}":           "cannot be paired",
	} {
		r, err := ParseRecipe([]byte(tinyYAMLIn(root)), "data.test=["+set+"]")
		if err == nil {
			_, err = r.TestSet()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", set, err, want)
		}
	}
}
