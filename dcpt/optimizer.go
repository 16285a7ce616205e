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

// update builds one step of a weight w with moments m and v: it returns their new values. scalars is
// stepScalars of this iteration.
func (o Optimizer) update(gradient, w, m, v, scalars *Node) (newW, newM, newV *Node) {
	o = o.complete()
	scalar := func(i int) *Node { return Reshape(Slice(scalars, AxisElem(i))) }
	shrink, stepSize, correction := scalar(0), scalar(1), scalar(2)
	if o.Kind == adam && *o.WeightDecay != 0 {
		gradient = Add(gradient, MulScalar(w, *o.WeightDecay))
	}
	newM = Add(m, MulScalar(Sub(gradient, m), 1-o.Betas[0]))
	newV = Add(MulScalar(v, o.Betas[1]), MulScalar(Square(gradient), 1-o.Betas[1]))
	denominator := AddScalar(Div(Sqrt(newV), correction), o.Eps)
	return Sub(Mul(w, shrink), Mul(stepSize, Div(newM, denominator))), newM, newV
}
