package dcpt

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// The settings that make of the tiny recipe's stages the other methods.
var (
	maskedSettings     = []string{"pretrain.method=masked", "pretrain.mask.patch=4"}
	classifierSettings = []string{"pretrain={method: classifier, steps: 6, batch: 2, patch: 16, classify_loss: {kind: CrossEntropyLoss}, classifier_optimizer: {kind: Adam, lr: 2e-3}, ema_decay: 0.5, validate_every: 3, save_every: 2}"}
	guidedSettings     = []string{"finetune.method=guided", "finetune.classify_loss={kind: CrossEntropyLoss, weight: 0.1}"}
)

// Masked pre-training draws its masks by the iteration: an interrupted run ends as one that is not.
func TestMaskedRun(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t), maskedSettings...)
	if recipe.Pretrain.Mask != (Mask{Ratio: 0.5, Patch: 4, Value: 0.5}) {
		t.Errorf("mask %+v", recipe.Pretrain.Mask)
	}
	want := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: StagePretrain, Dir: t.TempDir()})
	run := &Run{Recipe: recipe, Stage: StagePretrain, Dir: t.TempDir()}
	interruptTiny(t, run, 6)
	got := trainTiny(t, backendtest.Go(t), run)
	w, err := ReadCheckpoint(filepath.Join(want, WeightsFile))
	must(t, err)
	g, err := ReadCheckpoint(filepath.Join(got, WeightsFile))
	must(t, err)
	if !equalWeights(g.Tensors, w.Tensors) {
		t.Error("the weights differ from those of a run that was not interrupted")
	}
	direct := trainTiny(t, backendtest.Go(t), &Run{Recipe: tinyRecipe(t, recipe.Data.Root, "pretrain.method=direct"), Stage: StagePretrain, Dir: t.TempDir()})
	d, err := ReadCheckpoint(filepath.Join(direct, WeightsFile))
	must(t, err)
	if equalWeights(d.Tensors, w.Tensors) {
		t.Error("the mask has no effect")
	}
}

