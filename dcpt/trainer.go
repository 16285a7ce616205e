package dcpt

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/internal/memory"
	"github.com/godcpt/godcpt/internal/parallel"
)

// Trainer runs the iterations of a stage. One program computes the loss and its gradients; those of
// updater clip them, step the weights and move their average. Its whole state is Store and Iteration; an
// iteration is a pure function of these and its batches. It is not safe for concurrent use.
type Trainer struct {
	Store     *model.Store
	Iteration int // iterations done

	// Relabel is the classifier's label for each label of the data, where they differ: the classifier
	// of a guide may know other degradations. Nil: the same.
	Relabel []int32

	config   StageConfig
	stage    stage
	modules  modules
	updaters []*updater  // one for each optimizer
	pass     *model.Exec // see graph
	compiled map[batchSize]bool
	stepped  bool // since the start
}

// batchSize is what a pass is compiled for: n patches of h x w pixels.
type batchSize struct{ n, h, w int }

// StepResult is what an iteration reports; every value is from before its step.
type StepResult struct {
	Iteration     int       // from 1
	Pixel         float64   // pixel loss, weighted
	Classify      float64   // classification loss, weighted; 0 where nothing is classified
	Total         float64   // their sum
	Accuracy      float64   // of the classifier on the batch, 0 to 1
	GradNorm      float64   // L2 norm of the network's gradient, before clipping; 0 where it is not trained
	ClassifyNorm  float64   // L2 norm of the classifier's gradient; 0 where it is not trained
	LearningRates []float64 // of each optimizer: network, classifier, as far as they are trained
}

// NotFiniteError tells that a loss or gradient was NaN or infinite. The step was not taken: the
// weights are those of the iteration before.
type NotFiniteError struct {
	Iteration int
	Files     []string // of the batch (with accumulation, of the pass) that gave it
	Result    StepResult
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("iteration %d: loss %v, gradient norm %v: not a finite number; the step was not taken. "+
		"The batch: %v. Look for broken images among these; else lower the learning rate or set grad_clip",
		e.Iteration, e.Result.Total, e.Result.GradNorm, e.Files)
}

// NewTrainer prepares a stage on a store that holds the weights of the network (and, where the stage
// classifies, of the classifier). Missing optimizer state and moving average are created.
func NewTrainer(backend compute.Backend, store *model.Store, network Network, classifier Classifier, config StageConfig) (*Trainer, error) {
	if err := config.Validate(network); err != nil {
		return nil, err
	}
	s, err := config.newStage()
	if err != nil {
		return nil, err
	}
	t := &Trainer{
		Store: store, config: config, stage: s,
		modules:  modules{store: store, network: network, classifier: classifier},
		compiled: map[batchSize]bool{},
	}
	for _, scope := range s.scopes() {
		u, err := t.newUpdater(backend, scope)
		if err != nil {
			return nil, err
		}
		t.updaters = append(t.updaters, u)
	}
	if t.pass, err = model.NewExec(backend, store, t.graph); err != nil {
		return nil, err
	}
	return t, nil
}

// newUpdater prepares the optimizer of the weights below scope.
func (t *Trainer) newUpdater(backend compute.Backend, scope string) (*updater, error) {
	weights := trainable(t.Store, scope)
	if len(weights) == 0 {
		return nil, fmt.Errorf("no weights below %s to train", scope)
	}
	u := &updater{scope: scope, weights: weights, optimizer: t.config.Optimizer, backend: backend, store: t.Store}
	if scope == ClassifierScope {
		u.optimizer = t.config.ClassifierOptimizer
	} else {
		u.gradClip = t.config.GradClip
	}
	if t.averages(scope) {
		u.emaDecay = t.config.EMADecay
		if err := initEMA(t.Store, variablesBelow(t.Store, scope)); err != nil {
			return nil, err
		}
	}
	return u, u.prepare()
}

// Close frees the compiled programs.
func (t *Trainer) Close() {
	t.pass.Finalize()
	for _, u := range t.updaters {
		u.close()
	}
}

// Passes is the number of batches that an iteration takes.
func (t *Trainer) Passes() int { return t.config.accumulate() }

// LearningRates returns the rate of each optimizer in an iteration (from 1).
func (t *Trainer) LearningRates(iteration int) []float64 {
	rates := make([]float64, len(t.updaters))
	for i, u := range t.updaters {
		rates[i] = t.config.Schedule.LR(u.optimizer.LR, iteration)
	}
	return rates
}

