package degrade

import (
	"hash/crc64"
	"math"
	"runtime"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// The degradations of the five classes give the same pixels to the bit in every version: rain, haze, blur and
// low light those of the first one, noise those since it is added in float64, as the protocol says. A change of
// them is a change of every network that is trained with them.
func TestPixelsStayTheSame(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("on %s the compiler may fuse products and sums, which rounds otherwise", runtime.GOARCH)
	}
	im := imageio.New(90, 70) // of 8-bit levels
	for i := range im.Pix {
		im.Pix[i] = float32(i*i%5471%256) / 255
	}
	for _, c := range []struct {
		d    Degradation
		want uint64
	}{
		{DefaultGaussianNoise(), 0x7b2341199bdc7e0d},
		{DefaultRain(), 0xa07734f563515fb6},
		{DefaultHaze(), 0x989d1caad3e7c87e},
		{DefaultMotionBlur(), 0x383afea67b90baa6},
		{DefaultLowLight(), 0xd462b4dacf36dae2},
	} {
		sum := crc64.New(crc64.MakeTable(crc64.ECMA))
		for seed := range uint64(5) {
			for _, v := range ApplyWindow(c.d, im, Window{30, 40, 481, 321}, newRNG(seed)).Pix {
				bits := math.Float32bits(v)
				sum.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
			}
		}
		if got := sum.Sum64(); got != c.want {
			t.Errorf("%s: checksum %#x, want %#x", c.d.Kind(), got, c.want)
		}
	}
}
