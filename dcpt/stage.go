package dcpt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/suggest"
)

// StageConfig is a training stage in a recipe. Which stage it is decides which fields are needed;
// see the stage files: pretrain.go, finetune.go, guided.go, maskdcpt.go.
type StageConfig struct {
	Method              string       `yaml:"method"`                        // pretrain: "dcpt", "direct", "masked" or "classifier"; finetune: "restore" or "guided"
	Steps               int          `yaml:"steps"`                         // iterations: optimizer steps
	Batch               int          `yaml:"batch"`                         // images per step and device pass
	Accumulate          int          `yaml:"accumulate,omitempty"`          // passes whose gradients are averaged for one step; 0 means 1
	Patch               int          `yaml:"patch"`                         // side of the square training crops, pixels
	PixelLoss           PixelLoss    `yaml:"pixel_loss,omitzero"`           // of the restored image (all but classifier)
	ClassifyLoss        ClassifyLoss `yaml:"classify_loss,omitzero"`        // of the degradation (all but restore)
	Mask                Mask         `yaml:"mask,omitzero"`                 // what is hidden of the degraded image (masked)
	GuideLabel          string       `yaml:"guide_label,omitempty"`         // the guide's degradation that all images count as (guided); empty: each set's own name
	Optimizer           Optimizer    `yaml:"optimizer,omitzero"`            // of the network (all but classifier)
	ClassifierOptimizer Optimizer    `yaml:"classifier_optimizer,omitzero"` // of the classifier (pretrain)
	Schedule            Schedule     `yaml:"schedule,omitzero"`             // of the learning rates
	GradClip            float64      `yaml:"grad_clip,omitempty"`           // largest L2 norm of the network's gradient; 0 means no limit
	EMADecay            float64      `yaml:"ema_decay,omitempty"`           // of the moving average of the network's weights (classifier: of the classifier's), which is then what is evaluated; 0 means none
	ValidateEvery       int          `yaml:"validate_every,omitempty"`      // steps between validations; 0 means none
	SaveEvery           int          `yaml:"save_every,omitempty"`          // steps between checkpoints; 0 means only after the last step
	Keep                int          `yaml:"keep,omitempty"`                // newest checkpoints kept beside the best; 0 means 2
}

// stage is the method of a training stage: a loss on networks, and what it trains.
type stage interface {
	// scopes lists what the stage trains, one entry per optimizer.
	scopes() []string
	// losses builds the loss terms of a batch; their sum is minimised.
	losses(m modules, b batchNodes) terms
}

// modules are the networks of a run, on the weights of its store.
type modules struct {
	store      *model.Store
	network    Network
	classifier Classifier
}

func (m modules) forward(x *Node) (restored *Node, features []*Node) {
	return forwardForClassifier(m.network, m.store.Scope(NetworkScope), x)
}

func (m modules) classify(x *Node, features []*Node) *Node {
	return m.classifier.Forward(m.store.Scope(ClassifierScope), x, features)
}

// batchNodes is a batch in the graph: lq and gt [N, H, W, 3] in [0, 1] (lq may leave it), labels [N].
type batchNodes struct{ lq, gt, labels *Node }

// terms are the parts of the loss of a batch; pixel is nil where nothing is restored, classify and
// accuracy are nil where nothing is classified.
type terms struct {
	pixel    *Node // scalar
	classify *Node // scalar
	accuracy *Node // fraction of the batch whose degradation is told rightly, 0 to 1
}

// Methods of StageConfig.Method.
const (
	MethodDCPT       = "dcpt"       // pre-training: reconstruct clean images, classify degraded ones
	MethodDirect     = "direct"     // pre-training: restore and classify degraded images
	MethodMasked     = "masked"     // pre-training: restore and classify degraded images of which half is hidden (MaskDCPT)
	MethodClassifier = "classifier" // train a classifier on the features of a network that stays as it is
	MethodRestore    = "restore"    // restore degraded images
	MethodGuided     = "guided"     // restore degraded images, guided by a classifier that stays as it is
)

// stageMethods lists the methods of each stage of a recipe.
var stageMethods = map[string][]string{
	StagePretrain: {MethodDCPT, MethodDirect, MethodMasked, MethodClassifier},
	StageFinetune: {MethodRestore, MethodGuided},
}

