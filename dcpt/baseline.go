package dcpt

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Baseline returns the recipe without pre-training and with its budget given to the fine-tuning, which
// then starts from random weights: what a pre-training has to beat. The budget is the number of pixels
// that pass through the network, forward and back; DCPT's step takes two passes of each sample. What
// the classifier costs is not counted. The periods and milestones of the schedule grow with the steps.
func (r *Recipe) Baseline() (*Recipe, error) {
	if r.Pretrain == nil || r.Finetune == nil {
		return nil, fmt.Errorf("recipe %s has not both pretrain and finetune: there is no budget to move for a baseline", r.Name)
	}
	if !r.Pretrain.trainsNetwork() {
		return nil, fmt.Errorf("the pre-training of recipe %s trains no network, only a classifier: its fine-tuning is the baseline already", r.Name)
	}
	if slices.ContainsFunc(r.Data.Train, func(s Set) bool { return s.Patch != 0 }) {
		return nil, fmt.Errorf("recipe %s has training sets with a patch of their own: how many pixels a step takes then depends on the batch, and so the budget of a baseline is not known; leave patch out of data.train", r.Name)
	}
	baseline := *r
	baseline.Name += "-baseline"
	baseline.Pretrain = nil
	finetune := *r.Finetune
	if finetune.Method == MethodGuided {
		return nil, errors.New("the fine-tuning of this recipe is guided by the pre-trained classifier: a baseline without pre-training has none")
	}
	extra := float64(r.Pretrain.Steps) * r.Pretrain.pixelsPerStep() / finetune.pixelsPerStep()
	grown := finetune.Steps + int(math.Round(extra))
	finetune.Schedule = finetune.Schedule.stretch(finetune.Steps, grown)
	finetune.Steps = grown
	baseline.Finetune = &finetune
	return &baseline, baseline.Validate()
}

// pixelsPerStep is how many pixels pass through the network in a step.
func (c StageConfig) pixelsPerStep() float64 {
	passes := 1
	if c.Method == MethodDCPT {
		passes = 2
	}
	return float64(passes * c.Batch * c.accumulate() * c.Patch * c.Patch)
}

// stretch scales the periods, milestones and restarts of a schedule. A warm-up stays as long as it is.
func (s Schedule) stretch(from, to int) Schedule {
	scale := func(steps []int) []int {
		steps = slices.Clone(steps)
		for i := range steps {
			steps[i] = int(math.Ceil(float64(steps[i]) * float64(to) / float64(from)))
		}
		return steps
	}
	s.Periods, s.Milestones, s.Restarts = scale(s.Periods), scale(s.Milestones), scale(s.Restarts)
	return s
}

// Only returns the recipe for one degradation: a single-task network. It has the fine-tuning only,
// since there is nothing to classify.
func (r *Recipe) Only(degradation string) (*Recipe, error) {
	if r.Finetune == nil {
		return nil, fmt.Errorf("recipe %s has no stage %s", r.Name, StageFinetune)
	}
	if names := r.Classes(); !slices.Contains(names, degradation) {
		return nil, suggest.Unknown("degradation", degradation, names)
	}
	single := *r
	single.Name += "-" + degradation
	single.Pretrain = nil
	keep := func(sets []Set) []Set {
		return slices.DeleteFunc(slices.Clone(sets), func(s Set) bool { return s.Name != degradation })
	}
	single.Data.Train, single.Data.Test = keep(r.Data.Train), keep(r.Data.Test)
	return &single, single.Validate()
}
