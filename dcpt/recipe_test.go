package dcpt

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRecipeErrors(t *testing.T) {
	for _, test := range []struct {
		settings string // separated by blanks
		want     string
	}{
		// Keys.
		{"nam=x", `unknown key "nam" (did you mean "name"?); known: name, description, seed, network,`},
		{"pretrain.stepz=3", `pretrain: unknown key "stepz" (did you mean "steps"?)`},
		{"finetune.optimizer.learning_rate=3", `finetune.optimizer: unknown key "learning_rate"; known: kind, lr, betas, eps, weight_decay`},
		{"data.train.0.imges=x", `data.train.0: unknown key "imges" (did you mean "images"?)`},
		{"data.test.1.enlarg=2", `data.test.1: unknown key "enlarg" (did you mean "enlarge"?)`},
		{"network.widht=3", `network nafnet: unknown key "widht" (did you mean "width"?); known: width, enc_blocks, middle_blocks, dec_blocks`},
		{"data.train.0.degrade.sigm=3", `data set noise: unknown parameter of degradation noise "sigm" (did you mean "sigma"?)`},

		// Names.
		{"data.train.0.degrade.kind=noize", `data set noise: unknown degradation "noize" (did you mean "noise"?)`},
		{"data.train.0.degrade={sigma:3}", "data set noise: degrade has no kind; known: noise, rain"},
		{"network.arch=nafnett", `unknown network architecture "nafnett" (did you mean "nafnet"?)`},
		{"network.preset=nafnet-5dd", `unknown network preset "nafnet-5dd" (did you mean "nafnet-5d"?)`},
		{"network.preset=nafnet-tiny network.arch=swinir", `network preset "nafnet-tiny" is a nafnet, not a swinir: leave arch out`},
		{"network={}", "no network named: give preset"},
		{"pretrain.method=dct", `pretrain: unknown training method "dct" (did you mean "dcpt"?); known: dcpt, direct, masked, classifier`},
		{"pretrain.optimizer.kind=Adm", `pretrain: unknown optimizer "Adm" (did you mean "Adam"?)`},
		{"finetune.schedule.kind=MultiStep", `finetune: unknown schedule "MultiStep" (did you mean "MultiStepLR"?)`},
		{"finetune.pixel_loss.kind=L2Loss", `finetune: unknown pixel loss "L2Loss" (did you mean "L1Loss"?)`},
		{"pretrain.classify_loss.kind=FocaLoss", `pretrain: unknown classification loss "FocaLoss" (did you mean "FocalLoss"?)`},

		// Types.
		{"seed=abc", "seed is abc; it must be a whole number"},
		{"seed=1.5", "seed is 1.5; it must be a whole number"},
		{"pretrain.steps=2.5", "pretrain.steps is 2.5; it must be a whole number"},
		{"pretrain.steps=[2]", "pretrain.steps is [2]; it must be a whole number"},
		{"network.width=wide", "network nafnet: width is wide; it must be a whole number"},
		{"network.width=1.5", "network nafnet: width is 1.5; it must be a whole number"},
		{"network.enc_blocks=1", "network nafnet: enc_blocks is 1; it must be a list"},
		{"pretrain.optimizer.lr=fast", "pretrain.optimizer.lr is fast; it must be a number"},
		{"pretrain.optimizer.betas=[0.9]", "pretrain.optimizer.betas is [0.9]; it must be a list of 2"},
		{"pretrain.optimizer.betas=[0.9,0.9,0.9]", "pretrain.optimizer.betas is [0.9 0.9 0.9]; it must be a list of 2"},
		{"pretrain.pixel_loss=L1Loss", "pretrain.pixel_loss is L1Loss; it must be keys with values"},
		{"pretrain=3", "pretrain is 3; it must be keys with values"},
		{"data.train={}", "data.train is map[]; it must be a list"},
		{"network=nafnet", "network is nafnet; it must be keys with values"},
		{"name=[x]", "name is [x]; it must be a text"},
		{"finetune.pixel_loss.to_y=3", "finetune.pixel_loss.to_y is 3; it must be true or false"},

		// Values.
		{"name=", "the recipe has no name"},
		{"pretrain= finetune=", "the recipe has no stage"},
		{"data.train=[]", "data: no training set"},
		{"data.train.0.name=", "data: a set has no name"},
		{"data.train.0.enlarge=-1", "data set noise: enlarge is -1"},
		{"data.train.0.lq=x", "data set noise: give images and degrade, or lq and gt"},
		{"data.train.0.degrade=", "data set noise: images and degrade belong together"},
		{"data.train.0={name:pairs,lq:x}", "data set pairs: lq and gt belong together"},
		{"data.train.0.pair=rain", "data set noise: pair belongs to lq and gt"},
		{"network.width=0", "network nafnet: width is 0: must be at least 1"},
		{"network.enc_blocks=[1,2]", "network nafnet: 2 encoder and 1 decoder levels"},
		{"network.dec_blocks=[-1]", "network nafnet: a level has -1 blocks"},
		{"pretrain.steps=0", "pretrain: steps is 0; it must be at least 1"},
		{"finetune.accumulate=-1", "finetune: accumulate is -1; it must not be negative"},
		{"pretrain.patch=7", "pretrain: patch is 7; the network needs a multiple of 2"},
		{"finetune.ema_decay=1", "finetune: ema_decay is 1; it must be in [0, 1)"},
		{"finetune.ema_decay=.nan", "finetune: ema_decay is NaN"},
		{"finetune.grad_clip=-1", "finetune: grad_clip is -1"},
		{"pretrain.optimizer.lr=0", "pretrain: optimizer AdamW: lr is 0; it must be positive"},
		{"pretrain.optimizer.lr=.inf", "pretrain: optimizer AdamW: lr is +Inf"},
		{"pretrain.classifier_optimizer.lr=-1", "pretrain: optimizer Adam: lr is -1"},
		{"pretrain.optimizer.betas=[0.9,1]", "betas are [0.9 1]; they must be in [0, 1)"},
		{"pretrain.optimizer.weight_decay=-1", "weight_decay -1"},
		{"pretrain.schedule.periods=[3]", "the periods cover 3 iterations, fewer than the run's 12"},
		{"finetune.pixel_loss.delta=1", "pixel loss CharbonnierLoss: delta belongs to HuberLoss"},
		{"classifier.blocks=-1", "classifier: blocks is -1"},
		{"classifier.classes=3", "classifier: classes is 3, the training sets have 2 names (noise, lowlight): leave classes out"},
		{"classifier.feature_dims=[8]", "classifier: feature_dims are [8], the network's features have [4] channels"},
		{"data.train.1.name=noise", "classifier: 1 classes: there must be at least 2"},

		// How sets are mixed.
		{"data.sampling=balancd", `data: unknown sampling "balancd" (did you mean "balanced"?); known: concat, balanced, weighted`},
		{"data.epoch=9", "data: epoch is of sampling balanced or weighted"},
		{"data.sampling=balanced data.epoch=-9", "data: epoch is -9"},
		{"data.sampling=weighted data.train.0.weight=1", "data set lowlight: weight is 0; with sampling weighted each"},
		{"data.sampling=weighted data.train.0.weight=-1", "data set noise: weight is -1"},
		{"data.sampling=weighted data.train.0.weight=1 data.train.0.enlarge=2", "data set noise: enlarge has no effect with sampling weighted"},
		{"data.sampling=balanced data.train.0.weight=1", "data set noise: weight belongs to sampling weighted"},
		{"data.train.1.weight=1", "data set lowlight: weight belongs to sampling weighted"},
		{"data.train.1.weight=much", "data.train.1.weight is much; it must be a number"},
		{"data.test.1.weight=1", "test set lowlight: patch and weight are of training sets"},
		{"data.test.0.patch=16", "test set noise: patch and weight are of training sets"},
		{"data.train.1.patch=17", "data set lowlight: patch is 17; the network needs a positive multiple of 2"},
		{"data.train.1.patch=-2", "data set lowlight: patch is -2"},
		{"data.max_broken=1.1", "data: max_broken is 1.1; it must be in [0, 1]"},
		{"data.max_broken=.nan", "data: max_broken is NaN"},
		{"data.cache=much", `data: cache: "much" is no size: give a number and a unit, such as 800MB or 4GiB`},
		{"data.cache=4", `data: cache: "4" is no size`},

		// Settings.
		{"pretrain.steps", `setting "pretrain.steps": must have the form key=value`},
		{"pretrain.steps=[2", `setting "pretrain.steps=[2": the value is not valid YAML`},
		{"pretrain.steps.x=3", "pretrain.steps is a value, it has no \"x\""},
		{"data.train.7.name=x", `"7" is not the number of an entry: data.train has 2, counted from 0`},
		{"data.train.-1.name=x", `"-1" is not the number of an entry`},
		{"data.train.first.name=x", `"first" is not the number of an entry`},
		{"=3", `unknown key ""`},
	} {
		t.Run(test.settings, func(t *testing.T) {
			_, err := ParseRecipe(fmt.Appendf(nil, tinyYAML, "x"), strings.Fields(test.settings)...)
			wantError(t, err, test.want)
		})
	}
}

