package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/dcpt/metrics"
	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
)

// evaluation is what the verb eval was asked for.
type evaluation struct {
	*program
	recipe   string
	settings []string
	sets     []string
	pairs    datasets.PairedConfig
	protocol metrics.Options
	testTime dcpt.TestTime
	csv      string
	json     bool
}

func (p *program) evalCommand() *cobra.Command {
	e := evaluation{program: p, pairs: datasets.PairedConfig{Eval: true}}
	cmd := &cobra.Command{
		Use:   "eval RUN|WEIGHTS",
		Short: "Score a network: PSNR and SSIM of degraded and restored images",
		Long: `Restores test images and compares them with the clean ones, by the protocol of the
DCPT paper's tables, which is printed with the scores. A pre-trained network's
classifier is scored too.

The images are those of the run's own recipe, of another one (--recipe), of data sets
that godcpt data list knows (--benchmark NAME, in data/NAME; --benchmark NAME=DIR
elsewhere), or pairs in two folders (--lq, --gt).

Pairing rules: same (equal paths), name (equal names in any sub-folders), prefix (clean
name up to the first "_", as in SOTS), rain (rain-N with norain-N, as in Rain100L),
order (of the sorted names), or two patterns of names such as "low*=normal*".`,
		Example: `  godcpt eval runs/small
  godcpt eval model.safetensors --recipe nafnet-5d -s data.root=/data --csv scores.csv
  godcpt eval runs/small --benchmark Rain100L --benchmark SOTS/outdoor=/nas/SOTS
  godcpt eval runs/small --lq SOTS/outdoor/hazy --gt SOTS/outdoor/gt --pair prefix --y`,
		Args: arguments(1, 1, "the run or weights to score"),
		RunE: func(cmd *cobra.Command, args []string) error {
			paired := e.pairs.LQ != ""
			switch {
			case paired != (e.pairs.GT != ""):
				return usageError{errors.New("--lq and --gt belong together")}
			case paired && (e.recipe != "" || e.settings != nil || e.sets != nil):
				return usageError{errors.New("--lq and --gt name the images themselves: leave --recipe, --set and --benchmark out")}
			case e.sets != nil && (e.recipe != "" || e.settings != nil):
				return usageError{errors.New("--benchmark names the images itself: leave --recipe and --set out")}
			case !paired && cmd.Flags().Changed("pair"):
				return usageError{errors.New("--pair belongs to --lq and --gt")}
			}
			return e.run(cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&e.recipe, "recipe", "", "test sets of this `recipe`: a file or a shipped name")
	settingsFlag(cmd, &e.settings)
	flags.StringArrayVar(&e.sets, "benchmark", nil, "this published data set: `NAME[=DIR]` (may be repeated)")
	flags.StringVar(&e.pairs.LQ, "lq", "", "`folder` of degraded images")
	flags.StringVar(&e.pairs.GT, "gt", "", "`folder` of clean images")
	flags.StringVar(&e.pairs.Rule, "pair", datasets.PairSame, "which names in the two folders belong together: a `rule`, see above")
	flags.BoolVar(&e.protocol.Y, "y", false, "compare the luma instead of RGB")
	flags.IntVar(&e.protocol.CropBorder, "crop", 0, "leave out so many `pixels` at each side")
	flags.BoolVar(&e.testTime.SelfEnsemble, "self-ensemble", false, "average the results for the 8 flips and transpositions of each image")
	flags.IntVar(&e.testTime.Tile, "tile", 0, "restore square tiles of so many `pixels` instead of whole images")
	flags.IntVar(&e.testTime.TilePad, "tile-pad", 0, "read so many more `pixels` on each side of a tile")
	flags.StringVar(&e.csv, "csv", "", "write the scores of every image to this `file`")
	flags.BoolVar(&e.json, "json", false, "write JSON instead of a table")
	return cmd
}

func (e *evaluation) run(cmd *cobra.Command, path string) error {
	if err := e.testTime.Validate(); err != nil {
		return usageError{err}
	}
	weights, err := dcpt.FindWeights(path)
	if err != nil {
		return err
	}
	ds, err := e.dataset(weights)
	if err != nil {
		return err
	}
	be, err := e.openBackend()
	if err != nil {
		return err
	}
	model, err := dcpt.Load(be.Backend, weights)
	if err != nil {
		return err
	}
	defer model.Close()
	model.TestTime = e.testTime

	bar := progress.New(e.stderr, progress.Options{Title: "evaluating", Total: ds.Len(), Unit: "images", Compiles: true})
	defer bar.Stop()
	n := 0
	evaluator := dcpt.Evaluator{Restorer: model, Protocol: e.protocol, Observe: func(dcpt.ImageScore, datasets.Sample, *imageio.Image) {
		n++
		bar.Step(n)
	}}
	if model.Info.Stage == dcpt.StagePretrain { // fine-tuning has moved the features away from the classifier
		evaluator.Classifier = model
	}
	scores, err := evaluator.Evaluate(cmd.Context(), ds)
	if err != nil {
		return err
	}
	bar.Finish()
	if e.csv != "" {
		if err := runreport.WriteImagesCSV(e.csv, scores); err != nil {
			return err
		}
	}
	if e.json {
		return e.writeJSON(weights, model, scores)
	}
	return e.writeText(weights, model, scores)
}

// dataset opens the images that were asked for.
func (e *evaluation) dataset(weights string) (datasets.Dataset, error) {
	if e.pairs.LQ != "" {
		e.pairs.Class = filepath.Base(e.pairs.LQ)
		return datasets.NewPaired(e.pairs)
	}
	if e.sets != nil {
		return e.benchmarks()
	}
	name := e.recipe
	if name == "" {
		// A run's weights lie in the stage's folder, checkpoints one below.
		for _, dir := range []string{filepath.Dir(weights), filepath.Dir(filepath.Dir(weights))} {
			if file := filepath.Join(dir, "recipe.yaml"); name == "" && exists(file) {
				name = file
			}
		}
		if name == "" {
			return nil, usageError{fmt.Errorf("%s lies in no run's folder: say on what to score it, with --benchmark, --recipe, or --lq and --gt", weights)}
		}
	}
	r, err := loadRecipe(name, e.settings)
	if err != nil {
		return nil, err
	}
	return r.TestSet()
}

// benchmarks opens published data sets.
func (e *evaluation) benchmarks() (datasets.Dataset, error) {
	r := dcpt.Recipe{Name: "benchmarks", Data: dcpt.Data{Root: "data"}}
	for _, text := range e.sets {
		name, dir, _ := strings.Cut(text, "=")
		if dir != "" {
			var err error
			if dir, err = filepath.Abs(dir); err != nil { // relative to here, not to the root
				return nil, err
			}
		}
		r.Data.Test = append(r.Data.Test, dcpt.Set{Name: name, Benchmark: name, Dir: dir})
	}
	if err := r.Data.ValidateTest(); err != nil {
		return nil, usageError{err}
	}
	return r.TestSet()
}

func (e *evaluation) writeText(weights string, model *dcpt.Model, scores *dcpt.Evaluation) error {
	e.say("%s: %s of recipe %s, iteration %d", weights, model.Info.Stage, model.Info.Recipe, model.Info.Iteration)
	if err := runreport.WriteTable(e.stdout, runreport.Results("", scores), "  "); err != nil {
		return err
	}
	if scores.Confusion != nil {
		e.say("classifier: %.1f %% told rightly", 100*scores.Accuracy)
	}
	e.say("protocol")
	for _, fact := range e.protocolFacts(scores, model) {
		e.say("  %-9s %s", fact.Name, fact.Value)
	}
	return nil
}

// protocolFacts says how the scores were computed.
func (e *evaluation) protocolFacts(scores *dcpt.Evaluation, model *dcpt.Model) []report.Fact {
	passes := "one, over the whole image"
	if e.testTime.Tile > 0 {
		passes = fmt.Sprintf("over tiles of %d pixels with %d more on each side", e.testTime.Tile, e.testTime.TilePad)
	}
	if e.testTime.SelfEnsemble {
		passes += "; mean of 8 flips and transpositions"
	}
	return append(runreport.Protocol(scores.Protocol, model.Network), report.Fact{Name: "passes", Value: passes})
}

// scoreJSON is a row of the table.
type scoreJSON struct {
	Name         string           `json:"name"`
	Images       int              `json:"images"`
	PSNRDegraded runreport.Figure `json:"psnr_degraded"`
	PSNRRestored runreport.Figure `json:"psnr_restored"`
	SSIMDegraded runreport.Figure `json:"ssim_degraded"`
	SSIMRestored runreport.Figure `json:"ssim_restored"`
}

func newScoreJSON(s dcpt.SetScore) scoreJSON {
	return scoreJSON{
		s.Name, s.Images,
		runreport.Figure(s.PSNRDegraded), runreport.Figure(s.PSNRRestored), runreport.Figure(s.SSIMDegraded), runreport.Figure(s.SSIMRestored),
	}
}

func (e *evaluation) writeJSON(weights string, model *dcpt.Model, scores *dcpt.Evaluation) error {
	out := struct {
		Weights  string            `json:"weights"`
		Recipe   string            `json:"recipe"`
		Stage    string            `json:"stage"`
		Step     int               `json:"iteration"`
		Protocol map[string]string `json:"protocol"`
		Sets     []scoreJSON       `json:"sets"`
		Mean     scoreJSON         `json:"mean"`
		Accuracy *float64          `json:"classifier_accuracy,omitempty"`
	}{
		Weights: weights, Recipe: model.Info.Recipe, Stage: model.Info.Stage, Step: model.Info.Iteration,
		Protocol: map[string]string{}, Mean: newScoreJSON(scores.Mean()),
	}
	for _, fact := range e.protocolFacts(scores, model) {
		out.Protocol[fact.Name] = fact.Value
	}
	for _, s := range scores.Sets {
		out.Sets = append(out.Sets, newScoreJSON(s))
	}
	if scores.Confusion != nil {
		out.Accuracy = &scores.Accuracy
	}
	encoder := json.NewEncoder(e.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
