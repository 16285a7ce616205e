package dcpt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// bothBackends are the pure Go backend and, where it is another one, that of the tests.
func bothBackends(t *testing.T) map[string]compute.Backend {
	t.Helper()
	pureGo, main := backendtest.Go(t), backendtest.ForTest(t)
	return map[string]compute.Backend{pureGo.Name(): pureGo, main.Name(): main}
}

// plainAdam is the optimizer in float64, written down from PyTorch's documentation.
type plainAdam struct {
	Optimizer
	lr      float64
	w, m, v []float64
}

func (o *plainAdam) step(gradient []float32, t int) {
	for i := range o.w {
		g := float64(gradient[i])
		if o.Kind == "AdamW" {
			o.w[i] -= o.lr * *o.WeightDecay * o.w[i]
		} else {
			g += *o.WeightDecay * o.w[i]
		}
		o.m[i] = o.Betas[0]*o.m[i] + (1-o.Betas[0])*g
		o.v[i] = o.Betas[1]*o.v[i] + (1-o.Betas[1])*g*g
		mHat := o.m[i] / (1 - math.Pow(o.Betas[0], float64(t)))
		vHat := o.v[i] / (1 - math.Pow(o.Betas[1], float64(t)))
		o.w[i] -= o.lr * mHat / (math.Sqrt(vHat) + o.Eps)
	}
}

// Ten steps of three weights, two of them in blocks of equal shape, with gradients from 1e-4 to 1, clipped
// or not, and with a moving average or not. The difference to float64 is the rounding of some ten float32
// operations a step.
func TestUpdater(t *testing.T) {
	decay := func(d float64) *float64 { return &d }
	const n, tolerance, emaDecay = 50, 2e-6, 0.9
	paths := []string{"/net_g/blocks/0/conv/weight", "/net_g/blocks/1/conv/weight", "/net_g/intro/weight"}
	for name, backend := range bothBackends(t) {
		for i, o := range []Optimizer{
			{LR: 0.01},
			{Kind: "AdamW", LR: 0.1, Betas: [2]float64{0.9, 0.9}, Eps: 1e-4, WeightDecay: decay(0.5)},
			{Kind: "AdamW", LR: 0.1, Betas: [2]float64{0.5, 0.99}, WeightDecay: decay(0)},
			{Kind: "Adam", LR: 0.01},
			{Kind: "Adam", LR: 0.1, Betas: [2]float64{0.5, 0.9}, WeightDecay: decay(0.1)},
		} {
			o = o.complete()
			t.Run(fmt.Sprintf("%s/%s %v %v", name, o.Kind, o.Betas, *o.WeightDecay), func(t *testing.T) {
				store := model.NewStore()
				var weights []*model.Variable
				var want []*plainAdam
				var average [][]float64
				for k, path := range paths {
					start, exact := make([]float32, n+k/2), make([]float64, n+k/2)
					formulaValues(start, path, 1, 0, 1)
					for i, v := range start {
						exact[i] = float64(v)
					}
					w, err := store.CreateVariable(path, tensors.FromFlatDataAndDimensions(start, len(start)))
					must(t, err)
					weights = append(weights, w)
					want = append(want, &plainAdam{Optimizer: o, lr: o.LR, w: exact, m: make([]float64, len(exact)), v: make([]float64, len(exact))})
					average = append(average, slices.Clone(exact))
				}
				u := &updater{scope: NetworkScope, weights: weights, optimizer: o, backend: backend, store: store}
				if i%2 == 0 {
					u.gradClip = 0.1
				} else {
					u.emaDecay = emaDecay
					must(t, initEMA(store, weights))
				}
				must(t, u.prepare())
				defer u.close()
				for step := 1; step <= 10; step++ {
					var gradients []*tensors.Tensor
					var values [][]float32
					square := 0.0
					for k := range paths {
						gradient := make([]float32, n+k/2)
						formulaValues(gradient, fmt.Sprint("gradient", step, k), 1, 0, math.Pow(10, float64(-step%5)))
						for _, v := range gradient {
							square += float64(v) * float64(v)
						}
						values = append(values, gradient)
						gradients = append(gradients, tensors.FromFlatDataAndDimensions(gradient, len(gradient)))
					}
					norm := math.Sqrt(square)
					must(t, u.step(gradients, want[0].lr, step, norm))
					for k, path := range paths {
						for i := range values[k] {
							if u.gradClip > 0 {
								values[k][i] *= float32(min(1, u.gradClip/(norm+1e-6)))
							}
						}
						want[k].step(values[k], step)
						want[k].lr *= 0.9
						for i := range average[k] {
							average[k][i] = emaDecay*average[k][i] + (1-emaDecay)*want[k].w[i]
						}
						parts := map[string][]float64{path: want[k].w, firstMomentScope + path: want[k].m, secondMomentScope + path: want[k].v}
						if u.emaDecay > 0 {
							parts[emaPrefix+path] = average[k]
						}
						for variable, exact := range parts {
							values := make([]float32, len(exact))
							for i, v := range exact {
								values[i] = float32(v)
							}
							near(t, fmt.Sprintf("step %d: %s", step, variable), flat(t, store.GetVariable(variable).MustValue()), values, tolerance)
						}
					}
				}
			})
		}
	}
}

