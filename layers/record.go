package layers

import (
	"sync"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Record is what a network is made of, noted while its graph is built. Nothing is computed and no
// weight is created: networks of any size are described in milliseconds.
type Record struct {
	Weights map[string][]int // shape of each weight by its path in the store, ours, not PyTorch's
	MACs    int64            // multiply-accumulates of convolutions, matrix products and attention

	Convolutions map[string]Convolution // by the path of their weight; with 1x1 ones
}

// Convolution is how a layer computes with a kernel, as far as its gradient may depend on it.
type Convolution struct {
	Layer                   string // the function of this package that computes with it
	Form                    string // which of its ways it has chosen, "" if it has one only
	Kernel, Stride, Padding int
	In, Out                 int // channels
}

// records are the graphs whose building is recorded.
var records sync.Map // *Graph to *Record

// NewRecord records what is built in a graph, until Close. The graph cannot be run: its weights are
// zeros.
func NewRecord(g *Graph) *Record {
	r := &Record{Weights: map[string][]int{}, Convolutions: map[string]Convolution{}}
	records.Store(g, r)
	return r
}

// Close ends the recording of a graph.
func (r *Record) Close(g *Graph) { records.Delete(g) }

// recordOf returns the record of a graph, nil if it is built to be run.
func recordOf(g *Graph) *Record {
	if r, ok := records.Load(g); ok {
		return r.(*Record)
	}
	return nil
}

// countMACs adds n multiply-accumulates to the graph's record, if there is one.
func countMACs(g *Graph, n int) {
	if r := recordOf(g); r != nil {
		r.MACs += int64(n)
	}
}

// noteConvolution adds what computes with the "weight" in scope to the graph's record, if there is one.
func noteConvolution(scope *model.Scope, g *Graph, c Convolution) {
	if r := recordOf(g); r != nil {
		r.Convolutions[model.JoinPath(scope.Scope(), "weight")] = c
	}
}

func (r *Record) note(scope *model.Scope, name string, dims []int) {
	r.Weights[model.JoinPath(scope.Scope(), name)] = dims
}
