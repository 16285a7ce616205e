package dcpt

import (
	"path"
	"strconv"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// updater steps the weights that one optimizer trains. It does so block by block, a block being the
// weights whose paths begin with the same numbers: blocks of equal shapes run one program. As a part of
// the program that computes the gradients the steps would be more than half of its operations, and what
// XLA takes to compile a program, and to load it again, grows faster than their number.
type updater struct {
	scope     string
	weights   []*model.Variable
	optimizer Optimizer
	gradClip  float64 // largest L2 norm of all gradients together; 0: no limit
	emaDecay  float64 // of the moving average; 0: none
	backend   compute.Backend
	store     *model.Store

	blocks [][]int // of indices of weights
	exec   *Exec   // see graph
}

// prepare creates the optimizer's state where it is missing.
func (u *updater) prepare() (err error) {
	if err := initMoments(u.store, u.weights); err != nil {
		return err
	}
	u.blocks = blocksOf(u.weights)
	if u.exec, err = NewExec(u.backend, u.graph); err != nil {
		return err
	}
	u.exec.SetMaxCache(len(u.blocks))
	return nil
}

func (u *updater) close() { u.exec.Finalize() }

// blocksOf divides weights into blocks, in their order.
func blocksOf(weights []*model.Variable) [][]int {
	var blocks [][]int
	index := map[string]int{}
	for i, w := range weights {
		name := blockOf(w.Path())
		b, ok := index[name]
		if !ok {
			b = len(blocks)
			index[name] = b
			blocks = append(blocks, nil)
		}
		blocks[b] = append(blocks[b], i)
	}
	return blocks
}

// blockOf is the path of the block that a weight belongs to: its own up to the last number, but for that of
// a numbered layer: /net_g/encoders/3/27 for /net_g/encoders/3/27/sca/1/weight, "/" where there is none.
func blockOf(weight string) string {
	isNumber := func(name string) bool { _, err := strconv.Atoi(name); return err == nil }
	block, name := path.Dir(weight), path.Base(weight)
	if isNumber(path.Base(block)) && (name == "weight" || name == "bias") {
		block = path.Dir(block)
	}
	for block != "/" && !isNumber(path.Base(block)) {
		block = path.Dir(block)
	}
	return block
}

// variables are what a step of a weight changes.
func (u *updater) variables(weight *model.Variable) []*model.Variable {
	list := []*model.Variable{weight, u.store.GetVariable(firstMomentScope + weight.Path()), u.store.GetVariable(secondMomentScope + weight.Path())}
	if u.emaDecay > 0 {
		list = append(list, u.store.GetVariable(emaPrefix+weight.Path()))
	}
	return list
}

// graph builds the steps of a block. Its arguments are stepScalars with the factor of the gradients, and
// for each weight its gradient and variables, whose new values it returns.
func (u *updater) graph(inputs []*Node) []*Node {
	scalars, rest := inputs[0], inputs[1:]
	clip := Reshape(Slice(scalars, AxisElem(numStepScalars)))
	var outputs []*Node
	for len(rest) > 0 {
		gradient, w, m, v := rest[0], rest[1], rest[2], rest[3]
		rest = rest[4:]
		if u.gradClip > 0 {
			gradient = Mul(gradient, clip)
		}
		newW, newM, newV := u.optimizer.update(gradient, w, m, v, scalars)
		outputs = append(outputs, newW, newM, newV)
		if u.emaDecay > 0 {
			outputs = append(outputs, moveEMA(rest[0], newW, u.emaDecay))
			rest = rest[1:]
		}
	}
	return outputs
}

// compile compiles the programs of all blocks. It may be called more than once, also at the same time.
func (u *updater) compile() error {
	for _, block := range u.blocks {
		inputs := []shapes.Shape{shapes.Make(dtypes.Float32, numStepScalars+1)}
		for _, i := range block {
			inputs = append(inputs, u.weights[i].Shape())
			for _, v := range u.variables(u.weights[i]) {
				inputs = append(inputs, v.Shape())
			}
		}
		if _, err := u.exec.Compile(inputs...); err != nil {
			return err
		}
	}
	return nil
}

// step takes the step of an iteration (from 1) with gradients, which it consumes: one for each weight. norm
// is the L2 norm of all of them.
func (u *updater) step(gradients []*tensors.Tensor, lr float64, iteration int, norm float64) error {
	values := append(u.optimizer.stepScalars(lr, iteration), u.clipFactor(norm))
	scalars := tensors.FromFlatDataAndDimensions(values, len(values))
	defer scalars.FinalizeAll()
	for _, block := range u.blocks {
		if err := u.stepBlock(block, gradients, scalars); err != nil {
			return err
		}
	}
	return nil
}

// clipFactor is min(1, gradClip/(norm+1e-6)), as PyTorch's clip_grad_norm_.
func (u *updater) clipFactor(norm float64) float32 {
	if u.gradClip == 0 {
		return 1
	}
	return float32(min(1, u.gradClip/(norm+1e-6)))
}

func (u *updater) stepBlock(block []int, gradients []*tensors.Tensor, scalars *tensors.Tensor) error {
	args := []any{scalars}
	give := func(t *tensors.Tensor) error {
		arg, err := DonateTensorBuffer(t, u.backend, 0)
		args = append(args, arg)
		return err
	}
	var changed []*model.Variable
	for _, i := range block {
		if err := give(gradients[i]); err != nil {
			return err
		}
		for _, v := range u.variables(u.weights[i]) {
			value, err := v.Value()
			if err != nil {
				return err
			}
			if err := give(value); err != nil {
				return err
			}
			if err := v.Reset(); err != nil {
				return err
			}
			changed = append(changed, v)
		}
	}
	values, err := u.exec.Call(args...)
	if err != nil {
		return err
	}
	for i, v := range changed {
		if err := v.SetValue(values[i]); err != nil {
			return err
		}
	}
	return nil
}
