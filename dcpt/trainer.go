package dcpt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
)

// Trainer runs the iterations of a stage: loss, gradients, clipping, optimizers and moving average in
// one compiled graph. Its whole state is Store and Iteration; the graph is a pure function of these
// and the batch. It is not safe for concurrent use.
type Trainer struct {
	Store     *model.Store
	Iteration int // iterations done

	// Relabel is the classifier's label for each label of the data, where they differ: the classifier
	// of a guide may know other degradations. Nil: the same.
	Relabel []int32

	backend    compute.Backend
	config     StageConfig
	stage      stage
	modules    modules
	groups     []group
	accumulate *model.Exec // adds gradients; nil without accumulation
	apply      *model.Exec // adds gradients and takes the step
	compiled   map[program]bool
}

// program is what is compiled once: a pass for batches of one size.
type program struct {
	last    bool // of the passes of an iteration
	n, h, w int
}

// group is the weights that one optimizer trains.
type group struct {
	scope     string
	weights   []*model.Variable
	optimizer Optimizer
}

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
		Store: store, backend: backend, config: config, stage: s,
		modules:  modules{store: store, network: network, classifier: classifier},
		compiled: map[program]bool{},
	}
	for _, scope := range s.scopes() {
		g := group{scope: scope, weights: trainable(store, scope), optimizer: config.Optimizer}
		if scope == ClassifierScope {
			g.optimizer = config.ClassifierOptimizer
		}
		if len(g.weights) == 0 {
			return nil, fmt.Errorf("no weights below %s to train", scope)
		}
		if err := initMoments(store, g.weights); err != nil {
			return nil, err
		}
		if t.averages(scope) {
			if err := initEMA(store, variablesBelow(store, scope)); err != nil {
				return nil, err
			}
		}
		t.groups = append(t.groups, g)
	}
	if config.accumulate() > 1 {
		if err := t.initAccumulators(); err != nil {
			return nil, err
		}
		if t.accumulate, err = model.NewExec(backend, store, t.graph(false)); err != nil {
			return nil, err
		}
	}
	if t.apply, err = model.NewExec(backend, store, t.graph(true)); err != nil {
		return nil, err
	}
	return t, nil
}

// Close frees the compiled graphs.
func (t *Trainer) Close() {
	t.apply.Finalize()
	if t.accumulate != nil {
		t.accumulate.Finalize()
	}
}

// gradientScope holds sums of gradients between the passes of an iteration. They are zero between
// iterations, so they are not part of the state.
const gradientScope = "/gradients"

func (t *Trainer) initAccumulators() error {
	for _, g := range t.groups {
		for _, w := range g.weights {
			if t.Store.GetVariable(gradientScope+w.Path()) != nil {
				continue
			}
			v, err := t.Store.CreateVariable(gradientScope+w.Path(), tensors.FromShape(w.Shape()))
			if err != nil {
				return err
			}
			v.SetTrainable(false)
		}
	}
	return nil
}

// clearGradients drops the sums of an iteration that is given up.
func (t *Trainer) clearGradients() error {
	if t.accumulate == nil {
		return nil
	}
	for _, g := range t.groups {
		for _, w := range g.weights {
			if err := t.Store.GetVariable(gradientScope + w.Path()).SetValue(tensors.FromShape(w.Shape())); err != nil {
				return fmt.Errorf("clearing the gradients: %w", err)
			}
		}
	}
	return nil
}

// Passes is the number of batches that an iteration takes.
func (t *Trainer) Passes() int { return t.config.accumulate() }

// LearningRates returns the rate of each optimizer in an iteration (from 1).
func (t *Trainer) LearningRates(iteration int) []float64 {
	rates := make([]float64, len(t.groups))
	for i, g := range t.groups {
		rates[i] = t.config.Schedule.LR(g.optimizer.LR, iteration)
	}
	return rates
}

// compilesAnew tells whether Step will compile for batches of a size that has not occurred yet. The
// compilation of the very first step does not count.
func (t *Trainer) compilesAnew(batches []*datasets.Batch) bool {
	return len(t.compiled) > 0 && slices.ContainsFunc(programs(batches), func(p program) bool { return !t.compiled[p] })
}

