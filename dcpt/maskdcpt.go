package dcpt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Mask says what MaskDCPT hides of the degraded images (arXiv 2510.13282): a share of the squares of a
// grid, anew for each image of each iteration. The network must still classify the degradation and
// restore the whole clean image: two heads, the degradation classifier and the network's own output.
//
// The paper gives half of 16x16 squares, a focal loss for the classes and L1 for the image. It leaves
// open what stands in the hidden squares, and whether the image is compared in them only. Here they
// are Value, grey, since the restoration networks have no token for "missing". Black would be zero in
// all channels of a network without biases (Restormer's norm BiasFree), whose norms then multiply the
// gradient by 1000 each: an image that was hidden as a whole gave gradients that are not finite. And
// the whole image is compared, since the visible squares are degraded, so that to restore them is the
// task itself and no copying.
type Mask struct {
	Ratio float64 `yaml:"ratio,omitempty"` // share of the squares that are hidden, above 0, below 1; 0 means 0.5
	Patch int     `yaml:"patch,omitempty"` // side of a square in pixels; 0 means 16
	Value float64 `yaml:"value,omitempty"` // what is put there, above 0 (black: see above), up to 1; 0 means 0.5
}

func (m Mask) complete() Mask {
	m.Ratio, m.Patch, m.Value = orDefault(m.Ratio, 0.5), orDefault(m.Patch, 16), orDefault(m.Value, 0.5)
	return m
}

// Validate reports what is wrong with the configuration.
func (m Mask) Validate() error {
	c := m.complete()
	switch {
	case !(c.Ratio > 0 && c.Ratio < 1):
		return fmt.Errorf("mask.ratio is %v; it must be above 0 and below 1", m.Ratio)
	case c.Patch < 1:
		return fmt.Errorf("mask.patch is %d; it must be at least 1", m.Patch)
	case !(c.Value > 0 && c.Value <= 1):
		return fmt.Errorf("mask.value is %v; it must be above 0 and at most 1", m.Value)
	}
	return nil
}

// apply returns images [n, h, w, 3] with squares hidden: in each image the same number, the share
// rounded, of squares that are drawn for it. Squares at the right and bottom edge may be cut. The
// result is a pure function of its arguments.
func (m Mask) apply(images []float32, n, h, w int, seed, draw uint64) []float32 {
	m = m.complete()
	rng := rand.New(rand.NewPCG(seed, draw))
	columns := (w + m.Patch - 1) / m.Patch
	squares := columns * ((h + m.Patch - 1) / m.Patch)
	hidden := int(math.Round(m.Ratio * float64(squares)))
	masked := slices.Clone(images)
	for i := range n {
		for _, square := range rng.Perm(squares)[:hidden] {
			top, left := square/columns*m.Patch, square%columns*m.Patch
			for y := top; y < min(top+m.Patch, h); y++ {
				row := masked[((i*h+y)*w+left)*3 : ((i*h+y)*w+min(left+m.Patch, w))*3]
				for k := range row {
					row[k] = float32(m.Value)
				}
			}
		}
	}
	return masked
}
