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
	return newPlane(im).spread(diskBars(d.Radius.Draw(rng))).display(im)
}

// diskReach is the distance of the farthest pixel that a disk touches.
func diskReach(radius float64) int { return int(math.Ceil(radius + 0.5)) }

// bar is a weight that the pixels of two rows, dy above and dy below the middle, have up to half
// columns to the left and right.
type bar struct {
	dy, half int
	w        float32
}

// diskBars is a disk of sum 1, as bars that lie on one another. Pixels on the rim have the part of them
// that lies inside, taken as that of a straight edge at the same distance.
func diskBars(radius float64) []bar {
	var bars []bar
	var sum float64
	for dy := range diskReach(radius) + 1 {
		beyond := 0.0 // weight of the next pixel outwards
		for dx := diskReach(radius); dx >= 0; dx-- {
			w := min(max(radius+0.5-math.Hypot(float64(dx), float64(dy)), 0), 1)
			if w > beyond {
				bars = append(bars, bar{dy, dx, float32(w - beyond)})
				sum += (w - beyond) * float64(2*dx+1) * float64(min(dy, 1)+1)
			}
			beyond = w
		}
	}
	for i := range bars {
		bars[i].w /= float32(sum)
	}
	return bars
}

// spreadUnit is the number of steps in which spread counts light: so fine that the darkest of 8-bit levels
// is off by less than 0.01 level, so coarse that two rows of a disk of 250 pixels fit an int32.
const spreadUnit = 1 << 21

// spread returns the sum of the plane, shifted to the pixels of bars, reflecting at the borders. Sums of
// light from the left on make a bar a difference of two of them, whatever its length. They are whole
// numbers, so that they do not depend on where they begin.
func (p plane) spread(bars []bar) plane {
	r := 0
	for _, b := range bars {
		r = max(r, b.dy, b.half)
	}
	padded := p.reflect(r, r)
	n, stride := p.w*3, (padded.w+1)*3
	sums := make([]int32, padded.h*stride)
	for y := range padded.h {
		row := sums[y*stride:][:stride]
		for i, v := range padded.pix[y*padded.w*3:][:padded.w*3] {
			row[i+3] = row[i] + int32(v*spreadUnit+0.5) // overflows come out again in differences
		}
	}
	out := plane{p.w, p.h, make([]float32, len(p.pix))}
	for y := range p.h {
		dst := out.pix[y*n:][:n]
		for _, b := range bars {
			w := b.w / spreadUnit
			side := func(y, x int) []int32 { return sums[(y+r)*stride+(x+r)*3:][:len(dst)] }
			right, left := side(y+b.dy, b.half+1), side(y+b.dy, -b.half)
			if b.dy == 0 {
				for i := range dst {
					dst[i] += w * float32(right[i]-left[i])
				}
				continue
			}
			right2, left2 := side(y-b.dy, b.half+1), side(y-b.dy, -b.half)
			for i := range dst {
				dst[i] += w * float32(right[i]-left[i]+right2[i]-left2[i])
			}
		}
	}
	return out
}