func TestBlockOf(t *testing.T) {
	for weight, want := range map[string]string{
		"/net_g/intro/weight":                                    "/",
		"/net_g/downs/0/bias":                                    "/",
		"/net_g/encoders/3/27/beta":                              "/net_g/encoders/3/27",
		"/net_g/encoders/3/27/conv1/weight":                      "/net_g/encoders/3/27",
		"/net_g/encoders/3/27/sca/1/weight":                      "/net_g/encoders/3/27",
		"/net_g/layers/2/residual_group/blocks/5/mlp/fc1/weight": "/net_g/layers/2/residual_group/blocks/5",
		"/net_g/layers/2/conv/weight":                            "/net_g/layers/2",
	} {
		if got := blockOf(weight); got != want {
			t.Errorf("%s is of block %s, want %s", weight, got, want)
		}
	}
}

// trainerConfig is a stage for trainers without a run.
func trainerConfig(method string) StageConfig {
	c := StageConfig{
		Method: method, Steps: 100, Batch: 4, Patch: 8,
		PixelLoss: PixelLoss{Kind: "L1Loss"},
		// A large eps keeps the update a smooth function of the gradient.
		Optimizer: Optimizer{LR: 1e-2, Eps: 1e-2},
	}
	if method != MethodRestore {
		c.ClassifyLoss = ClassifyLoss{Kind: "CrossEntropyLoss"}
		c.ClassifierOptimizer = Optimizer{LR: 1e-2, Eps: 1e-2}
	}
	return c
}

// newTestTrainer trains a small network from the same weights each time.
func newTestTrainer(t *testing.T, config StageConfig) *Trainer {
	t.Helper()
	backend := backendtest.Go(t)
	network, err := NewNetwork(smallNetworks["nafnet"][0])
	must(t, err)
	store := networkStore(t, backend, network)
	classifier := Classifier{Blocks: 1}.Complete(network, 3)
	if config.classifies() {
		must(t, InitClassifier(backend, store, ClassifierScope, classifier))
		randomise(t, store, ClassifierScope)
	}
	trainer, err := NewTrainer(backend, store, network, classifier, config)
	must(t, err)
	t.Cleanup(trainer.Close)
	return trainer
}

// testBatch is a batch of n images with values 0 to 1.
func testBatch(n, number int) *datasets.Batch {
	return squareBatch(n, 8, number)
}

// squareBatch is a batch of n images of a side.
func squareBatch(n, side, number int) *datasets.Batch {
	b := &datasets.Batch{N: n, H: side, W: side, LQ: make([]float32, n*side*side*3), GT: make([]float32, n*side*side*3)}
	formulaValues(b.LQ, "lq", uint64(number), 0.5, 0.5)
	formulaValues(b.GT, "gt", uint64(number), 0.5, 0.5)
	for i := range n {
		b.Labels = append(b.Labels, int32((i+number)%3))
		b.Names = append(b.Names, fmt.Sprintf("%d-%d.png", number, i))
	}
	return b
}

// halves splits a batch in two.
func halves(b *datasets.Batch) []*datasets.Batch {
	n, pixels := b.N/2, len(b.LQ)/2
	return []*datasets.Batch{
		{N: n, H: b.H, W: b.W, LQ: b.LQ[:pixels], GT: b.GT[:pixels], Labels: b.Labels[:n], Names: b.Names[:n]},
		{N: n, H: b.H, W: b.W, LQ: b.LQ[pixels:], GT: b.GT[pixels:], Labels: b.Labels[n:], Names: b.Names[n:]},
	}
}

