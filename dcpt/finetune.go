package dcpt

// finetuning trains the network to restore degraded images (SRModel in the parity README, section
// 5.2): from a pre-trained network, encoder and decoder, or from scratch as the baseline.
type finetuning struct{ config StageConfig }

func (f finetuning) scopes() []string { return []string{NetworkScope} }

func (f finetuning) losses(m modules, b batchNodes) terms {
	restored, _ := m.forward(b.lq)
	return terms{pixel: f.config.PixelLoss.Node(restored, b.gt)}
}
