package dcpt

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// traceCase is a recorded training run of the official code.
type traceCase struct {
	Case          string
	ModelClass    string       `json:"model_class"`
	ArchitectureG constructor  `json:"architecture_g"`
	ArchitectureD *constructor `json:"architecture_dc"`
	From          string       `json:"initial_weights_and_batches_from"`
	WarmupIter    int          `json:"warmup_iter"`
	Options       struct {
		GradClip *float64 `json:"grad_clip"`
		Label    *int32   `json:"dataset_idx"` // which all images count as
		Train    struct {
			OptimG    *traceOptimizer `json:"optim_g"`
			OptimD    *traceOptimizer `json:"optim_dc"`
			Scheduler struct {
				Type           string
				Periods        []int
				RestartWeights []float64       `json:"restart_weights"`
				EtaMin         json.RawMessage `json:"eta_min"`
				Milestones     []int
				Gamma          float64
			}
			Pixel    *traceLoss `json:"pixel_opt"`
			Classify *traceLoss `json:"classify_opt"`
			EMADecay float64    `json:"ema_decay"`
		}
	}
	Steps []struct {
		Iter     int
		LR       []float64 `json:"lr_per_optimizer"`
		Pixel    float64   `json:"l_pix"`
		Guided   float64   `json:"l_pixel"` // the same, in DCDistModel
		Classify float64   `json:"l_classify"`
		Total    float64   `json:"total"`
		NormG    float64   `json:"grad_l2_net_g"`
		NormD    float64   `json:"grad_l2_net_dc"`
	}
	Tolerance struct {
		Losses  float64 `json:"losses_abs"`
		Weights float64 `json:"final_weights_relative_update_l2"`
		Grad    float64 `json:"first_step_grad_l2_rel"`
	}
}

type traceOptimizer struct {
	Type        string
	LR          float64
	Betas       [2]float64
	Eps         float64
	WeightDecay *float64 `json:"weight_decay"`
}

type traceLoss struct {
	Type       string
	LossWeight float64 `json:"loss_weight"`
	Reduction  string
	Gamma      float64
	Eps        float64
	Delta      float64
	Beta       float64
	ToY        bool
}

func (o *traceOptimizer) config() Optimizer {
	if o == nil {
		return Optimizer{}
	}
	return Optimizer{Kind: o.Type, LR: o.LR, Betas: o.Betas, Eps: o.Eps, WeightDecay: o.WeightDecay}
}

// stage maps the official model class and options to a stage; classes that are not supported are skipped.
func (c traceCase) stage(t *testing.T) StageConfig {
	t.Helper()
	methods := map[string]string{"DCPTModel": MethodDCPT, "DCTModel": MethodDirect, "SRModel": MethodRestore,
		"DCDistModel": MethodGuided, "DCModel": MethodClassifier}
	method, ok := methods[c.ModelClass]
	if !ok {
		t.Skipf("training model %s is not supported", c.ModelClass)
	}
	train := c.Options.Train
	s := StageConfig{
		Method: method, Steps: len(c.Steps), Batch: 1, Patch: 32, // batch and patch are the batches' own
		Optimizer: train.OptimG.config(), ClassifierOptimizer: train.OptimD.config(), EMADecay: train.EMADecay,
		Schedule: Schedule{
			Kind: train.Scheduler.Type, Periods: train.Scheduler.Periods, RestartWeights: train.Scheduler.RestartWeights,
			Milestones: train.Scheduler.Milestones, Gamma: train.Scheduler.Gamma, WarmupIter: c.WarmupIter,
		},
	}
	if len(train.Scheduler.EtaMin) > 0 {
		var one float64
		if json.Unmarshal(train.Scheduler.EtaMin, &one) == nil {
			s.Schedule.EtaMin = []float64{one}
		} else {
			must(t, json.Unmarshal(train.Scheduler.EtaMin, &s.Schedule.EtaMin))
		}
	}
	if p := train.Pixel; p != nil {
		s.PixelLoss = PixelLoss{Kind: p.Type, Weight: p.LossWeight, Reduction: p.Reduction, Eps: p.Eps, Delta: p.Delta, Beta: p.Beta, ToY: p.ToY}
	}
	if p := train.Classify; p != nil {
		s.ClassifyLoss = ClassifyLoss{Kind: p.Type, Weight: p.LossWeight, Reduction: p.Reduction, Gamma: p.Gamma}
	}
	if c.Options.GradClip != nil {
		s.GradClip = *c.Options.GradClip
	}
	return s
}

// TestParityTraces trains as the official code did, from its weights on its batches.
func TestParityTraces(t *testing.T) {
	for _, folder := range paritytest.Cases(t, "trace_") {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			t.Run("xla", func(t *testing.T) {
				if testing.Short() {
					t.Skip("takes long")
				}
				testTrace(t, backendtest.ForTest(t), folder)
			})
			if fitsGoBackend(folder, "final_net_g.safetensors") {
				t.Run("go", func(t *testing.T) { testTrace(t, backendtest.Go(t), folder) })
			}
		})
	}
}

