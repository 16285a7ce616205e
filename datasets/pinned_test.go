package datasets

import (
	"fmt"
	"hash/crc64"
	"math"
	"path/filepath"
	"testing"

	"github.com/godcpt/godcpt/datasets/degrade"
)

// The pixels of training samples (place, flips, transposition, order of the random draws) are the same
// to the bit in every version: these checksums come from the first one. A change of them is a change
// of every trained network.
func TestSamplesStayTheSame(t *testing.T) {
	clean, rainy := t.TempDir(), t.TempDir()
	for i := range 4 {
		writePhoto(t, filepath.Join(clean, fmt.Sprintf("%d.png", i)), 21+i, 30-3*i, i)
		writePhoto(t, filepath.Join(rainy, fmt.Sprintf("%d.png", i)), 21+i, 30-3*i, i+50)
	}
	images, err := FromDir(clean)
	if err != nil {
		t.Fatal(err)
	}
	paired, err := NewPaired(PairedConfig{LQ: rainy, GT: clean, Patch: 13, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	of := func(margin, patch int) Dataset {
		return synthetic(t, images, SyntheticConfig{Degradations: []degrade.Degradation{identity{margin}}, Patch: patch, Seed: 3})
	}
	for _, c := range []struct {
		name string
		ds   Dataset
		want uint64
	}{
		{"crops", of(0, 13), 0xf6ad7fb2d462796a},
		{"crops with a margin", of(4, 13), 0xf6ad7fb2d462796a},
		{"crops larger than the picture", of(2, 26), 0x43156499b388f82c},
		{"whole pictures", of(0, 0), 0xb8d3312ce8eba788},
		{"pairs", paired, 0x85475be751b64d99},
	} {
		sum := crc64.New(crc64.MakeTable(crc64.ECMA))
		for epoch := range 10 {
			for i := range c.ds.Len() {
				s := mustSample(t, c.ds, epoch, i)
				fmt.Fprintln(sum, s.LQ.W, s.LQ.H, s.GT.W, s.GT.H)
				for _, pix := range [][]float32{s.LQ.Pix, s.GT.Pix} {
					for _, v := range pix {
						bits := math.Float32bits(v)
						sum.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
					}
				}
			}
		}
		if got := sum.Sum64(); got != c.want {
			t.Errorf("%s: checksum %#x, want %#x", c.name, got, c.want)
		}
	}
}