func TestRecipeNotYAML(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "no network named",
		"# nothing":          "no network named",
		"[1, 2]":             "not valid YAML: [1:1]",
		"just words":         "not valid YAML",
		"name: x\nname: y\n": `"name" already defined`,
		"name: x\n\tseed: 1": "not valid YAML: [2:1]",
	} {
		for _, settings := range [][]string{nil, {"seed=1"}} {
			_, err := ParseRecipe([]byte(text), settings...)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want %q", text, err, want)
			}
		}
	}
}

func TestLoadRecipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	_, err := LoadRecipe(path)
	wantError(t, err, "cannot read the recipe", path)
	must(t, os.WriteFile(path, fmt.Appendf(nil, tinyYAML, "x"), 0o644))
	_, err = LoadRecipe(path, "sed=1")
	wantError(t, err, "recipe "+path, `unknown key "sed" (did you mean "seed"?)`)
	r, err := LoadRecipe(path, "seed=1", "seed=2")
	must(t, err)
	if r.Seed != 2 {
		t.Errorf("seed %d, want that of the last setting", r.Seed)
	}
}

// Settings reach every corner of a recipe.
func TestSettings(t *testing.T) {
	r := tinyRecipe(t, "x",
		"data.train.1.enlarge=3",
		"data.train.0.degrade.sigma=[1, 2]",
		"data.test.0={name: mine, lq: a, gt: b, pair: rain}",
		"pretrain.optimizer.lr=5e-4",
		"pretrain.optimizer.weight_decay=0",
		"finetune.schedule={}",
		"finetune.grad_clip=",
		"network={preset: nafnet-tiny, width: 8}",
		"pretrain.patch=32", "finetune.patch=32",
		"description=two words",
		"data.cache=0", "data.max_broken=0",
	)
	if got := r.Data.Train[1].Enlarge; got != 3 {
		t.Errorf("enlarge %d", got)
	}
	if got := fmt.Sprint(r.Data.Train[0].Degrade["sigma"]); got != "[1 2]" {
		t.Errorf("sigma %s", got)
	}
	if got, want := r.Data.Test[0], (Set{Name: "mine", LQ: "a", GT: "b", Pair: "rain"}); !reflect.DeepEqual(got, want) {
		t.Errorf("set %+v, want %+v", got, want)
	}
	if o := r.Pretrain.Optimizer; o.LR != 5e-4 || *o.WeightDecay != 0 || o.Betas != [2]float64{0.9, 0.9} {
		t.Errorf("optimizer %+v", o)
	}
	if !reflect.DeepEqual(r.Finetune.Schedule, Schedule{}) || r.Finetune.GradClip != 0 {
		t.Errorf("schedule %+v, clip %v", r.Finetune.Schedule, r.Finetune.GradClip)
	}
	network, err := NewNetwork(r.Network)
	must(t, err)
	want := *nafnetPresets["nafnet-tiny"]
	want.Width = 8
	if !reflect.DeepEqual(network, &want) {
		t.Errorf("network %+v, want %+v", network, want)
	}
	if r.Data.cacheBytes() != 0 || r.Data.maxBroken(1000) != 0 {
		t.Errorf("cache %q, %d damaged files", r.Data.Cache, r.Data.maxBroken(1000))
	}
	if r.Description != "two words" {
		t.Errorf("description %q", r.Description)
	}
	if nafnetPresets["nafnet-tiny"].Width == 8 {
		t.Error("the preset itself was changed")
	}
}