func testTrace(t *testing.T, backend compute.Backend, folder string) {
	var c traceCase
	paritytest.Case(t, folder, &c)
	config := c.stage(t)
	source := folder
	if c.From != "" {
		source = filepath.Join(filepath.Dir(folder), c.From)
	}
	network := c.ArchitectureG.network(t, c.ArchitectureG.Type)
	initialG := Weights(readVectors(t, filepath.Join(source, "initial_net_g.safetensors")))
	store := model.NewStore()
	must(t, InitNetwork(backend, store, NetworkScope, network))
	must(t, ImportWeights(store, NetworkScope, initialG))
	var classifier Classifier
	var initialD Weights
	if config.classifies() {
		classifier = c.ArchitectureD.classifier(t, c.ArchitectureD.Type)
		initialD = readVectors(t, filepath.Join(source, "initial_net_dc.safetensors"))
		must(t, InitClassifier(backend, store, ClassifierScope, classifier))
		must(t, ImportWeights(store, ClassifierScope, initialD))
	}
	trainer, err := NewTrainer(backend, store, network, classifier, config)
	must(t, err)
	defer trainer.Close()
	if label := c.Options.Label; label != nil {
		trainer.Relabel = slices.Repeat([]int32{*label}, classifier.Classes)
	}

	batches := readVectors(t, filepath.Join(source, "data.safetensors"))
	for i, want := range c.Steps {
		got, err := trainer.Step(traceBatch(t, batches, i+1))
		must(t, err)
		for _, pair := range []struct {
			name      string
			got, want float64
		}{{"pixel loss", got.Pixel, want.Pixel + want.Guided}, {"classification loss", got.Classify, want.Classify}, {"total", got.Total, want.Total}} {
			if !(math.Abs(pair.got-pair.want) <= c.Tolerance.Losses) {
				t.Errorf("iteration %d: %s %v, want %v within %v", want.Iter, pair.name, pair.got, pair.want, c.Tolerance.Losses)
			}
		}
		for k, rate := range want.LR {
			if math.Abs(got.LearningRates[k]-rate) > 1e-9*rate {
				t.Errorf("iteration %d: learning rate %d is %v, want %v", want.Iter, k, got.LearningRates[k], rate)
			}
		}
		if i > 0 {
			continue
		}
		norm := got.GradNorm
		if config.GradClip > 0 { // the trace records the norm after clipping
			norm *= min(1, config.GradClip/(norm+1e-6))
		}
		if math.Abs(norm-want.NormG) > c.Tolerance.Grad*want.NormG {
			t.Errorf("gradient norm of the network %v, want %v", norm, want.NormG)
		}
		if math.Abs(got.ClassifyNorm-want.NormD) > c.Tolerance.Grad*want.NormD {
			t.Errorf("gradient norm of the classifier %v, want %v", got.ClassifyNorm, want.NormD)
		}
	}
	if !config.trainsNetwork() {
		unchanged(t, store, NetworkScope, initialG)
	} else {
		compareUpdate(t, store, NetworkScope, filepath.Join(folder, "final_net_g.safetensors"), initialG, c.Tolerance.Weights)
	}
	if config.trainsClassifier() {
		compareUpdate(t, store, ClassifierScope, filepath.Join(folder, "final_net_dc.safetensors"), initialD, c.Tolerance.Weights)
	} else if config.classifies() {
		unchanged(t, store, ClassifierScope, initialD)
	}
	if config.EMADecay > 0 && !config.trainsNetwork() {
		compareUpdate(t, store, emaPrefix+ClassifierScope, filepath.Join(folder, "final_net_dc_ema.safetensors"), initialD, c.Tolerance.Weights)
	} else if config.EMADecay > 0 {
		compareUpdate(t, store, EMAScope, filepath.Join(folder, "final_net_g_ema.safetensors"), initialG, c.Tolerance.Weights)
	}
}

// unchanged checks that frozen weights have not moved by a bit.
func unchanged(t *testing.T, store *model.Store, scope string, initial Weights) {
	t.Helper()
	got, err := ExportWeights(store, scope)
	must(t, err)
	if !equalWeights(got, initial) {
		t.Errorf("%s: frozen weights have changed", scope)
	}
}

// compareUpdate checks norm(w-want) <= tolerance * norm(want-initial) over all weights below scope.
func compareUpdate(t *testing.T, store *model.Store, scope, path string, initial Weights, tolerance float64) {
	t.Helper()
	got, err := ExportWeights(store, scope)
	must(t, err)
	want := readVectors(t, path)
	if len(got) != len(want) {
		t.Errorf("%s: %d weights, want %d", scope, len(got), len(want))
	}
	off, moved := 0.0, 0.0
	for name := range want {
		g, _ := got[name].Float32()
		w, _ := want[name].Float32()
		start, _ := initial[name].Float32()
		if len(g) != len(w) || len(start) != len(w) {
			t.Fatalf("%s: weight %s has another size", scope, name)
		}
		for i := range w {
			off += math.Pow(float64(g[i]-w[i]), 2)
			moved += math.Pow(float64(w[i]-start[i]), 2)
		}
	}
	if ratio := math.Sqrt(off / moved); !(ratio <= tolerance) {
		t.Errorf("%s: final weights are off by %.3g of the update, tolerance %.3g", scope, ratio, tolerance)
	}
}

func traceBatch(t *testing.T, vectors map[string]torch.Tensor, step int) *datasets.Batch {
	t.Helper()
	lq := toNHWC(t, vectors[fmt.Sprintf("step%d.lq", step)])
	gt := toNHWC(t, vectors[fmt.Sprintf("step%d.gt", step)])
	d := lq.Shape().Dimensions
	batch := &datasets.Batch{
		N: d[0], H: d[1], W: d[2],
		LQ: tensors.MustCopyFlatData[float32](lq), GT: tensors.MustCopyFlatData[float32](gt),
		Labels: make([]int32, d[0]),
	}
	if ids, ok := vectors[fmt.Sprintf("step%d.dataset_idx", step)]; ok {
		labels, err := ids.Int64()
		must(t, err)
		for i, l := range labels {
			batch.Labels[i] = int32(l)
		}
	}
	return batch
}
