package dcpt

import (
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/model"
	"golang.org/x/image/bmp"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// restoreTestModel is a network of a few weights on the pure Go backend, which compiles at once.
func restoreTestModel(t *testing.T) *Model {
	t.Helper()
	be := backendtest.Go(t)
	network, err := NewNetwork(NetworkConfig{"arch": "nafnet", "width": 2, "enc_blocks": []int{1}, "dec_blocks": []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	if err := InitNetwork(be, store, NetworkScope, network); err != nil {
		t.Fatal(err)
	}
	m := newModel(be, store, NetworkScope, network, nil, CheckpointInfo{})
	t.Cleanup(m.Close)
	return m
}

// restoreTestImage is an image whose pixels differ, w x h.
func restoreTestImage(w, h int) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = float32(i*37%256) / 255
	}
	return im
}

// putPictures writes one picture of each name, 6x5 pixels, and returns the folder.
func putPictures(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) != ".bmp" {
			if err := imageio.Write(path, restoreTestImage(6, 5)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(bmp.Encode(f, imageio.ToStd(restoreTestImage(6, 5))), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// filesBelow lists the files below a folder.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRestoreFilesKeepsTheStructureOfAFolder(t *testing.T) {
	m := restoreTestModel(t)
	dir := putPictures(t, "a.png", "trip/b.jpg", "trip/deep/c.bmp", ".hidden/d.png")
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "restored") // within the input: must not be taken as one
	var told []RestoreProgress
	restore := func(overwrite bool) (RestoreSummary, error) {
		told = nil
		return RestoreFiles(context.Background(), m, []string{dir}, out, RestoreOptions{
			Overwrite: overwrite, Progress: func(p RestoreProgress) { told = append(told, p) },
		})
	}
	summary, err := restore(false)
	if err != nil || summary.Restored != 3 || len(summary.Failed) != 0 {
		t.Fatalf("got %+v, %v", summary, err)
	}
	want := []string{"a.png", "trip/b.jpg", "trip/deep/c.png"}
	if got := filesBelow(t, out); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if len(told) != 3 || told[2].Done != 3 || told[2].Total != 3 || told[1].Output != filepath.Join(out, "trip", "b.jpg") {
		t.Errorf("progress %+v", told)
	}
	if _, err := restore(false); err == nil || !strings.Contains(err.Error(), "a.png (and 2 more) exists already") {
		t.Errorf("a second time: %v", err)
	}
	if summary, err := restore(true); err != nil || summary.Restored != 3 {
		t.Errorf("with overwriting: %+v, %v", summary, err)
	}
	if n, err := CountRestoreFiles([]string{dir}, out); n != 3 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
}

func TestRestoreFilesNeverReplacesAnOriginalUnasked(t *testing.T) {
	m := restoreTestModel(t)
	dir := putPictures(t, "a.png")
	path := filepath.Join(dir, "a.png")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{dir, path, dir + "/../" + filepath.Base(dir)} {
		_, err := RestoreFiles(context.Background(), m, []string{path}, out, RestoreOptions{})
		if err == nil || !strings.Contains(err.Error(), "is the original itself") {
			t.Errorf("output %s: %v", out, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
		t.Errorf("the original was changed (%v)", err)
	}
	if summary, err := RestoreFiles(context.Background(), m, []string{path}, path, RestoreOptions{Overwrite: true}); err != nil || summary.Restored != 1 {
		t.Fatalf("with overwriting: %+v, %v", summary, err)
	}
	if after, err := os.ReadFile(path); err != nil || slices.Equal(before, after) {
		t.Errorf("the original was not replaced (%v)", err)
	}
	if got := filesBelow(t, dir); len(got) != 1 {
		t.Errorf("files left: %v", got)
	}
}

// What pictures come in: each is restored to its own size, depth, greyness and transparency.
func TestRestoreFilesKinds(t *testing.T) {
	m := restoreTestModel(t)
	grey := restoreTestImage(9, 9)
	for i := range grey.Pix {
		grey.Pix[i] = grey.Pix[i/3*3]
	}
	grey.Gray = true
	alpha := restoreTestImage(8, 8)
	alpha.Alpha = make([]float32, 64)
	deep := restoreTestImage(5, 7)
	deep.Depth = 16
	for name, im := range map[string]*imageio.Image{
		"one.png": restoreTestImage(1, 1), "row.png": restoreTestImage(5000, 1), "column.png": restoreTestImage(1, 5000),
		"grey.png": grey, "alpha.png": alpha, "deep.png": deep, "deep.tif": deep,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in, out := filepath.Join(dir, name), filepath.Join(dir, "out-"+name)
			if err := imageio.Write(in, im); err != nil {
				t.Fatal(err)
			}
			summary, err := RestoreFiles(context.Background(), m, []string{in}, out, RestoreOptions{})
			if err != nil || summary.Restored != 1 {
				t.Fatalf("%+v, %v", summary, err)
			}
			got, err := imageio.Read(out)
			if err != nil {
				t.Fatal(err)
			}
			if got.W != im.W || got.H != im.H || got.Depth != im.Depth || got.Gray != im.Gray || (got.Alpha == nil) != (im.Alpha == nil) {
				t.Errorf("got %dx%d, %d bits, grey %v, alpha %v", got.W, got.H, got.Depth, got.Gray, got.Alpha != nil)
			}
		})
	}
}

func TestRestoreFilesGoesOnAfterAFailure(t *testing.T) {
	m := restoreTestModel(t)
	dir := putPictures(t, "b.png", "d.png", "same.png", "same.bmp")
	whole, err := os.ReadFile(filepath.Join(dir, "b.png"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.png": whole[:len(whole)/2], "c.png": nil, "e.jpg": []byte("<html>not found</html>")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inputs := []string{dir, filepath.Join(dir, "missing.png")}
	summary, err := RestoreFiles(context.Background(), m, inputs, t.TempDir(), RestoreOptions{})
	if err != nil || summary.Restored != 3 {
		t.Fatalf("%+v, %v", summary, err)
	}
	for i, want := range []struct{ input, text string }{
		{"a.png", "truncated"}, {"c.png", "0 bytes"}, {"e.jpg", "HTML"}, {"same.png", "same.bmp does"}, {"missing.png", "no such file"},
	} {
		if i >= len(summary.Failed) {
			t.Fatalf("only %d failures", i)
		}
		f := summary.Failed[i]
		if filepath.Base(f.Input) != want.input || !strings.Contains(f.Err.Error(), want.text) || !strings.Contains(f.Err.Error(), want.input) {
			t.Errorf("failure %d: %s: %v", i, f.Input, f.Err)
		}
	}
}

func TestRestoreFilesRefusesBeforeItBegins(t *testing.T) {
	m := restoreTestModel(t)
	dir := putPictures(t, "a.png", "b.png")
	a := filepath.Join(dir, "a.png")
	empty := t.TempDir()
	for _, test := range []struct {
		name   string
		inputs []string
		out    string
		want   string
	}{
		{"nothing", nil, empty, "no pictures"},
		{"no output", []string{a}, "", "no output"},
		{"empty folder", []string{empty}, t.TempDir(), "no pictures in"},
		{"a format that cannot be written", []string{a}, filepath.Join(empty, "a.webp"), "possible are .png"},
		{"a file for two", []string{a, dir}, a, "several pictures need a folder"},
		{"a folder that cannot be made", []string{a}, filepath.Join(a, "x") + "/", "cannot make the output folder"},
		{"a folder that cannot be written", []string{a}, "/proc/self/", "output folder"},
	} {
		summary, err := RestoreFiles(context.Background(), m, test.inputs, test.out, RestoreOptions{})
		if err == nil || !strings.Contains(err.Error(), test.want) || summary.Restored != 0 {
			t.Errorf("%s: got %+v, %v; want %q", test.name, summary, err, test.want)
		}
	}
	if got := filesBelow(t, empty); len(got) != 0 {
		t.Errorf("files left: %v", got)
	}
}

func TestRestoreFilesRefusesWhatMemoryCannotHold(t *testing.T) {
	m := restoreTestModel(t)
	old := availableMemory
	availableMemory = func() (int64, bool) { return 1 << 20, true }
	defer func() { availableMemory = old }()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "large.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, image.NewGray(image.Rect(0, 0, 200, 100))), f.Close()); err != nil {
		t.Fatal(err)
	}
	summary, err := RestoreFiles(context.Background(), m, []string{f.Name()}, t.TempDir(), RestoreOptions{})
	if err != nil || len(summary.Failed) != 1 || !strings.Contains(summary.Failed[0].Err.Error(), "restoring 200x100 pixels takes about") {
		t.Errorf("%+v, %v", summary, err)
	}
}

func TestRestoreFilesInterrupted(t *testing.T) {
	m := restoreTestModel(t)
	dir, out := putPictures(t, "a.png", "b.png", "c.png"), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	summary, err := RestoreFiles(ctx, m, []string{dir}, out, RestoreOptions{Progress: func(RestoreProgress) { cancel() }})
	if !errors.Is(err, ErrInterrupted) || summary.Restored != 1 || len(filesBelow(t, out)) != 1 {
		t.Errorf("%+v, %v", summary, err)
	}
}
