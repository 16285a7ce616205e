package benchmark

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// Real samples of published sets, where there are any, are recognised, sound and loaded.
func TestRealSamples(t *testing.T) {
	root := filepath.Join(paritytest.Root(), "..", "shared", "data")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("real pictures of data sets, which do not come with the code, are not at %s", root)
	}
	for _, c := range []struct {
		dir, set string // the set by any of its names; "" for folders that are none
		found    int
		complete bool
	}{
		{"test/CBSD68", "CBSD68", 68, true},
		{"test/Kodak24", "Kodak24", 24, true},
		{"test/Set12", "Set12", 12, true},
		{"test/Rain100L", "Rain100L", 28, false},
		{"test/Rain100H", "Rain100H", 4, false},
		{"test/Rain12", "Rain12", 9, false},
		{"test/SOTS/indoor", "SOTS", 4, false},
		{"test/SOTS/outdoor", "SOTS", 2, false},
		{"test/GoPro", "GoPro", 4, false},
		{"test/LOLv1/eval15", "LOLv1", 15, true},
		{"train/LOLv1", "LOLv1", 2, false},
		{"train/RESIDE-ITS", "RESIDE", 2, false},
		{"clean/train", "BSD400", 223, false}, // told by the numbers of the photos
		{"test/VideoHazy_v3", "", 2, false},
	} {
		t.Run(filepath.Base(c.dir), func(t *testing.T) {
			dir := filepath.Join(root, filepath.FromSlash(c.dir))
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("real pictures of this data set are not at %s", dir)
			}
			r := check(t, dir, Options{})
			if len(r.Parts) != 1 || !r.Sound() {
				t.Fatalf("%+v", r.Parts)
			}
			p := r.Parts[0]
			if p.Found != c.found || p.Complete() != c.complete {
				t.Errorf("%d of %d", p.Found, p.Official)
			}
			if c.set == "" {
				if p.Set != "" {
					t.Errorf("taken for %s", p.Set)
				}
			} else if set, err := Find(c.set); err != nil || set.Name != p.Set {
				t.Errorf("taken for %q, want %s (%v)", p.Set, c.set, err)
			}
			if p.LQ == "" {
				images, err := p.layout.images()
				if err != nil || images.Len() != c.found {
					t.Error(err)
				}
				return
			}
			cfg := p.layout.config()
			cfg.Patch, cfg.Eval = 32, true
			d, err := datasets.NewPaired(cfg)
			if err != nil || d.Len() != c.found {
				t.Fatalf("%v, %v", d, err)
			}
			if s, err := d.Sample(0, c.found-1); err != nil || s.LQ.W != 32 || s.GT.H != 32 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