// programs are what the passes of an iteration run.
func programs(batches []*datasets.Batch) []program {
	var list []program
	for i, b := range batches {
		list = append(list, program{i == len(batches)-1, b.N, b.H, b.W})
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
	var scalars []float32
	for i, g := range t.groups {
		scalars = append(scalars, g.optimizer.stepScalars(result.LearningRates[i], iteration)...)
	}
	scalarTensor := tensors.FromFlatDataAndDimensions(scalars, len(t.groups), numStepScalars)
	defer scalarTensor.FinalizeAll()

	for _, p := range programs(batches) {
		t.compiled[p] = true
	}
	for i, b := range batches {
		exec := t.accumulate
		if i == len(batches)-1 {
			exec = t.apply
		}
		values, err := t.pass(exec, b, scalarTensor, uint64(t.Iteration*len(batches)+i))
		if err != nil {
			return result, fmt.Errorf("iteration %d: %w", iteration, err)
		}
		share := 1 / float64(len(batches))
		result.Pixel += share * float64(values[0])
		result.Classify += share * float64(values[1])
		result.Accuracy += share * float64(values[2])
		result.GradNorm, result.ClassifyNorm = float64(values[3]), float64(values[4])
		result.Total = result.Pixel + result.Classify
		if values[5] != 1 {
			return result, errors.Join(&NotFiniteError{Iteration: iteration, Files: b.Names, Result: result}, t.clearGradients())
		}
	}
	t.Iteration = iteration
	return result, nil
}

// averages tells whether the weights below scope have a moving average: the network's, or those of a
// classifier that is trained alone.
func (t *Trainer) averages(scope string) bool {
	return t.config.EMADecay > 0 && (scope == NetworkScope || !t.config.trainsNetwork())
}

// pass runs one batch, number draw of the stage, and returns what graph reports.
func (t *Trainer) pass(exec *model.Exec, b *datasets.Batch, scalars *tensors.Tensor, draw uint64) ([]float32, error) {
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
	defer func() {
		for _, in := range inputs {
			in.FinalizeAll()
		}
	}()
	report, err := exec.Call1(inputs[0], inputs[1], inputs[2], scalars)
	if err != nil {
		return nil, err
	}
	defer report.FinalizeAll()
	return tensors.CopyFlatData[float32](report)
}

// graph builds a pass. With apply it ends in the optimizers' step, else it only adds up gradients.
// It reports [pixel loss, classification loss, accuracy, gradient norms of network and classifier,
// 1 if all is finite].
func (t *Trainer) graph(apply bool) func(*model.Scope, *Node, *Node, *Node, *Node) *Node {
	return func(_ *model.Scope, lq, gt, labels, scalars *Node) *Node {
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
		gradients := t.gradients(total, apply)

		norms := map[string]*Node{NetworkScope: zero, ClassifierScope: zero}
		finite := IsFinite(total)
		for i, group := range gradients {
			square := sumOfSquares(group)
			norms[t.groups[i].scope] = Sqrt(square)
			finite = LogicalAnd(finite, IsFinite(square))
		}
		if apply {
			t.applyStep(gradients, norms[NetworkScope], scalars, finite)
		}
		report := []*Node{loss.pixel, loss.classify, loss.accuracy, norms[NetworkScope], norms[ClassifierScope], ConvertDType(finite, dtypes.Float32)}
		for i := range report {
			report[i] = Reshape(report[i], 1)
		}
		return Concatenate(report, 0)
	}
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

// gradients returns the gradient of every weight, by group, averaged over the passes so far.
func (t *Trainer) gradients(total *Node, last bool) [][]*Node {
	g := total.Graph()
	var weights []*Node
	for _, group := range t.groups {
		for _, w := range group.weights {
			weights = append(weights, w.NodeValue(g))
		}
	}
	all := Gradient(total, weights...)
	var grouped [][]*Node
	for _, group := range t.groups {
		grouped = append(grouped, all[:len(group.weights)])
		all = all[len(group.weights):]
		if t.config.accumulate() > 1 {
			t.addUp(group, grouped[len(grouped)-1], last)
		}
	}
	return grouped
}

// addUp replaces the gradients by the running averages, and clears these in the last pass.
func (t *Trainer) addUp(group group, gradients []*Node, last bool) {
	for i, w := range group.weights {
		sum := t.Store.GetVariable(gradientScope + w.Path())
		g := gradients[i].Graph()
		gradients[i] = Add(sum.NodeValue(g), MulScalar(gradients[i], 1/float64(t.config.accumulate())))
		if last {
			sum.SetNodeValue(ZerosLike(gradients[i]))
		} else {
			sum.SetNodeValue(gradients[i])
		}
	}
}

// applyStep clips the network's gradient, steps every optimizer and moves the average.
func (t *Trainer) applyStep(gradients [][]*Node, norm, scalars, ok *Node) {
	g := scalars.Graph()
	for i, group := range t.groups {
		var clip *Node
		if group.scope == NetworkScope && t.config.GradClip > 0 {
			clip = clipFactor(norm, t.config.GradClip)
		}
		step := group.optimizer.newStepNodes(Reshape(Slice(scalars, AxisElem(i)), numStepScalars), clip, t.config.EMADecay, ok)
		for k, w := range group.weights {
			step.update(w, gradients[i][k])
			if t.averages(group.scope) {
				step.updateEMA(g, w)
			}
		}
	}
}

// clipFactor is min(1, limit/(norm+1e-6)), as PyTorch's clip_grad_norm_.
func clipFactor(norm *Node, limit float64) *Node {
	return MinScalar(Inverse(MulScalar(AddScalar(norm, 1e-6), 1/limit)), 1)
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