func TestMask(t *testing.T) {
	const n, h, w = 3, 20, 16 // squares of 8: 3 rows, the last cut, of 2
	images := make([]float32, n*h*w*3)
	for i := range images {
		images[i] = 0.75
	}
	mask := Mask{Ratio: 0.5, Patch: 8, Value: 0.25}
	masked := mask.apply(images, n, h, w, 1, 7)
	if slices.Contains(images, 0.25) {
		t.Error("the images themselves were changed")
	}
	for i := range n {
		hidden := 0
		for square := range 6 {
			top, left := square/2*8, square%2*8
			values := map[float32]bool{}
			for y := top; y < min(top+8, h); y++ {
				for x := left; x < left+8; x++ {
					for c := range 3 {
						values[masked[((i*h+y)*w+x)*3+c]] = true
					}
				}
			}
			if len(values) != 1 {
				t.Fatalf("image %d, square %d is hidden in part", i, square)
			}
			if values[0.25] {
				hidden++
			}
		}
		if hidden != 3 {
			t.Errorf("image %d: %d of 6 squares are hidden, want 3", i, hidden)
		}
	}
	if !slices.Equal(masked, mask.apply(images, n, h, w, 1, 7)) {
		t.Error("the same draw gives another mask")
	}
	if slices.Equal(masked, mask.apply(images, n, h, w, 1, 8)) && slices.Equal(masked, mask.apply(images, n, h, w, 1, 9)) {
		t.Error("other draws give the same mask")
	}
	for _, bad := range []Mask{{Ratio: 1}, {Ratio: -0.1}, {Patch: -1}, {Value: 2}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// A classifier is trained alone on a network that stays, and guides another run; a third run finds
// what it needs to do so missing.
func TestClassifierGuides(t *testing.T) {
	root := tinyData(t)
	backend := backendtest.Go(t)
	single := tinyRecipe(t, root, "data.train=[{name: noise, images: clean, degrade: {kind: noise, sigma: 25}}]", "pretrain=null")
	restorer := trainTiny(t, backend, &Run{Recipe: single, Stage: StageFinetune, Dir: t.TempDir()})

	recipe := tinyRecipe(t, root, classifierSettings...)
	if _, err := (&Run{Recipe: recipe, Stage: StagePretrain, Dir: t.TempDir()}).Train(context.Background(), backend); err == nil {
		t.Error("a classifier is trained on no network")
	} else {
		wantError(t, err, "name its weights (--from)")
	}
	guideDir := t.TempDir()
	guide := trainTiny(t, backend, &Run{Recipe: recipe, Stage: StagePretrain, Dir: guideDir, From: restorer})
	before, err := ReadCheckpoint(filepath.Join(restorer, WeightsFile))
	must(t, err)
	after, err := ReadCheckpoint(filepath.Join(guide, WeightsFile))
	must(t, err)
	if !equalWeights(after.bestWeights(NetworkScope), before.bestWeights(NetworkScope)) {
		t.Error("the frozen network has changed")
	}
	if len(after.Weights(emaPrefix+ClassifierScope)) == 0 || len(after.Weights(ClassifierScope)) != 0 {
		t.Error("the weights to use are not the moving average of the classifier")
	}
	m, err := Load(backend, guide)
	must(t, err)
	defer m.Close()
	if p, err := m.Classify(waves(20, 18, 1)); err != nil || len(p) != 2 {
		t.Errorf("probabilities %v (%v)", p, err)
	}

	guided := tinyRecipe(t, root, append(guidedSettings, "pretrain=null", "finetune.guide_label=lowlight")...)
	if _, err := (&Run{Recipe: guided, Stage: StageFinetune, Dir: t.TempDir(), From: restorer}).Train(context.Background(), backend); err == nil {
		t.Error("guided by nothing")
	} else {
		wantError(t, err, "needs a degradation classifier", "--guide")
	}
	run := &Run{Recipe: guided, Stage: StageFinetune, Dir: t.TempDir(), From: restorer, Guide: guideDir}
	interruptTiny(t, run, 6)
	result, err := ReadCheckpoint(filepath.Join(trainTiny(t, backend, run), WeightsFile))
	must(t, err)
	if !equalWeights(result.bestWeights(ClassifierScope), after.bestWeights(ClassifierScope)) {
		t.Error("the guide has changed")
	}
	if equalWeights(result.bestWeights(NetworkScope), before.bestWeights(NetworkScope)) {
		t.Error("the network has not learnt")
	}

	other := tinyRecipe(t, root, append(guidedSettings, "pretrain=null", "data.train.0.name=rain")...)
	_, err = (&Run{Recipe: other, Stage: StageFinetune, Dir: t.TempDir(), From: restorer, Guide: guide}).Train(context.Background(), backend)
	wantError(t, err, `the guide knows no degradation "rain", only noise, lowlight`, "finetune.guide_label")
}

// Settings that a method does not use, and losses that cannot be minimised, are refused.
func TestStageErrors(t *testing.T) {
	root := tinyData(t)
	for _, test := range []struct{ setting, want string }{
		{"pretrain.method=restore", "pretrain: unknown training method"},
		{"finetune.method=dcpt", "finetune: unknown training method"},
		{"pretrain.mask.ratio=0.5", "mask has no effect with method dcpt"},
		{"pretrain.guide_label=noise", "guide_label has no effect with method dcpt"},
		{"finetune.classify_loss={kind: FocalLoss}", "classify_loss has no effect with method restore"},
		{"finetune.classifier_optimizer={kind: Adam, lr: 1}", "classifier_optimizer has no effect with method restore"},
		{"pretrain.method=classifier", "pixel_loss has no effect with method classifier"},
		{"finetune.method=guided", "classification loss: the kind is missing"},
		{"finetune.pixel_loss.reduction=none", "gives no single number"},
		{"pretrain.classify_loss.reduction=none", "gives no single number"},
	} {
		_, err := ParseRecipe([]byte(tinyYAMLIn(root)), test.setting)
		wantError(t, err, test.want)
	}
}

// A baseline passes as many pixels through the network as pre-training and fine-tuning together.
func TestBaseline(t *testing.T) {
	root := tinyData(t)
	recipe := tinyRecipe(t, root)
	b, err := recipe.Baseline()
	must(t, err)
	// Pre-training: 12 steps of 2 images, each twice. Fine-tuning: steps of 2 passes of 2 images.
	if b.Finetune.Steps != 24 || b.Pretrain != nil || b.Name != "tiny-baseline" {
		t.Errorf("%s: %d steps", b.Name, b.Finetune.Steps)
	}
	if !slices.Equal(b.Finetune.Schedule.Milestones, []int{10}) {
		t.Errorf("milestones %v, want 10", b.Finetune.Schedule.Milestones)
	}
	if recipe.Finetune.Steps != 12 || recipe.Pretrain == nil || recipe.Finetune.Schedule.Milestones[0] != 5 {
		t.Error("the recipe itself was changed")
	}
	single, err := recipe.Only("noise")
	must(t, err)
	if len(single.Data.Train) != 1 || len(single.Data.Test) != 1 || single.Pretrain != nil || len(recipe.Data.Train) != 2 {
		t.Errorf("single task: %+v", single.Data)
	}
	if _, err := recipe.Only("nose"); err == nil {
		t.Error("an unknown degradation is accepted")
	}
	_, err = tinyRecipe(t, root, classifierSettings...).Baseline()
	wantError(t, err, "trains no network, only a classifier")
	if _, err := b.Baseline(); err == nil {
		t.Error("a baseline has a baseline")
	}
}

// Every method trains every architecture, and only what it is to train.
func TestMethodsOnEveryNetwork(t *testing.T) {
	backend := backendtest.Go(t)
	for _, arch := range Architectures() {
		for _, method := range slices.Concat(stageMethods[StagePretrain], stageMethods[StageFinetune]) {
			t.Run(arch+"/"+method, func(t *testing.T) {
				network, err := NewNetwork(smallNetworks[arch][0])
				must(t, err)
				config := methodConfig(method, 2*network.SizeMultiple())
				config.Patch = max(config.Patch, 16)
				store := networkStore(t, backend, network)
				classifier := Classifier{Blocks: 1}.Complete(network, 3)
				must(t, InitClassifier(backend, store, ClassifierScope, classifier))
				before := snapshot(t, store)
				trainer, err := NewTrainer(backend, store, network, classifier, config)
				must(t, err)
				defer trainer.Close()
				result, err := trainer.Step(squareBatch(2, config.Patch, 1))
				must(t, err)
				after := snapshot(t, store)
				for scope, trained := range map[string]bool{NetworkScope: config.trainsNetwork(), ClassifierScope: config.trainsClassifier()} {
					if changed := !equalWeights(before[scope], after[scope]); changed != trained {
						t.Errorf("the weights below %s changed: %t", scope, changed)
					}
				}
				if (result.Pixel > 0) != config.trainsNetwork() || (result.Classify > 0) != config.classifies() {
					t.Errorf("losses: pixel %v, classification %v", result.Pixel, result.Classify)
				}
			})
		}
	}
}

// methodConfig is a stage with what its method needs and nothing else.
func methodConfig(method string, patch int) StageConfig {
	c := StageConfig{Method: method, Steps: 1, Batch: 2, Patch: patch}
	if c.trainsNetwork() {
		c.PixelLoss, c.Optimizer = PixelLoss{Kind: lossL1}, Optimizer{LR: 1e-3}
	}
	if c.classifies() {
		c.ClassifyLoss = ClassifyLoss{Kind: lossFocal, Gamma: 2}
	}
	if c.trainsClassifier() {
		c.ClassifierOptimizer = Optimizer{LR: 1e-3}
	}
	return c.complete()
}

func snapshot(t *testing.T, store *model.Store) map[string]Weights {
	t.Helper()
	weights := map[string]Weights{}
	for _, scope := range []string{NetworkScope, ClassifierScope} {
		w, err := ExportWeights(store, scope)
		must(t, err)
		weights[scope] = w
	}
	return weights
}
