package dcpt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/shards"
)

// shardFolder packs the tiny photos as clean ones and as pairs with copies of themselves, below root.
func shardFolder(t *testing.T) (root string) {
	t.Helper()
	root = tinyData(t)
	clean, copies := filepath.Join(root, "clean"), t.TempDir()
	must(t, os.CopyFS(copies, os.DirFS(clean)))
	for _, cfg := range []shards.PackConfig{
		{Images: clean, Out: filepath.Join(root, "photos")},
		{Images: clean, GT: copies, Out: filepath.Join(root, "pairs")},
	} {
		_, err := shards.Pack(t.Context(), cfg)
		must(t, err)
	}
	return root
}

// A recipe reads shards by a pattern, by their folder and by a file, and gets the pictures of the
// folder that was packed.
func TestRecipeReadsShards(t *testing.T) {
	root := shardFolder(t)
	folder, err := datasets.FromDir(filepath.Join(root, "clean"))
	must(t, err)
	want := map[string]*imageio.Image{}
	for i := range folder.Len() {
		im, err := folder.Image(i)
		must(t, err)
		want[shards.Key(filepath.Base(folder.Name(i)))] = im
	}
	for _, set := range []string{
		"{name: noise, images: photos, degrade: {kind: noise}}",
		"{name: noise, images: photos/photos-*.tar, degrade: {kind: noise}}",
		"{name: noise, images: photos/photos-000000.tar, degrade: {kind: noise}}",
		"{name: noise, shards: pairs}",
		"{name: noise, shards: pairs/pairs-*.tar}",
	} {
		r := tinyRecipe(t, root, "data.test=["+set+"]", "data.train.0="+set)
		test, err := r.TestSet()
		if err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		seen := map[string]bool{}
		for i := range test.Len() {
			s, err := test.Sample(0, i)
			must(t, err)
			key := shards.Key(filepath.Base(s.Name))
			seen[key] = true
			if !slices.Equal(s.GT.Pix, want[key].Pix) {
				t.Errorf("%s: %s is another picture than was packed", set, s.Name)
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%s: %d pictures, want %d", set, len(seen), len(want))
		}
		train, err := r.TrainingSet(16)
		must(t, err)
		if s, err := train.Sample(0, 0); err != nil || s.LQ.W != 16 {
			t.Errorf("%s: training sample: %v", set, err)
		}
	}
}

// A damaged shard among many is reported where training can do without it, and an error in a test set.
func TestRecipeWithDamagedShard(t *testing.T) {
	root := shardFolder(t)
	whole, err := os.ReadFile(filepath.Join(root, "photos", "photos-000000.tar"))
	must(t, err)
	many := filepath.Join(root, "many")
	must(t, os.MkdirAll(many, 0o755))
	for i := range 20 {
		data := whole
		if i == 3 {
			data = bytes.Clone(whole[:len(whole)-1500])
		}
		must(t, os.WriteFile(filepath.Join(many, fmt.Sprintf("m-%06d.tar", i)), data, 0o644))
	}
	const set = "{name: noise, images: many, degrade: {kind: noise}}"
	r := tinyRecipe(t, root, "data.train=["+set+", "+strings.Replace(set, "noise", "lowlight", 2)+"]", "data.test=["+set+"]")
	train, err := r.TrainingSet(16)
	must(t, err)
	if lost := datasets.Losses(train); len(lost) != 1 || !strings.Contains(lost[0], "m-000003.tar is cut off or corrupt") {
		t.Errorf("losses: %q", lost)
	}
	_, err = r.TestSet()
	wantError(t, err, "data set noise: the shards of a test set must be whole: m-000003.tar is cut off")
	must(t, os.WriteFile(filepath.Join(many, "m-000004.tar"), nil, 0o644))
	_, err = r.TrainingSet(16)
	wantError(t, err, "2 of 20 shards are damaged")
}

func TestRecipeShardErrors(t *testing.T) {
	root := shardFolder(t)
	for set, want := range map[string]string{
		"{name: noise, shards: pairs, pair: rain}":                            "shards are of pairs and need no other key",
		"{name: noise, shards: pairs, lq: x, gt: y}":                          "shards are of pairs and need no other key",
		"{name: noise, shards: pairs, images: x, degrade: {kind: noise}}":     "shards are of pairs and need no other key",
		"{name: noise, shards: pairs, list: x}":                               "shards are of pairs and need no other key",
		"{name: noise, shards: pairs, benchmark: kodak24}":                    "shards are of pairs and need no other key",
		"{name: noise, shards: pairs, dir: x}":                                "shards are of pairs and need no other key",
		"{name: noise, images: photos, list: x, degrade: {kind: noise}}":      "list belongs to a folder of images, not to shards",
		"{name: noise, lq: pairs, gt: clean}":                                 "pairs is of shards: give shards of pairs with the key shards",
		"{name: noise, lq: pairs/pairs-*.tar, gt: clean}":                     "is of shards: give shards of pairs with the key shards",
		"{name: noise, shards: pairs, enlarge: -1}":                           "enlarge is -1",
		"{name: noise, shards: photos}":                                       "no pairs in",
		"{name: noise, shards: none-*.tar}":                                   "there is no file none-*.tar",
		"{name: noise, images: none-*.tar, degrade: {kind: noise}}":           "there is no file none-*.tar",
		"{name: noise, images: photos/photos-*.tar}":                          "images and degrade belong together",
		"{name: noise, images: pairs/../photos/x.tar, degrade: {kind: rain}}": "there is no file x.tar",
	} {
		r, err := ParseRecipe([]byte(tinyYAMLIn(root)), "data.train.0="+set)
		if err == nil {
			_, err = r.TrainingSet(16)
		}
		wantError(t, err, want)
	}
}

// Nobody checks a folder of shards, or takes a file out of one.
func TestAdviceOnDamagedFilesInShards(t *testing.T) {
	root := shardFolder(t)
	for set, want := range map[string]string{
		"{name: noise, shards: pairs}":                              `"godcpt data pack" leaves them out`,
		"{name: noise, images: photos, degrade: {kind: noise}}":     `"godcpt data pack" leaves them out`,
		"{name: noise, images: clean, degrade: {kind: noise}}":      `"godcpt data check ` + filepath.Join(root, "clean") + `" finds`,
		"{name: noise, lq: clean, gt: clean}":                       `"godcpt data check ` + filepath.Join(root, "clean") + `" finds`,
		"{name: noise, benchmark: Kodak24, degrade: {kind: noise}}": `"godcpt data check photos" finds`,
	} {
		r := tinyRecipe(t, root, "data.train.0="+set)
		wantError(t, r.adviseOnDamaged(&datasets.TooManyDamagedError{Files: []string{"photos/x.png"}}), want)
	}
}

// A folder with anything but shards is one of pictures.
func TestNamesShards(t *testing.T) {
	dir := t.TempDir()
	if namesShards(dir) {
		t.Error("an empty folder is taken for shards")
	}
	must(t, os.WriteFile(filepath.Join(dir, ".hidden"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "a.tar"), nil, 0o644))
	if !namesShards(dir) || !namesShards(filepath.Join(dir, "a.tar")) || !namesShards(filepath.Join(dir, "b-*.tar")) {
		t.Error("shards are not recognised")
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder.tar"), 0o755))
	if namesShards(dir) || namesShards(filepath.Join(dir, "folder.tar")) {
		t.Error("a folder is taken for shards")
	}
}
