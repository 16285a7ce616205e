package dcpt

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// emaPrefix is the scope below which a weight's exponential moving average lives, by its path.
const emaPrefix = "/ema"

// initEMA creates the average of the weights below scope as a copy of them (parity README, section 5.2).
func initEMA(store *model.Store, weights []*model.Variable) error {
	for _, w := range weights {
		if store.GetVariable(emaPrefix+w.Path()) != nil {
			continue
		}
		value, err := w.Value()
		if err != nil {
			return fmt.Errorf("moving average of %s: %w", w.Path(), err)
		}
		copied, err := value.LocalClone()
		if err != nil {
			return fmt.Errorf("moving average of %s: %w", w.Path(), err)
		}
		v, err := store.CreateVariable(emaPrefix+w.Path(), copied)
		if err != nil {
			return err
		}
		v.SetTrainable(false)
	}
	return nil
}

// updateEMA moves the average of a weight, whose new value is already set in the graph g, towards it:
// ema = decay*ema + (1-decay)*w. Where the step is refused the average stays.
func (n *stepNodes) updateEMA(g *Graph, weight *model.Variable) {
	average := model.GetStore(g).GetVariable(emaPrefix + weight.Path())
	old := average.NodeValue(g)
	s := n.like(old)
	average.SetNodeValue(Add(Mul(old, s[nodeOldAverage]), Mul(weight.NodeValue(g), s[nodeNewAverage])))
}
