package degrade

import (
	"math/rand/v2"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Demosaick keeps one colour of each pixel, as the Bayer filter of a camera does, and interpolates the
// other two along edges: green at red and blue pixels is the mean of the two neighbours, side by side
// or one above the other, that differ less; red and blue are means of the two or four nearest. It works
// on 8-bit values and gives those of OpenCV's edge-aware demosaicking, which the official data set uses;
// like there, the outermost pixels of the picture repeat their inner neighbours. Nothing is random.
//
// The pattern begins at the corner of the whole picture; a crop has the phase of its place.
type Demosaick struct {
	Pattern string // the first two pixels of the first two rows: one of BayerPatterns, "" is "RGGB"
}

// BayerPatterns returns the arrangements of a Bayer filter.
func BayerPatterns() []string { return []string{"RGGB", "BGGR", "GRBG", "GBRG"} }

// DefaultDemosaick has the pattern of the official data set, RGGB.
func DefaultDemosaick() Demosaick { return Demosaick{Pattern: "RGGB"} }

func demosaickParams() ([]param, func() Degradation) {
	d := DefaultDemosaick()
	return []param{{"pattern", word{&d.Pattern, BayerPatterns()}, 0, 0}}, func() Degradation { return d }
}

// Kind returns "demosaick".
func (Demosaick) Kind() string { return "demosaick" }

// Margin implements Margined.
func (Demosaick) Margin() int { return mosaicMargin }

// Apply implements Degradation. It does not use rng.
func (d Demosaick) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed.
func (d Demosaick) ApplyWindow(im *imageio.Image, win Window, _ *rand.Rand) *imageio.Image {
	levels := im.Quantize()
	raw := newMosaic(im.W, im.H, newBayer(d.Pattern), win)
	for i := range raw.v {
		raw.v[i] = int32(levels[i*3+raw.channel(i)])
	}
	out := im.Clone()
	for i, v := range raw.demosaick() {
		out.Pix[i] = float32(v) / 255
	}
	out.Gray = false // edges get coloured rims
	return out
}

// mosaicMargin is the reach of demosaicking: the nearest pixels, and one more where the outermost
// pixel of the picture repeats its neighbour.
const mosaicMargin = 2

// bayer holds which channel (0 red, 1 green, 2 blue) the four pixels of the pattern see.
type bayer [4]int

func newBayer(pattern string) (b bayer) {
	if pattern == "" {
		pattern = "RGGB"
	}
	for i := range b {
		b[i] = strings.IndexByte("RGB", pattern[i])
	}
	return b
}

// mosaic is what a sensor with a Bayer filter sees: one value per pixel.
type mosaic struct {
	w, h   int
	v      []int32
	filter bayer
	win    Window
}

func newMosaic(w, h int, filter bayer, win Window) *mosaic {
	return &mosaic{w, h, make([]int32, w*h), filter, win}
}

// channel returns which channel pixel number i sees.
func (m *mosaic) channel(i int) int { return m.at(i%m.w, i/m.w) }

func (m *mosaic) at(x, y int) int { return m.filter[(m.win.Y+y)&1<<1|(m.win.X+x)&1] }

// demosaick returns all three channels of all pixels, HWC.
func (m *mosaic) demosaick() []int32 {
	out := make([]int32, len(m.v)*3)
	for y := range m.h {
		up, row, down := m.row(y-1), m.row(y), m.row(y+1)
		for x := range m.w {
			l, r := imageio.Reflect(x-1, m.w), imageio.Reflect(x+1, m.w)
			p := out[(y*m.w+x)*3:][:3]
			c := m.at(x, y)
			p[c] = row[x]
			across, along := mean2(row[l], row[r]), mean2(up[x], down[x])
			if c == 1 {
				beside := m.at(x+1, y)
				p[beside], p[2-beside] = across, along
				continue
			}
			p[1] = along
			if distance(row[l], row[r]) <= distance(up[x], down[x]) {
				p[1] = across
			}
			p[2-c] = (up[l] + up[r] + down[l] + down[r] + 2) >> 2
		}
	}
	m.repeatBorder(out)
	return out
}

// row returns row y, reflected at the borders: that keeps the pattern.
func (m *mosaic) row(y int) []int32 { return m.v[imageio.Reflect(y, m.h)*m.w:][:m.w] }

func mean2(a, b int32) int32 { return (a + b + 1) >> 1 }

func distance(a, b int32) int32 { return max(a-b, b-a) }

// repeatBorder gives the outermost pixels of the whole picture the values of their inner neighbours.
func (m *mosaic) repeatBorder(out []int32) {
	if m.win.W < 3 || m.win.H < 3 {
		return
	}
	for x := range m.w {
		if from := innerNeighbour(m.win.X+x, m.win.W) - m.win.X; from != x && from >= 0 && from < m.w {
			for y := range m.h {
				copy(out[(y*m.w+x)*3:][:3], out[(y*m.w+from)*3:][:3])
			}
		}
	}
	for y := range m.h {
		if from := innerNeighbour(m.win.Y+y, m.win.H) - m.win.Y; from != y && from >= 0 && from < m.h {
			copy(out[y*m.w*3:][:m.w*3], out[from*m.w*3:][:m.w*3])
		}
	}
}

// innerNeighbour returns the position beside at if that is the first or last of size, else at.
func innerNeighbour(at, size int) int {
	switch at {
	case 0:
		return 1
	case size - 1:
		return size - 2
	}
	return at
}