// compilesAnew tells whether Step will compile for batches of a size that has not occurred yet. The
// compilation of the very first step does not count.
func (t *Trainer) compilesAnew(batches []*datasets.Batch) bool {
	return len(t.compiled) > 0 && slices.ContainsFunc(batches, func(b *datasets.Batch) bool { return !t.compiled[sizeOf(b)] })
}

func sizeOf(b *datasets.Batch) batchSize { return batchSize{b.N, b.H, b.W} }

// compile compiles what iterations on batches of a size run, as far as it is not compiled yet: the steps
// of the weights beside the gradients, for the compiler works on one core for most of its time. Unlike
// all else it may be called while Step runs.
func (t *Trainer) compile(size batchSize) error {
	return parallel.Each(context.Background(), 2, 2, func(i int) error {
		if i == 0 {
			_, err := t.pass.Compile(t.inputShapes(size)...)
			return err
		}
		for _, u := range t.updaters {
			if err := u.compile(); err != nil {
				return err
			}
		}
		return nil
	})
}

// inputShapes are those of the arguments of graph.
func (t *Trainer) inputShapes(size batchSize) []shapes.Shape {
	images := shapes.Make(dtypes.Float32, size.n, size.h, size.w, 3)
	list := []shapes.Shape{images, images, shapes.Make(dtypes.Int32, size.n)}
	if t.Passes() > 1 {
		for _, u := range t.updaters {
			for _, w := range u.weights {
				list = append(list, w.Shape())
			}
		}
	}
	return list
}

// Step runs one iteration on Passes batches. On a *NotFiniteError the weights are unchanged.
func (t *Trainer) Step(batches ...*datasets.Batch) (StepResult, error) {
	if len(batches) != t.Passes() {
		return StepResult{}, fmt.Errorf("%d batches for an iteration of %d passes", len(batches), t.Passes())
	}
	iteration := t.Iteration + 1
	result := StepResult{Iteration: iteration, LearningRates: t.LearningRates(iteration)}
	var gradients []*tensors.Tensor
	defer func() { finalize(gradients) }()
	for i, b := range batches {
		if size := sizeOf(b); !t.compiled[size] {
			if err := t.compile(size); err != nil {
				return result, fmt.Errorf("compiling: %w", err)
			}
			t.compiled[size] = true
		}
		var values []float32
		var err error
		if values, gradients, err = t.runPass(b, gradients, uint64(t.Iteration*len(batches)+i)); err != nil {
			return result, fmt.Errorf("iteration %d: %w", iteration, err)
		}
		share := 1 / float64(len(batches))
		result.Pixel += share * float64(values[0])
		result.Classify += share * float64(values[1])
		result.Accuracy += share * float64(values[2])
		result.GradNorm, result.ClassifyNorm = float64(values[3]), float64(values[4])
		result.Total = result.Pixel + result.Classify
		if values[5] != 1 {
			return result, &NotFiniteError{Iteration: iteration, Files: b.Names, Result: result}
		}
	}
	for i, u := range t.updaters {
		norm := map[string]float64{NetworkScope: result.GradNorm, ClassifierScope: result.ClassifyNorm}[u.scope]
		if err := u.step(gradients[:len(u.weights)], result.LearningRates[i], iteration, norm); err != nil {
			return result, fmt.Errorf("iteration %d: %w", iteration, err)
		}
		gradients = gradients[len(u.weights):]
	}
	t.Iteration = iteration
	if !t.stepped {
		// What building graphs took, and the place of the temporaries of the gradients: new weights have
		// settled in it, so the next step takes another.
		t.stepped = true
		memory.Release()
	}
	return result, nil
}

// finalize frees tensors, as far as they are not freed or given away.
func finalize(list []*tensors.Tensor) {
	for _, t := range list {
		t.FinalizeAll()
	}
}

// averages tells whether the weights below scope have a moving average: the network's, or those of a
// classifier that is trained alone.
func (t *Trainer) averages(scope string) bool {
	return t.config.EMADecay > 0 && (scope == NetworkScope || !t.config.trainsNetwork())
}