// What is written of a recipe reads as the same recipe, and is the same text each time: a run compares
// it with the one in its folder.
func TestRecipeRoundTrip(t *testing.T) {
	recipes := map[string]*Recipe{
		"tiny": tinyRecipe(t, "x"),
		"zeros and extremes": tinyRecipe(t, `C:\it's "here": #1`,
			"seed=-3", "pretrain.optimizer.weight_decay=0", "pretrain.optimizer.lr=1e30", "pretrain.schedule.warmup_iter=-1",
			"finetune.optimizer.betas=[0, 0]", "finetune.optimizer.eps=1e-30", "finetune.schedule={}", "description=\"1e5\"", "name=007"),
	}
	recipes["mixed"] = tinyRecipe(t, "x", "data.sampling=weighted", "data.epoch=7", "data.max_broken=0", "data.cache=1.5 GiB",
		"data.train.0.weight=1", "data.train.1.weight=0.25", "data.train.1.patch=32")
	files, err := filepath.Glob(filepath.Join("..", "recipes", "*.yaml"))
	must(t, err)
	if len(files) < 2 {
		t.Errorf("only %d recipes are shipped", len(files))
	}
	for _, file := range files {
		if recipes[file], err = LoadRecipe(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range sortedKeys(recipes) {
		r := recipes[name]
		text, err := r.YAML()
		must(t, err)
		again, err := ParseRecipe(text)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		// Whole numbers in free-form maps change their Go type; texts tell what values are.
		if !reflect.DeepEqual(plain(r), plain(again)) {
			t.Errorf("%s:\n%+v\nbecame\n%+v", name, r, again)
		}
		for range 20 { // maps have no order
			same, err := again.YAML()
			must(t, err)
			if string(same) != string(text) {
				t.Fatalf("%s:\n%s\nbecame\n%s", name, text, same)
			}
		}
	}
}

// plain is a recipe whose free-form maps are texts.
func plain(r *Recipe) Recipe {
	p := *r
	p.Network = NetworkConfig{"": fmt.Sprint(r.Network)}
	for _, sets := range []*[]Set{&p.Data.Train, &p.Data.Test} {
		var copied []Set
		for _, s := range *sets {
			s.Degrade = map[string]any{"": fmt.Sprint(s.Degrade)}
			copied = append(copied, s)
		}
		*sets = copied
	}
	return p
}

func TestRecipeStage(t *testing.T) {
	r := tinyRecipe(t, "x", "pretrain=")
	_, err := r.Stage("finetun")
	wantError(t, err, `unknown stage "finetun" (did you mean "finetune"?)`)
	_, err = r.Stage(StagePretrain)
	wantError(t, err, "recipe tiny has no stage pretrain")
	if c, err := r.Stage(StageFinetune); err != nil || c.Steps != 12 {
		t.Errorf("%+v, %v", c, err)
	}
}

// The sets of one name are one class; a relative folder is below the root.
func TestRecipeData(t *testing.T) {
	root := tinyData(t)
	r := tinyRecipe(t, root,
		"data.train.1.name=noise",
		"data.train.1.enlarge=2",
		"pretrain=",
		"data.test.0={name: pairs, lq: clean, gt: clean}",
	)
	train, err := r.TrainingSet(16)
	must(t, err)
	if classes := train.Classes(); !reflect.DeepEqual(classes, []string{"noise"}) || train.Len() != 3+2*3 {
		t.Errorf("%d samples of %q, want 9 of noise", train.Len(), classes)
	}
	s, err := train.Sample(0, 8)
	must(t, err)
	if s.LQ.W != 16 || s.LQ.H != 16 || s.Label != 0 || !strings.HasPrefix(s.Name, root) {
		t.Errorf("sample of %dx%d, label %d, from %s", s.LQ.W, s.LQ.H, s.Label, s.Name)
	}
	test, err := r.TestSet()
	must(t, err)
	if classes := test.Classes(); !reflect.DeepEqual(classes, []string{"pairs", "lowlight"}) || test.Len() != 3+1 {
		t.Errorf("%d samples of %q, want 4 of pairs and lowlight", test.Len(), classes)
	}
	if s, err := test.Sample(0, 1); err != nil || s.LQ.W != 33 || s.LQ.H != 18 {
		t.Errorf("whole picture of %dx%d (%v), want 33x18", s.LQ.W, s.LQ.H, err)
	}
	validation, err := r.ValidationSet(10)
	must(t, err)
	if s, err := validation.Sample(0, 3); err != nil || s.LQ.W != 10 || s.LQ.H != 10 {
		t.Errorf("crop of %dx%d (%v), want 10x10", s.LQ.W, s.LQ.H, err)
	}

	r.Data.Test = nil
	_, err = r.TestSet()
	wantError(t, err, "recipe tiny names no test set")
	r.Data.Train[0].Images = "sample:trian"
	_, err = r.TrainingSet(16)
	wantError(t, err, "data set noise", `unknown sample set "trian" (did you mean "train"?)`)
}
