package dcpt

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt/torch"
)

// Paths in the store. The weights below them are named as in PyTorch.
const (
	NetworkScope    = "/net_g"     // the restoration network
	ClassifierScope = "/net_dc"    // the degradation classifier
	EMAScope        = "/ema/net_g" // the network's exponential moving average
)

// Weights are tensors in PyTorch's names and layout.
type Weights map[string]torch.Tensor

// ExportWeights copies the weights below scope ("/net_g") out of the store.
func ExportWeights(store *model.Store, scope string) (Weights, error) {
	weights := Weights{}
	for v := range store.Scope(scope).IterVariables() {
		tensor, err := exportVariable(v)
		if err != nil {
			return nil, err
		}
		weights[torch.Name(strings.TrimPrefix(v.Path(), scope))] = tensor
	}
	if len(weights) == 0 {
		return nil, fmt.Errorf("there are no weights below %s", scope)
	}
	return weights, nil
}

func exportVariable(v *model.Variable) (torch.Tensor, error) {
	value, err := v.Value()
	if err != nil {
		return torch.Tensor{}, fmt.Errorf("weight %s: %w", v.Path(), err)
	}
	values, err := tensors.CopyFlatData[float32](value)
	if err != nil {
		return torch.Tensor{}, fmt.Errorf("weight %s: %w", v.Path(), err)
	}
	values, dims, err := torch.ToTorch(values, v.Shape().Dimensions)
	if err != nil {
		return torch.Tensor{}, fmt.Errorf("weight %s: %w", v.Path(), err)
	}
	return torch.Float32Tensor(values, dims...), nil
}

// ImportWeights puts weights below scope into the store. The store must hold the network's weights
// already (see InitNetwork): every one must be given, with the right shape, and no other. The error
// names the first tensor that differs; the store is then unchanged.
func ImportWeights(store *model.Store, scope string, weights Weights) error {
	variables := map[string]*model.Variable{}
	for v := range store.Scope(scope).IterVariables() {
		variables[torch.Name(strings.TrimPrefix(v.Path(), scope))] = v
	}
	loaded := make(map[string]*tensors.Tensor, len(variables))
	for _, name := range sortedKeys(variables) {
		stored, ok := weights[name]
		if !ok {
			return fmt.Errorf("weights of another network: tensor %q is missing", name)
		}
		flat, err := stored.Float32()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		values, dims, err := torch.FromTorch(flat, stored.Shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		if want := variables[name].Shape().Dimensions; !slices.Equal(dims, want) {
			_, wantTorch, _ := torch.ToTorch(make([]float32, variables[name].Shape().Size()), want)
			return fmt.Errorf("weights of another network: tensor %q is %v, the network needs %v", name, stored.Shape, wantTorch)
		}
		loaded[name] = tensors.FromFlatDataAndDimensions(values, dims...)
	}
	for _, name := range sortedKeys(weights) {
		if variables[name] == nil {
			return fmt.Errorf("weights of another network: tensor %q is in the file, the network has none of that name", name)
		}
	}
	for name, v := range variables {
		if err := v.SetValue(loaded[name]); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	return nil
}

// InitNetwork creates the weights of a network below scope with their initial values, which depend
// on the store's seed only.
func InitNetwork(backend compute.Backend, store *model.Store, scope string, network Network) error {
	size := network.SizeMultiple()
	return buildOnly(backend, store, func(g *Graph) {
		network.Forward(store.Scope(scope), Zeros(g, shapes.Make(dtypes.Float32, 1, size, size, 3)))
	})
}

// InitClassifier creates the weights of a classifier below scope.
func InitClassifier(backend compute.Backend, store *model.Store, scope string, classifier Classifier) error {
	return buildOnly(backend, store, func(g *Graph) {
		side := 2 << len(classifier.FeatureDims) // the last level is still 2x2 before its pooling
		image := Zeros(g, shapes.Make(dtypes.Float32, 1, 2*side, 2*side, 3))
		features := make([]*Node, len(classifier.FeatureDims))
		for i, dim := range classifier.FeatureDims {
			featureSide := side >> i
			if classifier.SameRes {
				featureSide = side
			}
			features[i] = Zeros(g, shapes.Make(dtypes.Float32, 1, featureSide, featureSide, dim))
		}
		classifier.Forward(store.Scope(scope), image, features)
	})
}

// buildOnly builds a graph for the weights it creates: its result is dropped before compilation.
func buildOnly(backend compute.Backend, store *model.Store, build func(g *Graph)) error {
	exec, err := model.NewExec(backend, store, func(_ *model.Scope, g *Graph) *Node {
		build(g)
		return ScalarZero(g, dtypes.Float32)
	})
	if err != nil {
		return err
	}
	defer exec.Finalize()
	_, err = exec.Compile()
	return err
}

// CountParameters returns the number of weights below scope.
func CountParameters(store *model.Store, scope string) int { return store.Scope(scope).NumParameters() }

// trainable lists the variables below scope that are trained, in the order of their names.
func trainable(store *model.Store, scope string) []*model.Variable {
	return slices.DeleteFunc(variablesBelow(store, scope), func(v *model.Variable) bool { return !v.Trainable })
}

// variablesBelow lists the variables below scope, in the order of their names.
func variablesBelow(store *model.Store, scope string) []*model.Variable {
	variables := slices.Collect(store.Scope(scope).IterVariables())
	sort.Slice(variables, func(i, j int) bool { return variables[i].Path() < variables[j].Path() })
	return variables
}