// state copies everything in a trainer's store but the sums of gradients.
func state(t *testing.T, trainer *Trainer) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	for _, scope := range []string{NetworkScope, ClassifierScope, emaPrefix, firstMomentScope, secondMomentScope} {
		for v := range trainer.Store.Scope(scope).IterVariables() {
			values[v.Path()] = flat(t, v.MustValue())
		}
	}
	return values
}

// Two passes of two images are one pass of four, but for the order of sums: the mean over a batch of
// float32 terms, and what five steps make of its rounding.
func TestAccumulation(t *testing.T) {
	const tolerance = 2e-5
	for _, method := range []string{MethodDCPT, MethodDirect, MethodRestore} {
		t.Run(method, func(t *testing.T) {
			config := trainerConfig(method)
			config.GradClip, config.EMADecay = 0.5, 0.9
			whole := newTestTrainer(t, config)
			config.Batch, config.Accumulate = 2, 2
			parts := newTestTrainer(t, config)
			if whole.Passes() != 1 || parts.Passes() != 2 {
				t.Fatalf("%d and %d passes", whole.Passes(), parts.Passes())
			}
			for i := range 5 {
				batch := testBatch(4, i)
				want, err := whole.Step(batch)
				must(t, err)
				got, err := parts.Step(halves(batch)...)
				must(t, err)
				for _, pair := range [][2]float64{{got.Pixel, want.Pixel}, {got.Classify, want.Classify}, {got.Total, want.Total},
					{got.Accuracy, want.Accuracy}, {got.GradNorm, want.GradNorm}, {got.ClassifyNorm, want.ClassifyNorm}} {
					if !(math.Abs(pair[0]-pair[1]) <= tolerance*math.Abs(pair[1])) {
						t.Errorf("iteration %d: %+v, want %+v", i+1, got, want)
						break
					}
				}
			}
			got, want := state(t, parts), state(t, whole)
			for _, path := range sortedKeys(want) {
				near(t, path, got[path], want[path], tolerance)
			}
		})
	}
}

// Only the network's gradient is clipped, to the limit, and only if it is larger. The first moment
// after one step is a tenth of the gradient.
func TestClipping(t *testing.T) {
	norm := func(trainer *Trainer, scope string) float64 {
		sum := 0.0
		for v := range trainer.Store.Scope(firstMomentScope + scope).IterVariables() {
			for _, x := range flat(t, v.MustValue()) {
				sum += float64(x) * float64(x)
			}
		}
		return 10 * math.Sqrt(sum)
	}
	free := newTestTrainer(t, trainerConfig(MethodDCPT))
	result, err := free.Step(testBatch(4, 0))
	must(t, err)
	for _, limit := range []float64{0, result.GradNorm / 3, result.GradNorm * 3} {
		config := trainerConfig(MethodDCPT)
		config.GradClip = limit
		trainer := newTestTrainer(t, config)
		got, err := trainer.Step(testBatch(4, 0))
		must(t, err)
		if math.Abs(got.GradNorm-result.GradNorm) > 1e-6*result.GradNorm {
			t.Errorf("limit %v: the norm before clipping is %v, want %v", limit, got.GradNorm, result.GradNorm)
		}
		want := result.GradNorm
		if limit > 0 {
			want = min(want, limit)
		}
		if clipped := norm(trainer, NetworkScope); math.Abs(clipped-want) > 1e-5*want {
			t.Errorf("limit %v: the gradient has the norm %v, want %v", limit, clipped, want)
		}
		if other := norm(trainer, ClassifierScope); math.Abs(other-result.ClassifyNorm) > 1e-5*result.ClassifyNorm {
			t.Errorf("limit %v: the classifier's gradient has the norm %v, want %v", limit, other, result.ClassifyNorm)
		}
	}
}

// The moving average starts as the weights and follows them by its formula; only the network has one.
func TestEMA(t *testing.T) {
	const decay = 0.75
	config := trainerConfig(MethodRestore)
	config.EMADecay = decay
	trainer := newTestTrainer(t, config)
	want := map[string][]float64{}
	for _, w := range trainable(trainer.Store, NetworkScope) {
		for _, v := range flat(t, w.MustValue()) {
			want[w.Path()] = append(want[w.Path()], float64(v))
		}
	}
	if trainer.BestWeightsScope() != EMAScope {
		t.Errorf("the weights to use are in %s", trainer.BestWeightsScope())
	}
	for step := range 4 {
		if step > 0 {
			_, err := trainer.Step(testBatch(4, step))
			must(t, err)
		}
		for _, w := range trainable(trainer.Store, NetworkScope) {
			values := make([]float32, len(want[w.Path()]))
			for i, v := range flat(t, w.MustValue()) {
				if step > 0 {
					want[w.Path()][i] = decay*want[w.Path()][i] + (1-decay)*float64(v)
				}
				values[i] = float32(want[w.Path()][i])
			}
			near(t, fmt.Sprintf("step %d: %s", step, w.Path()), flat(t, trainer.Store.GetVariable(emaPrefix+w.Path()).MustValue()), values, 1e-6)
		}
	}
	direct := trainerConfig(MethodDirect)
	direct.EMADecay = decay
	if trainer := newTestTrainer(t, direct); trainer.Store.Scope(emaPrefix+ClassifierScope).NumVariables() != 0 {
		t.Error("the classifier has a moving average")
	}
}

