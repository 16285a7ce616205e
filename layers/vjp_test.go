package layers

import (
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// TestGradientsOfSeveralLosses differentiates two losses of one layer in one graph, the first for the
// input only, as with frozen weights: each must have its own gradients.
func TestGradientsOfSeveralLosses(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	x, kernel, first, second := random(rng, 2, 3, 2), randomWeights(rng, 2, 3), random(rng, 2, 3, 3), random(rng, 2, 3, 3)
	backwards := func(r array) array { // the gradient for x of <r, x kernel>
		return generate(x.dims, func(i []int) float64 {
			sum := 0.0
			for o := range 3 {
				sum += r.at(i[0], i[1], o) * kernel.at(i[2], o)
			}
			return sum
		})
	}
	bias := generate([]int{3}, func(i []int) float64 {
		sum := 0.0
		for k := range 6 {
			sum += second.at(k/3, k%3, i[0])
		}
		return sum
	})
	for _, backend := range testBackends(t) {
		t.Run(backend.Name(), func(t *testing.T) {
			store := model.NewStore()
			store.VariableWithValue("/weight", array{dims: []int{1, 1, 2, 3}, values: kernel.values}.tensor())
			out, err := model.CallOnceN(backend, store, func(scope *model.Scope, x, first, second *Node) []*Node {
				store.SetTraining(x.Graph(), true)
				y := Pointwise(scope, x, 3, true)
				results := Gradient(ReduceAllSum(Mul(y, first)), x)
				return append(results, Gradient(ReduceAllSum(Mul(y, second)), x, scope.GetVariable("bias").NodeValue(x.Graph()))...)
			}, x.tensor(), first.tensor(), second.tensor())
			if err != nil {
				t.Fatal(err)
			}
			near(t, "the first loss's gradient for the input", out[0], backwards(first), tolerance)
			near(t, "the second loss's gradient for the input", out[1], backwards(second), tolerance)
			near(t, "the second loss's gradient for the bias", out[2], bias, tolerance)
		})
	}
}
