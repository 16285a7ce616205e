// Package degrade makes clean pictures noisy, rainy, hazy, blurred, dark, compressed or incomplete.
//
// Each kind is a struct of parameters with a Default constructor that gives values of moderate,
// benchmark-like strength; New builds one from the words of a recipe. A parameter that varies from
// picture to picture is a Range: a new value is drawn for each call. All randomness comes from the
// generator handed in, so the same generator state gives the same picture.
//
// Pictures are display-referred (sRGB-like) values in 0..1.
package degrade

import (
	"math"
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Degradation turns a clean picture into a degraded one of the same size.
type Degradation interface {
	// Kind is the name of the degradation: one of Kinds, or several of them joined by "+".
	Kind() string
	// Apply returns a degraded copy of im (values 0..1), drawing everything random from rng; im is
	// not changed. The result lies in 0..1, except for noise that is not clipped.
	Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image
}

// Margined is implemented by degradations in which a pixel depends on its neighbours: to degrade a
// crop without border artefacts, degrade it with Margin more pixels on each side, then cut.
type Margined interface {
	Margin() int
}

// Windowed is implemented by degradations that depend on where a pixel lies in the whole picture
// (haze is thicker towards the horizon): Apply takes im for the whole picture, ApplyWindow for a
// part of it.
type Windowed interface {
	ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image
}

// Window says where an image lies in the picture it was cut from.
type Window struct {
	X, Y int // of its top left pixel; may be negative where the crop was padded
	W, H int // size of the whole picture
}

// Margin returns how many more pixels on each side d needs around a crop.
func Margin(d Degradation) int {
	if m, ok := d.(Margined); ok {
		return m.Margin()
	}
	return 0
}

// ApplyWindow degrades im, which is the part win of a picture. Degradations that do not care where
// they are ignore win.
func ApplyWindow(d Degradation, im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	if w, ok := d.(Windowed); ok {
		return w.ApplyWindow(im, win, rng)
	}
	return d.Apply(im, rng)
}

// reflected returns, for n positions of a picture from first on, which of the count positions from
// start on shows the same: itself, or outside of the picture (of the given size) the one that it reflects.
func reflected(first, n, size, start, count int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = min(max(imageio.Reflect(first+i, size)-start, 0), count-1)
	}
	return at
}

// Range is an interval from which a value is drawn uniformly for each picture. Min equal to Max is
// a fixed value.
type Range struct{ Min, Max float64 }

// Fixed returns the range that holds v only.
func Fixed(v float64) Range { return Range{v, v} }

// Draw returns a uniform value in the range.
func (r Range) Draw(rng *rand.Rand) float64 { return r.Min + (r.Max-r.Min)*rng.Float64() }

// drawInt returns a whole number in the range, both ends included, all equally likely. The ends are
// rounded.
func (r Range) drawInt(rng *rand.Rand) int {
	lo, hi := int(math.Round(r.Min)), int(math.Round(r.Max))
	return lo + rng.IntN(hi-lo+1)
}

// clamp01 returns v limited to 0..1.
func clamp01(v float32) float32 { return min(max(v, 0), 1) }