func (c StageConfig) newStage() (stage, error) {
	switch c.Method {
	case MethodDCPT:
		return pretraining{c, false}, nil
	case MethodDirect, MethodMasked: // Trainer hides parts of the image
		return pretraining{c, true}, nil
	case MethodClassifier:
		return classifierTraining{c}, nil
	case MethodRestore:
		return finetuning{c}, nil
	case MethodGuided:
		return guidedTraining{c}, nil
	}
	return nil, suggest.Unknown("training method", c.Method, slices.Concat(stageMethods[StagePretrain], stageMethods[StageFinetune]))
}

// trainsNetwork reports whether the stage changes the network.
func (c StageConfig) trainsNetwork() bool { return c.Method != MethodClassifier }

// trainsClassifier reports whether the stage changes the classifier.
func (c StageConfig) trainsClassifier() bool {
	return slices.Contains(stageMethods[StagePretrain], c.Method)
}

// classifies reports whether the stage has a classification loss.
func (c StageConfig) classifies() bool { return c.Method != MethodRestore }

func (c StageConfig) keep() int { return orDefault(c.Keep, 2) }

// complete fills in the optimizers' defaults, so that a resolved recipe says what was used.
func (c StageConfig) complete() StageConfig {
	if c.trainsNetwork() {
		c.Optimizer = c.Optimizer.complete()
	}
	if c.trainsClassifier() {
		c.ClassifierOptimizer = c.ClassifierOptimizer.complete()
	}
	if c.Method == MethodMasked {
		c.Mask = c.Mask.complete()
	}
	return c
}

func (c StageConfig) accumulate() int { return orDefault(c.Accumulate, 1) }

// Validate reports what is wrong with the configuration of a stage for a network.
func (c StageConfig) Validate(network Network) error {
	if _, err := c.newStage(); err != nil {
		return err
	}
	for _, field := range []struct {
		name  string
		value int
	}{{"steps", c.Steps}, {"batch", c.Batch}, {"patch", c.Patch}} {
		if field.value < 1 {
			return fmt.Errorf("%s is %d; it must be at least 1", field.name, field.value)
		}
	}
	for _, field := range []struct {
		name  string
		value int
	}{{"accumulate", c.Accumulate}, {"validate_every", c.ValidateEvery}, {"save_every", c.SaveEvery}, {"keep", c.Keep}} {
		if field.value < 0 {
			return fmt.Errorf("%s is %d; it must not be negative", field.name, field.value)
		}
	}
	if multiple := network.SizeMultiple(); c.Patch%multiple != 0 {
		return fmt.Errorf("patch is %d; the network needs a multiple of %d", c.Patch, multiple)
	}
	if !(c.EMADecay >= 0 && c.EMADecay < 1) {
		return fmt.Errorf("ema_decay is %v; it must be in [0, 1)", c.EMADecay)
	}
	if !(c.GradClip >= 0) {
		return fmt.Errorf("grad_clip is %v; it must not be negative", c.GradClip)
	}
	return errors.Join(append(c.validateParts(), c.Schedule.Validate(c.Steps))...)
}

// validateParts checks the parts that the method needs, and that others are absent: a setting without
// effect would be a lie in the recipe.
func (c StageConfig) validateParts() []error {
	var problems []error
	for _, part := range []struct {
		name         string
		needed, zero bool
		validate     func() error
	}{
		{"pixel_loss", c.trainsNetwork(), c.PixelLoss == PixelLoss{}, c.PixelLoss.validateScalar},
		{"optimizer", c.trainsNetwork(), c.Optimizer.IsZero(), c.Optimizer.Validate},
		{"classify_loss", c.classifies(), reflect.ValueOf(c.ClassifyLoss).IsZero(), c.ClassifyLoss.validateScalar},
		{"classifier_optimizer", c.trainsClassifier(), c.ClassifierOptimizer.IsZero(), c.ClassifierOptimizer.Validate},
		{"mask", c.Method == MethodMasked, c.Mask == Mask{}, c.Mask.Validate},
		{"guide_label", false, c.GuideLabel == "" || c.Method == MethodGuided, nil},
		{"grad_clip", false, c.GradClip == 0 || c.trainsNetwork(), nil},
	} {
		if part.needed {
			problems = append(problems, part.validate())
		} else if !part.zero {
			problems = append(problems, fmt.Errorf("%s has no effect with method %s: leave it out", part.name, c.Method))
		}
	}
	return problems
}
