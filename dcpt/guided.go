package dcpt

import (
	"fmt"
	"slices"
	"strings"
)

// guidedTraining is DC-guided training (paper section 3.3; DCDistModel in the parity README, section
// 5.2): the network learns to restore while a classifier that stays as it is must still tell the
// degradation of the input from its features. The classifier's knowledge of one network's features
// so reaches another network or another degradation.
type guidedTraining struct{ config StageConfig }

func (g guidedTraining) scopes() []string { return []string{NetworkScope} }

func (g guidedTraining) losses(m modules, b batchNodes) terms {
	restored, features := m.forward(b.lq)
	logits := m.classify(b.lq, features)
	return terms{
		pixel:    g.config.PixelLoss.Node(restored, b.gt),
		classify: g.config.ClassifyLoss.Node(logits, b.labels),
		accuracy: accuracy(logits, b.labels),
	}
}

// guideLabels returns the guide's label for each label of the data: the degradation of the same name,
// or one for all of them.
func guideLabels(config StageConfig, data, guide []string) ([]int32, error) {
	labels := make([]int32, len(data))
	for i, name := range data {
		if config.GuideLabel != "" {
			name = config.GuideLabel
		}
		k := slices.Index(guide, name)
		if k < 0 {
			return nil, fmt.Errorf("the guide knows no degradation %q, only %s: name the data sets so, or set finetune.guide_label to one of them", name, strings.Join(guide, ", "))
		}
		labels[i] = int32(k)
	}
	return labels, nil
}
