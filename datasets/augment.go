package datasets

import (
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// place draws the top left corner of a patch in a picture of w x h pixels: anywhere it fits, or in
// the middle for evaluation. In a direction in which the picture is smaller than the patch it is 0:
// the picture is continued on the right or bottom by its reflection.
func place(w, h, patch int, middle bool, rng *rand.Rand) (x, y int) {
	free := func(size int) int {
		room := max(size-patch, 0)
		if middle {
			return room / 2
		}
		return rng.IntN(room + 1)
	}
	return free(w), free(h)
}

// augmentation is a drawn flip and transposition, the same for lq and gt.
type augmentation struct{ flip, rot int }

// unchanged leaves a picture as it is.
var unchanged = augmentation{flip: 2, rot: 0}

// drawAugmentation draws as the official code does (parity case data_protocol): flip uniform in
// {left-right, up-down, none}, then transpose in three of four cases.
func drawAugmentation(rng *rand.Rand) augmentation {
	return augmentation{rng.IntN(3), rng.IntN(4)}
}

// cut returns the w x h pixels of a picture from (x, y) on, flipped and transposed.
func (a augmentation) cut(im *imageio.Image, x, y, w, h int) *imageio.Image {
	return im.Cut(x, y, w, h, imageio.Orientation{FlipH: a.flip == 0, FlipV: a.flip == 1, Transpose: a.rot != 0})
}