// runPass runs one batch, number draw of the stage, and returns what graph reports, and the gradients, to
// which those of the passes before are added: these are consumed.
func (t *Trainer) runPass(b *datasets.Batch, before []*tensors.Tensor, draw uint64) (report []float32, gradients []*tensors.Tensor, err error) {
	lq, labels := b.LQ, b.Labels
	if t.config.Method == MethodMasked {
		seed := model.GetRootParamOr(t.Store, model.ParamInitialSeed, 0)
		lq = t.config.Mask.apply(lq, b.N, b.H, b.W, uint64(seed), draw)
	}
	if t.Relabel != nil {
		labels = make([]int32, len(b.Labels))
		for i, l := range b.Labels {
			labels[i] = t.Relabel[l]
		}
	}
	inputs := []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(lq, b.N, b.H, b.W, 3),
		tensors.FromFlatDataAndDimensions(b.GT, b.N, b.H, b.W, 3),
		tensors.FromFlatDataAndDimensions(labels, b.N),
	}
	if t.Passes() > 1 && before == nil {
		for _, shape := range t.inputShapes(sizeOf(b))[len(inputs):] {
			before = append(before, tensors.FromShape(shape))
		}
	}
	inputs = append(inputs, before...)
	defer finalize(inputs)
	args := make([]any, len(inputs))
	for i, in := range inputs {
		args[i] = in
	}
	outputs, err := t.pass.Exec(args...)
	if err != nil {
		return nil, nil, err
	}
	defer outputs[0].FinalizeAll()
	report, err = tensors.CopyFlatData[float32](outputs[0])
	return report, outputs[1:], err
}

// graph builds a pass. Its arguments are lq, gt and labels of a batch and, if an iteration has several
// passes, the gradients so far. It returns a report [pixel loss, classification loss, accuracy, gradient
// norms of network and classifier, 1 if all is finite] and the gradients, averaged over the passes.
func (t *Trainer) graph(_ *model.Scope, inputs []*Node) []*Node {
	lq, gt, labels, before := inputs[0], inputs[1], inputs[2], inputs[3:]
	g := lq.Graph()
	t.Store.SetTraining(g, true)
	loss := t.stage.losses(t.modules, batchNodes{lq: lq, gt: gt, labels: labels})
	zero := ScalarZero(g, dtypes.Float32)
	if loss.pixel == nil {
		loss.pixel = zero
	}
	if loss.classify == nil {
		loss.classify, loss.accuracy = zero, zero
	}
	total := Add(loss.pixel, loss.classify)
	gradients := t.gradients(total, before)

	norms := map[string]*Node{NetworkScope: zero, ClassifierScope: zero}
	finite := IsFinite(total)
	rest := gradients
	for _, u := range t.updaters {
		square := sumOfSquares(rest[:len(u.weights)])
		norms[u.scope] = Sqrt(square)
		finite = LogicalAnd(finite, IsFinite(square))
		rest = rest[len(u.weights):]
	}
	report := []*Node{loss.pixel, loss.classify, loss.accuracy, norms[NetworkScope], norms[ClassifierScope], ConvertDType(finite, dtypes.Float32)}
	for i := range report {
		report[i] = Reshape(report[i], 1)
	}
	return append([]*Node{Concatenate(report, 0)}, gradients...)
}

// gradients returns the gradient of every weight, averaged over the passes and added to those before.
func (t *Trainer) gradients(total *Node, before []*Node) []*Node {
	var weights []*Node
	for _, u := range t.updaters {
		for _, w := range u.weights {
			weights = append(weights, w.NodeValue(total.Graph()))
		}
	}
	gradients := Gradient(total, weights...)
	for i, sum := range before {
		gradients[i] = Add(sum, MulScalar(gradients[i], 1/float64(t.Passes())))
	}
	return gradients
}

// sumOfSquares adds the squares of all elements of all gradients. Small gradients, which are most, are
// summed as one: what is compiled grows with each. The last sum is a real matrix product: as a chain of
// additions XLA would repeat all of it in the update of every weight.
func sumOfSquares(gradients []*Node) *Node {
	const width, small = 8, 1 << 14
	var parts, few []*Node
	for _, gradient := range gradients {
		if gradient.Shape().Size() < small {
			few = append(few, Reshape(gradient, -1))
			continue
		}
		parts = append(parts, gradient)
	}
	if len(few) > 0 {
		parts = append(parts, Concatenate(few, 0))
	}
	for i := range parts {
		parts[i] = Reshape(ReduceAllSum(Square(parts[i])), 1, 1)
	}
	column := BroadcastToDims(Concatenate(parts, 0), len(parts), width)
	ones := Ones(column.Graph(), shapes.Make(column.DType(), width, len(parts)))
	return Reshape(Slice(Dot(ones, column).Product(), AxisElem(0), AxisElem(0)))
}

// BestWeightsScope is where the weights to evaluate are: the moving average if there is one.
func (t *Trainer) BestWeightsScope() string { return averageOr(t.Store, NetworkScope) }

// averageOr is the scope of the moving average of the weights below scope, if there is one.
func averageOr(store *model.Store, scope string) string {
	if store.Scope(emaPrefix+scope).NumVariables() > 0 {
		return emaPrefix + scope
	}
	return scope
}
