package dcpt

import (
	"fmt"
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"

	"github.com/godcpt/godcpt/layers"
)

// Classifier is DCPT's degradation classifier: a ResNet of bottleneck blocks that reads a restoration
// network's decoder features, from high to low resolution, and tells the kind of degradation
// (paper section 3.2; parity README, section 4.6: PromptIR_NoImg_DC and PromptIR_DC).
//
// It sees features only, so what it learns it must get out of the network; ImageInput is the
// official variant that also sees the degraded image.
type Classifier struct {
	FeatureDims []int `yaml:"feature_dims,omitempty" json:"feature_dims"`                 // channels of each feature; empty: the network's
	Blocks      int   `yaml:"blocks,omitempty" json:"blocks"`                             // bottlenecks of each level; 0 means 2
	Classes     int   `yaml:"classes,omitempty" json:"classes"`                           // kinds of degradation; 0: as many as the data has
	SameRes     bool  `yaml:"same_resolution,omitempty" json:"same_resolution,omitempty"` // features are all of one resolution: feature i is sampled down by 2^i (official: downsample)
	ImageInput  bool  `yaml:"image_input,omitempty" json:"image_input,omitempty"`         // also reads the image; feature 0 must have half its resolution
}

const (
	classifierEpsilon = 1e-6
	defaultBlocks     = 2
)

// Complete fills in what the recipe leaves to the network and the data.
func (c Classifier) Complete(network Network, classes int) Classifier {
	if len(c.FeatureDims) == 0 {
		var picked []int
		picked, c.SameRes = classifierFeatures(network)
		features := network.Features()
		for _, i := range picked {
			c.FeatureDims = append(c.FeatureDims, features[i].Channels)
		}
	}
	if c.Blocks == 0 {
		c.Blocks = defaultBlocks
	}
	if c.Classes == 0 {
		c.Classes = classes
	}
	return c
}

// Validate reports what is wrong with a completed configuration.
func (c Classifier) Validate() error {
	if len(c.FeatureDims) == 0 {
		return fmt.Errorf("classifier: no feature_dims")
	}
	for _, d := range c.FeatureDims {
		if d < 1 {
			return fmt.Errorf("classifier: feature_dims %v: must be at least 1", c.FeatureDims)
		}
	}
	if c.Blocks < 1 {
		return fmt.Errorf("classifier: blocks is %d: must be at least 1", c.Blocks)
	}
	if c.Classes < 2 {
		return fmt.Errorf("classifier: %d classes: there must be at least 2 kinds of degradation to tell apart", c.Classes)
	}
	return nil
}

// Forward returns the logits [N, Classes]. image is the degraded image [N, H, W, 3], read only with
// ImageInput (and may be nil without); features are the network's, highest resolution first,
// [N, H/2^i, W/2^i, FeatureDims[i]], or all [N, H, W, FeatureDims[i]] with SameRes.
func (c Classifier) Forward(scope *model.Scope, image *Node, features []*Node) *Node {
	if len(features) != len(c.FeatureDims) {
		exceptions.Panicf("classifier: %d features for %d feature_dims %v", len(features), len(c.FeatureDims), c.FeatureDims)
	}
	g := features[0].Graph()
	levels := len(features)
	mix := Softmax(layers.Param(scope, g, "mixing_weights", layers.Constant(1), levels))
	var x *Node
	if c.ImageInput {
		x = layers.Conv{Kernel: 7, Stride: 2, Padding: 3}.Apply(at(scope, "conv_embed", 0), image, c.FeatureDims[0])
		x = layers.LayerNorm(at(scope, "conv_embed", 1), x, classifierEpsilon)
	}
	for i, feature := range features {
		if c.SameRes && i > 0 {
			feature = layers.NearestDownsample(feature, 1<<i)
		}
		if got := feature.Shape().Dim(-1); got != c.FeatureDims[i] {
			exceptions.Panicf("classifier: feature %d has %d channels, feature_dims says %d", i, got, c.FeatureDims[i])
		}
		if x != nil && !slices.Equal(x.Shape().Dimensions[:3], feature.Shape().Dimensions[:3]) {
			exceptions.Panicf("classifier: feature %d is of %v, but %v is needed: the network must give one feature per level, each of half the resolution of the one before "+
				"(with image_input, the first of half the image's)", i, feature.Shape().Dimensions[1:3], x.Shape().Dimensions[1:3])
		}
		weighted := Mul(feature, Reshape(Slice(mix, AxisElem(i)), 1, 1, 1, 1))
		if x == nil {
			x = weighted
		} else {
			x = Add(x, weighted)
		}
		for b := range c.Blocks {
			x = bottleneck(at(scope, "bottleneck_layers", i, b), x)
		}
		next := c.FeatureDims[min(i+1, levels-1)]
		x = layers.Pointwise(at(scope, "downsample_layers", i, 0), x, next, false)
		x = relu(layers.MaxPool2x2(x))
	}
	for b := range c.Blocks {
		x = bottleneck(at(scope, "last_stage", b), x)
	}
	return layers.Linear(scope.At("fc"), layers.GlobalAverage(scope, x), c.Classes)
}

// bottleneck is 1x1 to twice the channels, 3x3, 1x1 back, each with a channel norm, plus the input.
func bottleneck(scope *model.Scope, x *Node) *Node {
	c := x.Shape().Dim(-1)
	y := relu(convNorm(scope.At("conv1"), x, 1, 2*c))
	y = relu(convNorm(scope.At("conv2"), y, 3, 2*c))
	y = convNorm(scope.At("conv3"), y, 1, c)
	return relu(Add(x, y))
}

// convNorm is a convolution without bias and a channel norm, initialised as ResNets are: normal with
// variance 2 / fan out.
func convNorm(scope *model.Scope, x *Node, kernel, out int) *Node {
	init := layers.Normal(math.Sqrt(2 / float64(out*kernel*kernel)))
	y := layers.Conv{Kernel: kernel, NoBias: true, Init: init}.Apply(scope, x, out)
	return layers.LayerNorm(scope.At("norm"), y, classifierEpsilon)
}

func relu(x *Node) *Node { return Max(x, ScalarZero(x.Graph(), x.DType())) }
