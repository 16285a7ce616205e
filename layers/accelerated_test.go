package layers

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// gpu is a backend that says that it is none of a CPU.
type gpu struct{ compute.Backend }

func (gpu) String() string { return "xla" }
func (gpu) IsCPU() bool    { return false }

// There is no GPU in a test: what can be tested is that graphs for one sum by reductions, of the same
// shapes, and that graphs for others do not.
func TestAccelerated(t *testing.T) {
	backend := backendtest.Go(t)
	for _, test := range []struct {
		name    string
		backend compute.Backend
		want    bool
	}{{"GPU", gpu{backend}, true}, {"pure Go", backend, false}} {
		g := NewGraph(test.backend, test.name)
		if got := accelerated(g); got != test.want {
			t.Errorf("%s: accelerated is %v", test.name, got)
		}
		x := Parameter(g, "x", shapes.Make(dtypes.Float32, 2, 3, 4, 5))
		for _, sum := range []struct {
			name string
			node *Node
			want []int
		}{
			{"sumRows", sumRows(x), []int{5}},
			{"sumPixels", sumPixels(x), []int{2, 5}},
		} {
			if !sum.node.Shape().Equal(shapes.Make(dtypes.Float32, sum.want...)) {
				t.Errorf("%s: %s has the shape %s, want %v", test.name, sum.name, sum.node.Shape(), sum.want)
			}
			if got := sum.node.Type() == NodeTypeReduceSum; got != test.want {
				t.Errorf("%s: %s is a %s", test.name, sum.name, sum.node.Type())
			}
		}
		if mean := meanChannels(rows(x)); test.want && mean.Shape().Dim(1) != 1 {
			t.Errorf("%s: meanChannels has the shape %s", test.name, mean.Shape())
		}
		g.Finalize()
	}
}
