package degrade

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// A recipe's protocol noise is that of the official test, whatever the generator of the data set.
func TestNoiseOfTheProtocol(t *testing.T) {
	im := imageio.New(7, 5)
	for i := range im.Pix {
		im.Pix[i] = 0.5
	}
	d, err := New("noise", map[string]any{"sigma": 25, "protocol": true})
	if err != nil {
		t.Fatal(err)
	}
	want := ProtocolNoise(im, 25, 0)
	for _, seed := range []uint64{1, 2} {
		if got := d.Apply(im, rand.New(rand.NewPCG(seed, 0))); !slices.Equal(got.Pix, want.Pix) {
			t.Errorf("seed %d: not the noise of the protocol", seed)
		}
	}
}
