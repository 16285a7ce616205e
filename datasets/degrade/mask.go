package degrade

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// mask holds for each pixel which part of the light of the scene passes the streaks, 0..1.
type mask struct {
	w, h int
	t    []float32
}

func newMask(w, h int) *mask {
	m := &mask{w, h, make([]float32, w*h)}
	for i := range m.t {
		m.t[i] = 1
	}
	return m
}

// mist lets less through the farther the scene is: exp(-beta*depth), with beta and a depth like that of
// Haze drawn from rng. Without mist nothing is drawn.
func (m *mask) mist(beta Range, win Window, rng *rand.Rand) {
	if beta.Max == 0 {
		return
	}
	b := beta.Draw(rng)
	DefaultHaze().drawDepth(rng).each(m.w, m.h, win, func(i int, depth float64) {
		m.t[i] *= float32(math.Exp(-b * depth))
	})
}

// opaque tells whether nothing that a picture could show passes anywhere: what is still to come needs no
// drawing.
func (m *mask) opaque() bool {
	return !slices.ContainsFunc(m.t, func(t float32) bool { return t > 1e-12 })
}

// cover returns im behind what the mask does not let through, of one brightness, and behind an even veil
// of the same.
func (m *mask) cover(im *imageio.Image, bright, veil float32) *imageio.Image {
	out := im.Clone()
	for i, t := range m.t {
		t *= 1 - veil
		for c := range 3 {
			v := &out.Pix[i*3+c]
			*v = clamp01(*v*t + bright*(1-t))
		}
	}
	return out
}
