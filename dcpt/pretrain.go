package dcpt

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// pretraining is Degradation Classification Pre-Training (paper section 3; DCPTModel and DCTModel in
// the parity README, section 5.2). One step minimises the sum of two terms with one backward pass:
//
//   - the pixel loss: the network must reproduce the clean image from itself, so that it stays a
//     restorer (or, direct, restore the degraded image);
//   - the classification loss: the classifier must tell the degradation of the degraded image from
//     the network's decoder features. Its gradient reaches encoder and decoder.
//
// Network and classifier have an optimizer each.
type pretraining struct {
	config StageConfig
	direct bool
}

func (p pretraining) scopes() []string { return []string{NetworkScope, ClassifierScope} }

func (p pretraining) losses(m modules, b batchNodes) terms {
	var restored *Node
	var features []*Node
	if p.direct {
		restored, features = m.forward(b.lq)
	} else {
		// Both passes as one batch: the samples do not see each other, and the network is built,
		// compiled and differentiated once.
		n := b.lq.Shape().Dim(0)
		restored, features = m.forward(Concatenate([]*Node{b.gt, b.lq}, 0))
		restored = Slice(restored, AxisRange(0, n))
		for i := range features {
			features[i] = Slice(features[i], AxisRange(n, 2*n))
		}
	}
	logits := m.classify(b.lq, features)
	return terms{
		pixel:    p.config.PixelLoss.Node(restored, b.gt),
		classify: p.config.ClassifyLoss.Node(logits, b.labels),
		accuracy: accuracy(logits, b.labels),
	}
}

// classifierTraining trains the classifier alone, on the features of a network that stays as it is
// (DCModel in the parity README, section 5.2): for a network that was not pre-trained with DCPT, to
// guide others by it or to see what its features tell.
type classifierTraining struct{ config StageConfig }

func (c classifierTraining) scopes() []string { return []string{ClassifierScope} }

func (c classifierTraining) losses(m modules, b batchNodes) terms {
	_, features := m.forward(b.lq)
	for i := range features {
		features[i] = StopGradient(features[i])
	}
	logits := m.classify(b.lq, features)
	return terms{classify: c.config.ClassifyLoss.Node(logits, b.labels), accuracy: accuracy(logits, b.labels)}
}

// accuracy is the fraction of rows whose largest logit is the label's.
func accuracy(logits, labels *Node) *Node {
	hit := Equal(ArgMax(logits, -1, labels.DType()), labels)
	return ReduceAllMean(ConvertDType(hit, dtypes.Float32))
}
