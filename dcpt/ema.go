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

// moveEMA moves an average towards a weight: decay*average + (1-decay)*w.
func moveEMA(average, w *Node, decay float64) *Node {
	return Add(MulScalar(average, decay), MulScalar(w, 1-decay))
}
