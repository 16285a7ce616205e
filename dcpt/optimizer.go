package dcpt

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Optimizer configures Adam or AdamW with PyTorch's arithmetic and defaults.
type Optimizer struct {
	Kind        string     `yaml:"kind,omitempty"`         // "AdamW" (the default) or "Adam"
	LR          float64    `yaml:"lr"`                     // initial learning rate; the schedule changes it
	Betas       [2]float64 `yaml:"betas,omitzero"`         // of the moments; zero means 0.9, 0.999
	Eps         float64    `yaml:"eps,omitempty"`          // added to the denominator; 0 means 1e-8
	WeightDecay *float64   `yaml:"weight_decay,omitempty"` // decoupled (AdamW, default 0.01) or added to the gradient (Adam, default 0)
}

const (
	adam  = "Adam"
	adamW = "AdamW"
)

// IsZero reports that nothing is configured; a written recipe then leaves the optimizer out.
func (o Optimizer) IsZero() bool { return o == Optimizer{} }

// complete fills in PyTorch's defaults.
func (o Optimizer) complete() Optimizer {
	o.Kind = orDefault(o.Kind, adamW)
	o.Betas = orDefault(o.Betas, [2]float64{0.9, 0.999})
	o.Eps = orDefault(o.Eps, 1e-8)
	if o.WeightDecay == nil {
		decay := 0.0
		if o.Kind == adamW {
			decay = 0.01
		}
		o.WeightDecay = &decay
	}
	return o
}

// Validate reports what is wrong with the configuration.
func (o Optimizer) Validate() error {
	o = o.complete()
	if o.Kind != adam && o.Kind != adamW {
		return suggest.Unknown("optimizer", o.Kind, []string{adam, adamW})
	}
	if !(o.LR > 0) || math.IsInf(o.LR, 0) {
		return fmt.Errorf("optimizer %s: lr is %v; it must be positive", o.Kind, o.LR)
	}
	for _, b := range o.Betas {
		if !(b >= 0 && b < 1) {
			return fmt.Errorf("optimizer %s: betas are %v; they must be in [0, 1)", o.Kind, o.Betas)
		}
	}
	if !(o.Eps > 0) || !(*o.WeightDecay >= 0) {
		return fmt.Errorf("optimizer %s: eps is %v and weight_decay %v; eps must be positive, weight_decay not negative", o.Kind, o.Eps, *o.WeightDecay)
	}
	return nil
}

// stepScalars are the numbers of one update that change from iteration to iteration. They are
// computed in float64 on the host, as PyTorch does, from the learning rate and the iteration, so
// that the optimizer's state is its moments alone.
func (o Optimizer) stepScalars(lr float64, iteration int) []float32 {
	o = o.complete()
	shrink := 1.0
	if o.Kind == adamW {
		shrink = 1 - lr**o.WeightDecay
	}
	stepSize := lr / (1 - math.Pow(o.Betas[0], float64(iteration)))
	correction := math.Sqrt(1 - math.Pow(o.Betas[1], float64(iteration)))
	return []float32{float32(shrink), float32(stepSize), float32(correction)}
}

// numStepScalars is the length of what stepScalars returns.
const numStepScalars = 3

// optimizerScopes hold the moments of the weights, below the path of the weight.
const (
	firstMomentScope  = "/optim/m"
	secondMomentScope = "/optim/v"
)

// initMoments creates the optimizer's state of the weights: zeros.
func initMoments(store *model.Store, weights []*model.Variable) error {
	for _, w := range weights {
		for _, scope := range []string{firstMomentScope, secondMomentScope} {
			if store.GetVariable(scope+w.Path()) != nil {
				continue
			}
			v, err := store.CreateVariable(scope+w.Path(), tensors.FromShape(w.Shape()))
			if err != nil {
				return err
			}
			v.SetTrainable(false)
		}
	}
	return nil
}