// A batch that gives a loss or gradient that is not finite is refused with the names of its files, and
// leaves no trace: the next iteration is that of a trainer that has never seen it.
func TestNotFiniteStep(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	type bad struct {
		name   string
		pass   int
		lq, gt bool
		value  float32
	}
	for _, method := range []string{MethodDCPT, MethodRestore} {
		for _, accumulate := range []int{1, 2} {
			config := trainerConfig(method)
			config.Batch, config.Accumulate, config.EMADecay = 2, accumulate, 0.9
			var cases []bad
			for pass := range accumulate {
				cases = append(cases,
					bad{name: "NaN in lq", pass: pass, lq: true, value: nan},
					bad{name: "infinite lq", pass: pass, lq: true, value: inf},
					bad{name: "NaN in gt", pass: pass, gt: true, value: nan},
					// The loss is infinite, but the gradient of an absolute value is not.
					bad{name: "infinite gt", pass: pass, gt: true, value: inf})
			}
			batches := func(iteration int) []*datasets.Batch {
				var list []*datasets.Batch
				for pass := range accumulate {
					list = append(list, testBatch(2, 10*iteration+pass))
				}
				return list
			}
			clean := newTestTrainer(t, config)
			for i := range 2 {
				_, err := clean.Step(batches(i)...)
				must(t, err)
			}
			want := state(t, clean)
			for _, c := range cases {
				t.Run(fmt.Sprintf("%s/pass %d of %d/%s", method, c.pass+1, accumulate, c.name), func(t *testing.T) {
					trainer := newTestTrainer(t, config)
					_, err := trainer.Step(batches(0)...)
					must(t, err)
					before := state(t, trainer)

					spoilt := batches(1)
					if c.lq {
						spoilt[c.pass].LQ[17] = c.value
					}
					if c.gt {
						spoilt[c.pass].GT[17] = c.value
					}
					_, err = trainer.Step(spoilt...)
					var notFinite *NotFiniteError
					if !errors.As(err, &notFinite) {
						t.Fatalf("error %v, want a NotFiniteError", err)
					}
					if notFinite.Iteration != 2 || !slices.Equal(notFinite.Files, spoilt[c.pass].Names) {
						t.Errorf("iteration %d, files %q; want 2, %q", notFinite.Iteration, notFinite.Files, spoilt[c.pass].Names)
					}
					wantError(t, err, "iteration 2:", "not a finite number", spoilt[c.pass].Names[0])
					if trainer.Iteration != 1 {
						t.Errorf("iteration %d is counted as done", trainer.Iteration)
					}
					compareStates(t, "after the refused step", state(t, trainer), before)

					_, err = trainer.Step(batches(1)...)
					must(t, err)
					compareStates(t, "after the next step", state(t, trainer), want)
				})
			}
		}
	}
}

// compareStates demands equal bits.
func compareStates(t *testing.T, when string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d variables, want %d", when, len(got), len(want))
	}
	for _, path := range sortedKeys(want) {
		if !slices.EqualFunc(got[path], want[path], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Errorf("%s: %s differs", when, path)
		}
	}
}

func TestTrainerErrors(t *testing.T) {
	config := trainerConfig(MethodRestore)
	config.Accumulate = 2
	trainer := newTestTrainer(t, config)
	_, err := trainer.Step(testBatch(4, 0))
	wantError(t, err, "1 batches for an iteration of 2 passes")

	network := trainer.modules.network
	_, err = NewTrainer(backendtest.Go(t), trainer.Store, network, Classifier{}, StageConfig{Method: MethodRestore})
	wantError(t, err, "steps is 0")
	_, err = NewTrainer(backendtest.Go(t), model.NewStore(), network, Classifier{}, config)
	wantError(t, err, "no weights below /net_g to train")
}
