package layers

import (
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// The forms for a backend that runs operation by operation are chosen on the pure Go one and on no other:
// checkLayers then compares them with the same references as the rest.
func TestInterpreted(t *testing.T) {
	for _, backend := range testBackends(t) {
		g := NewGraph(backend, t.Name())
		want := backend.Name() == backendtest.Go(t).Name()
		if got := interpreted(g); got != want {
			t.Errorf("%s: interpreted is %t, want %t", backend.Name(), got, want)
		}
		g.Finalize()
	}
}

// One pixel, odd sides, and two images, whose borders must not meet.
func TestDepthwiseGateSizes(t *testing.T) {
	var cases []layerCase
	for _, dims := range [][]int{{1, 1, 1, 2}, {2, 5, 3, 4}, {2, 4, 6, 2}} {
		cases = append(cases, layerCase{
			name: fmt.Sprint(dims), inputs: [][]int{dims},
			weights: map[string][]int{"weight": {3, 3, 1, dims[3]}, "bias": {dims[3]}},
			build:   one(DepthwiseGate),
			reference: func(in []array, w map[string]array) array {
				return referenceGate(referenceDepthwise(in[0], w["weight"], w["bias"]))
			},
		})
	}
	checkLayers(t, cases)
}
