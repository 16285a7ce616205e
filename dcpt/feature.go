package dcpt

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Feature describes a decoder feature that a network offers to the degradation classifier.
type Feature struct {
	Module   string `json:"module"` // the PyTorch module whose output it is, to compare with the official hooks
	Channels int    `json:"channels"`
	Stride   int    `json:"stride"` // the image's sides over the feature's
}

// classifierFeatures picks the features that the classifier reads, and tells whether they are all of
// one resolution. The classifier halves the resolution from feature to feature, so of several
// features of one resolution only the last computed, the first in the list, has a place; networks
// without a pyramid (SwinIR) give features of one resolution only, which the classifier reduces
// itself. With one block in each decoder level this is what the official hooks give (parity README,
// section 5.1); with more, the official classifier fails.
func classifierFeatures(network Network) (picked []int, sameResolution bool) {
	features := network.Features()
	seen := map[int]bool{}
	for i, f := range features {
		if !seen[f.Stride] {
			seen[f.Stride] = true
			picked = append(picked, i)
		}
	}
	if len(picked) == 1 && len(features) > 1 {
		picked = picked[:0]
		for i := range features {
			picked = append(picked, i)
		}
		return picked, true
	}
	return picked, false
}

// ClassifierFeatures lists the features that the degradation classifier reads of a network.
func ClassifierFeatures(network Network) []Feature {
	picked, _ := classifierFeatures(network)
	all := network.Features()
	features := make([]Feature, len(picked))
	for i, k := range picked {
		features[i] = all[k]
	}
	return features
}

// forwardForClassifier is the network's Forward with the features that the classifier reads only.
func forwardForClassifier(network Network, scope *model.Scope, x *Node) (restored *Node, features []*Node) {
	restored, all := network.Forward(scope, x)
	picked, _ := classifierFeatures(network)
	for _, i := range picked {
		features = append(features, all[i])
	}
	return restored, features
}
