// Package dcpt implements DCPT, Universal Image Restoration Pre-training via Degradation
// Classification (ICLR 2025, arXiv 2501.15510), on GoMLX and XLA: restoration networks, the
// degradation classifier, pre-training, fine-tuning, evaluation and restoring.
//
// To use trained weights, open a backend (OpenBackend), Load a model and call Restore or Classify. To
// train, load a Recipe and call Run.Train for each of its stages; a run that was interrupted goes on
// when it is called again. A new network implements Network and is registered in network.go.
//
// Images are NHWC float32 RGB in [0, 1]. Where the paper's text and the official PyTorch code differ,
// the code is followed; parity tests compare networks, gradients, losses, schedules and whole
// training runs with vectors computed by it.
package dcpt