// stepNodes are the numbers of an optimizer's step in a graph, the same for all weights of its group.
// Where the step is refused they are those of a step that changes nothing, so that only the gradient is
// selected and not each result: a network has hundreds of weights, and the time to compile grows with
// every operation on them.
type stepNodes struct {
	optimizer Optimizer
	ok        *Node                          // scalar: the step is taken
	clip      *Node                          // scalar: factor of the gradients; nil: none
	values    [numStepNodes]*Node            // scalars
	expanded  map[string][numStepNodes]*Node // values by the shape of the weight
}

// The entries of stepNodes.values. The first are those of stepScalars.
const (
	nodeShrink     = iota // factor of the weight: decoupled decay
	nodeStepSize          // learning rate, corrected for the first moment
	nodeCorrection        // divisor of the root of the second moment
	nodeNewFirst          // share of the gradient in the first moment
	nodeOldSecond         // share of the old second moment in the new one
	nodeNewSecond         // share of the gradient's square in it
	nodeOldAverage        // share of the old moving average in the new one
	nodeNewAverage        // share of the new weight in it
	numStepNodes
)

// newStepNodes prepares the step of a group of weights: scalars is stepScalars of this iteration, clip
// the factor of the gradients (nil: none), emaDecay that of the moving average, ok whether the step is
// taken.
func (o Optimizer) newStepNodes(scalars, clip *Node, emaDecay float64, ok *Node) *stepNodes {
	o = o.complete()
	n := &stepNodes{optimizer: o, ok: ok, clip: clip, expanded: map[string][numStepNodes]*Node{}}
	g, dtype := scalars.Graph(), scalars.DType()
	choose := func(i int, taken *Node, refused float64) { n.values[i] = Where(ok, taken, Scalar(g, dtype, refused)) }
	for i, refused := range []float64{nodeShrink: 1, nodeStepSize: 0, nodeCorrection: 1} {
		choose(i, Reshape(Slice(scalars, AxisElem(i))), refused)
	}
	choose(nodeNewFirst, Scalar(g, dtype, 1-o.Betas[0]), 0)
	choose(nodeOldSecond, Scalar(g, dtype, o.Betas[1]), 1)
	choose(nodeNewSecond, Scalar(g, dtype, 1-o.Betas[1]), 0)
	choose(nodeOldAverage, Scalar(g, dtype, emaDecay), 1)
	choose(nodeNewAverage, Scalar(g, dtype, 1-emaDecay), 0)
	return n
}

// like returns the values in the shape of x, as nodes that all weights of the shape share.
func (n *stepNodes) like(x *Node) [numStepNodes]*Node {
	key := x.Shape().String()
	expanded, ok := n.expanded[key]
	if !ok {
		for i, v := range n.values {
			expanded[i] = BroadcastToShape(v, x.Shape())
		}
		n.expanded[key] = expanded
	}
	return expanded
}

// update sets the new values of weight and moments in the graph.
func (n *stepNodes) update(weight *model.Variable, gradient *Node) {
	g, store := gradient.Graph(), model.GetStore(gradient)
	first := store.GetVariable(firstMomentScope + weight.Path())
	second := store.GetVariable(secondMomentScope + weight.Path())
	w, m, v := weight.NodeValue(g), first.NodeValue(g), second.NodeValue(g)
	s := n.like(w)

	if n.clip != nil {
		gradient = Mul(gradient, n.clip)
	}
	gradient = Where(n.ok, gradient, ScalarZero(g, gradient.DType()))
	if decay := *n.optimizer.WeightDecay; n.optimizer.Kind == adam && decay != 0 {
		gradient = Add(gradient, MulScalar(w, decay))
	}
	newM := Add(m, Mul(Sub(gradient, m), s[nodeNewFirst]))
	newV := Add(Mul(v, s[nodeOldSecond]), Mul(Square(gradient), s[nodeNewSecond]))
	denominator := AddScalar(Div(Sqrt(newV), s[nodeCorrection]), n.optimizer.Eps)
	weight.SetNodeValue(Sub(Mul(w, s[nodeShrink]), Mul(s[nodeStepSize], Div(newM, denominator))))
	first.SetNodeValue(newM)
	second.SetNodeValue(newV)
}
