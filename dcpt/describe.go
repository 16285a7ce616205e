package dcpt

import (
	"fmt"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/layers"
)

// Description is what a network is made of.
type Description struct {
	Weights    map[string][]int // shape of each weight in PyTorch's names and layout
	Parameters int              // numbers in all weights
	MACs       int64            // multiply-accumulates for one image of the size that was asked for
}

// goBackend is what graphs are described with: any backend can be asked for shapes, and this one is
// always there.
var goBackend = sync.OnceValues(func() (compute.Backend, error) { return gobackend.New("") })

// Describe builds a network for an image of h x w pixels, multiples of its SizeMultiple, without
// creating weights or computing anything: milliseconds, whatever the network's size.
func Describe(network Network, h, w int) (*Description, error) {
	record, err := describe(func(g *Graph, store *model.Store) {
		network.Forward(store.Scope(NetworkScope), Zeros(g, shapes.Make(dtypes.Float32, 1, h, w, 3)))
	})
	if err != nil {
		return nil, fmt.Errorf("describing a network: %w", err)
	}
	d := &Description{Weights: map[string][]int{}, MACs: record.MACs}
	for path, dims := range record.Weights {
		shape, err := torch.ShapeToTorch(dims)
		if err != nil {
			return nil, fmt.Errorf("weight %s: %w", path, err)
		}
		d.Weights[torch.Name(strings.TrimPrefix(path, NetworkScope))] = shape
		d.Parameters += size(dims)
	}
	return d, nil
}

// MACs counts the multiply-accumulates of the forward passes over one batch of the stage: of network
// and classifier, as often as the method runs them. The classifier must be complete where the stage
// classifies.
func (c StageConfig) MACs(network Network, classifier Classifier) (int64, error) {
	s, err := c.newStage()
	if err != nil {
		return 0, err
	}
	record, err := describe(func(g *Graph, store *model.Store) {
		images := Zeros(g, shapes.Make(dtypes.Float32, c.Batch, c.Patch, c.Patch, 3))
		labels := Zeros(g, shapes.Make(dtypes.Int32, c.Batch))
		s.losses(modules{store, network, classifier}, batchNodes{lq: images, gt: images, labels: labels})
	})
	if err != nil {
		return 0, fmt.Errorf("describing a training step: %w", err)
	}
	return record.MACs, nil
}

// describe records what is built, without compiling it.
func describe(build func(*Graph, *model.Store)) (*layers.Record, error) {
	backend, err := goBackend()
	if err != nil {
		return nil, err
	}
	g := NewGraph(backend, "describe")
	defer g.Finalize()
	record := layers.NewRecord(g)
	defer record.Close(g)
	return record, exceptions.TryCatch[error](func() { build(g, model.NewStore()) })
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
