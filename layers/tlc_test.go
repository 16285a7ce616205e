package layers

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// The mean over a window around each pixel, moved inwards at the borders; an even window reaches
// further to the bottom and right.
func TestLocalAverage(t *testing.T) {
	var cases []layerCase
	for _, window := range []Window{{3, 3}, {4, 2}, {1, 5}, {9, 4}} {
		cases = append(cases, layerCase{
			name: fmt.Sprint(window), inputs: [][]int{{2, 6, 7, 2}},
			build: one(func(_ *model.Scope, x *Node) *Node { return LocalAverage(x, window) }),
			reference: func(in []array, _ map[string]array) array {
				d := in[0].dims
				height, width := min(window[0], d[1]), min(window[1], d[2])
				return generate(d, func(i []int) float64 {
					top := min(max(i[1]-(height-1)/2, 0), d[1]-height)
					left := min(max(i[2]-(width-1)/2, 0), d[2]-width)
					sum := 0.0
					for y := range height {
						for x := range width {
							sum += in[0].at(i[0], top+y, left+x, i[3])
						}
					}
					return sum / float64(height*width)
				})
			},
		})
	}
	checkLayers(t, cases)
}

func TestWindowStarts(t *testing.T) {
	for _, test := range []struct {
		side, window int
		want         []int
	}{
		{24, 24, []int{0}}, {10, 24, []int{0}}, {40, 24, []int{0, 16}}, {50, 24, []int{0, 13, 26}}, {48, 24, []int{0, 24}}, {49, 24, []int{0, 13, 25}},
	} {
		if got := windowStarts(test.side, test.window); !slices.Equal(got, test.want) {
			t.Errorf("%d by %d: %v, want %v", test.side, test.window, got, test.want)
		}
	}
}
