package databench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
)

// photos writes some pictures and returns their folder.
func photos(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 3 {
		im := imageio.New(140, 150)
		for j := range im.Pix {
			im.Pix[j] = float32((j*7+i*31)%256) / 255
		}
		if err := imageio.Write(filepath.Join(dir, fmt.Sprintf("%d.png", i)), im); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func collect(rows *[]Row) Config {
	return Config{Workers: 2, Row: func(r Row) { *rows = append(*rows, r) }}
}

func TestPhotos(t *testing.T) {
	var rows []Row
	if err := Photos(t.Context(), Folder(photos(t)), collect(&rows)); err != nil {
		t.Fatal(err)
	}
	var stages, kinds []string
	for _, r := range rows {
		stages = append(stages, r.Stage)
		if r.Kind != "" {
			kinds = append(kinds, r.Kind)
		}
		if !(r.Rate > 0) || r.Bytes == 0 || r.Allocs == 0 || r.Workers < 1 {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{StageDecode, StageCrop, StageDegrade, StageLoader, StageCold}; !slices.Equal(slices.Compact(stages), want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	if !slices.Equal(kinds, degrade.Kinds()) {
		t.Errorf("kinds %q", kinds)
	}
}

// What a sample allocates does not depend on the size of the photo it is cut from: a crop, and lq and
// gt where it is turned.
func TestAllocationIsBounded(t *testing.T) {
	images, err := Folder(photos(t)).list()
	if err != nil {
		t.Fatal(err)
	}
	var rows []Row
	b := bench{t.Context(), collect(&rows)}
	for range 10 { // the augmentation is drawn
		if err := b.crop(images); err != nil {
			t.Fatal(err)
		}
	}
	const crop = patch * patch * 3 * 4
	for _, r := range rows {
		if most := uint64(3*crop + 64<<10); r.Bytes > most { // and generators, headers and what the test's runtime needs
			t.Errorf("%d bytes for a sample, want %d at most", r.Bytes, most)
		}
	}
}

func TestRecipe(t *testing.T) {
	const text = `
name: bench
network: {arch: nafnet, width: 4, enc_blocks: [1], dec_blocks: [1]}
data:
  train:
    - {name: noise, images: %[1]q, degrade: {kind: noise}}
    - {name: haze, images: %[1]q, degrade: {kind: haze}}
finetune: {method: restore, steps: 1, batch: 1, patch: 32, pixel_loss: {kind: L1Loss}, optimizer: {lr: 1e-3}}
`
	r, err := dcpt.ParseRecipe(fmt.Appendf(nil, text, photos(t)))
	if err != nil {
		t.Fatal(err)
	}
	var rows []Row
	if err := Recipe(t.Context(), r, collect(&rows)); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].Kind != "noise" || rows[1].Kind != "haze" || rows[2].Stage != StageLoader {
		t.Errorf("%+v", rows)
	}
}

func TestErrors(t *testing.T) {
	dir := photos(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var rows []Row
	if err := Photos(ctx, Folder(dir), collect(&rows)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.png"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]Source{"broken.png": Folder(dir), "none": Folder(filepath.Join(dir, "none"))} {
		if err := Photos(t.Context(), source, collect(&rows)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestTables(t *testing.T) {
	row := Row{Stage: StageDegrade, Kind: "noise", Workers: 1, Rate: 1234.56, Bytes: 196_700, Allocs: 2}
	if got := strings.Fields(row.String()); !slices.Equal(got, []string{"degrade", "noise", "1", "1235", "197", "2"}) {
		t.Errorf("line %q", got)
	}
	if len(Heading()) != len(row.String()) {
		t.Errorf("the heading does not fit:\n%s\n%s", Heading(), row)
	}
	var csv strings.Builder
	if err := WriteCSV(&csv, []Row{row}); err != nil {
		t.Fatal(err)
	}
	want := "stage,kind,workers,images_per_second,bytes_per_image,allocations_per_image\ndegrade,noise,1,1234.6,196700,2\n"
	if csv.String() != want {
		t.Errorf("table %q", csv.String())
	}
}
