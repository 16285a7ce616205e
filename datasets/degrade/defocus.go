package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Defocus is a lens out of focus: every point of light becomes an even disk. Like MotionBlur it works
// on squared values, in which light adds up, and continues the picture by its reflection.
type Defocus struct {
	Radius Range // of the disk in pixels, drawn per picture
}

// DefaultDefocus has disks of 2 to 10 pixels: about the difficulty of DPDD (Abuolaim and Brown, ECCV
// 2020), whose blurred test photos have a PSNR of 23.9 dB.
func DefaultDefocus() Defocus { return Defocus{Radius: Range{2, 10}} }

func defocusParams() ([]param, func() Degradation) {
	d := DefaultDefocus()
	return []param{{"radius", &d.Radius, 0, 50}}, func() Degradation { return d }
}

// Kind returns "defocus".
func (Defocus) Kind() string { return "defocus" }

// Margin implements Margined.
func (d Defocus) Margin() int { return diskReach(d.Radius.Max) }

// Apply implements Degradation.
func (d Defocus) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return newPlane(im).convolve(diskTaps(d.Radius.Draw(rng))).display(im)
}

// diskReach is the distance of the farthest pixel that a disk touches.
func diskReach(radius float64) int { return int(math.Ceil(radius + 0.5)) }

// diskTaps is a disk of sum 1. Pixels on the rim have the part of them that lies inside, taken as
// that of a straight edge at the same distance.
func diskTaps(radius float64) []tap {
	var taps []tap
	var sum float64
	r := diskReach(radius)
	for dy := -r; dy <= r; dy++ {
		for dx := -r; dx <= r; dx++ {
			if w := min(radius+0.5-math.Hypot(float64(dx), float64(dy)), 1); w > 0 {
				taps = append(taps, tap{dx, dy, float32(w)})
				sum += w
			}
		}
	}
	for i := range taps {
		taps[i].w /= float32(sum)
	}
	return taps
}
