package main

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
)

// What is written is what a data set holds: for a JPEG, and for 16 bits with transparency, by which another
// conversion would be noticed. It is a PNG of 8-bit RGB, whatever the source is.
func TestDataDecode(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	write(t, filepath.Join(in, "photo.jpg"), testImage(33, 21))
	deep := testImage(9, 7)
	deep.Depth, deep.Alpha = 16, make([]float32, 9*7)
	write(t, filepath.Join(in, "below", "deep.tif"), deep)
	grey := testImage(5, 5)
	grey.Gray = true
	write(t, filepath.Join(in, "below", "grey.png"), grey)

	out := filepath.Join(dir, "out")
	call(t, "data", "decode", in, out).check(t, exitOK, "pictures decoded: 3", "")
	pictures, err := datasets.FromDir(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pictures.Len() {
		name, err := filepath.Rel(in, pictures.Name(i))
		if err != nil {
			t.Fatal(err)
		}
		want, err := pictures.Image(i)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(out, strings.TrimSuffix(name, filepath.Ext(name))+".png")
		comparePNG(t, path, want)
		single := filepath.Join(dir, "single.png")
		call(t, "data", "decode", "--overwrite", pictures.Name(i), single).check(t, exitOK, "pictures decoded: 1", "")
		comparePNG(t, single, want)
	}
}

func comparePNG(t *testing.T, path string, want *imageio.Image) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	im, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	rgb, ok := im.(*image.RGBA)
	if !ok || im.Bounds() != image.Rect(0, 0, want.W, want.H) {
		t.Fatalf("%s: %T, %v; want RGB, %dx%d", path, im, im.Bounds(), want.W, want.H)
	}
	for i, v := range want.Quantize() {
		if got := rgb.Pix[i/3*4+i%3]; got != v {
			t.Fatalf("%s: value %d is %d, want %d", path, i, got, v)
		}
	}
}

func TestDataDecodeRefuses(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	photo := write(t, filepath.Join(in, "a.png"), testImage(4, 4))
	write(t, filepath.Join(dir, "twins", "a.png"), testImage(4, 4))
	write(t, filepath.Join(dir, "twins", "a.jpg"), testImage(4, 4))
	taken := write(t, filepath.Join(dir, "taken.png"), testImage(4, 4))
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{photo}, exitUsage, "where it goes, is missing"},
		{[]string{filepath.Join(dir, "none.jpg"), filepath.Join(dir, "b.png")}, exitFailure, "none.jpg"},
		{[]string{photo, filepath.Join(dir, "b.jpg")}, exitFailure, "give a name that ends in .png"},
		{[]string{photo, taken}, exitFailure, "taken.png exists already"},
		{[]string{"--overwrite", photo, photo}, exitFailure, "is the picture itself"},
		{[]string{"--overwrite", photo, in}, exitFailure, "is the picture itself"},
		{[]string{in, taken}, exitFailure, "need a folder"},
		{[]string{in, in}, exitFailure, "choose a folder outside"},
		{[]string{in, filepath.Join(in, "not", "there")}, exitFailure, "choose a folder outside"},
		{[]string{filepath.Join(dir, "twins"), filepath.Join(dir, "out")}, exitFailure, "would both become"},
		{[]string{filepath.Join(dir, "empty"), filepath.Join(dir, "out")}, exitFailure, "no pictures in"},
	} {
		call(t, append([]string{"data", "decode"}, c.args...)...).check(t, c.status, "", c.want)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("files before:\n%s\nafter:\n%s", before, after)
	}
}

// tree lists the files below a folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

func TestDataDecodeBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	write(t, filepath.Join(in, "good.png"), testImage(4, 4))
	broken := filepath.Join(in, "broken.jpg")
	if err := os.WriteFile(broken, []byte("<html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := call(t, "data", "decode", in, out)
	r.check(t, exitSomeFailed, "pictures decoded: 1", "1 of 2 pictures could not be decoded")
	if !strings.Contains(r.stdout, "failed: "+broken+" is not a picture") {
		t.Errorf("the broken file is not named: %s", r.stdout)
	}
	link := filepath.Join(in, "link.png")
	if err := os.Symlink("nowhere.png", link); err == nil { // where there are links
		r := call(t, "data", "decode", "--overwrite", in, out)
		r.check(t, exitSomeFailed, "pictures decoded: 1", "2 of 3 pictures could not be decoded")
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	taken := filepath.Join(dir, "taken") // an error of writing is one of all pictures
	if err := os.MkdirAll(taken, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(in, "sub", "good.png"), testImage(4, 4))
	if err := os.WriteFile(filepath.Join(taken, "sub"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	call(t, "data", "decode", in, taken).check(t, exitFailure, "", "cannot make the output folder")
	if err := os.RemoveAll(filepath.Join(in, "sub")); err != nil {
		t.Fatal(err)
	}
	call(t, "data", "decode", broken, filepath.Join(dir, "x.png")).check(t, exitFailure, "", "broken.jpg is not a picture")
	if err := os.Remove(filepath.Join(in, "good.png")); err != nil {
		t.Fatal(err)
	}
	call(t, "data", "decode", "--overwrite", in, out).check(t, exitFailure, "", "no picture of")
}

// The command gives the pixels that OpenCV gives (see datasets/imageio/testdata/README.md).
func TestDataDecodeIsOpenCV(t *testing.T) {
	const reference = "../../datasets/imageio/testdata/reference/"
	for _, name := range []string{"s420.jpg", "turned.jpg", "lossy_alpha.webp", "deep_alpha.png", "text.ppm"} {
		out := filepath.Join(t.TempDir(), "x.png")
		call(t, "data", "decode", reference+name, out).check(t, exitOK, "", "")
		want, err := imageio.Read(reference + name + ".pixels.png")
		if err != nil {
			t.Fatal(err)
		}
		comparePNG(t, out, want)
	}
}
