package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
)

// training is what the verbs pretrain and finetune share.
type training struct {
	*program
	stage    string
	out      string
	from     string
	guide    string
	only     string
	baseline bool
	settings []string
}

func (t *training) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.out, "out", "o", "", "the run `folder` (default runs/ and the recipe's name)")
	cmd.Flags().StringVar(&t.from, "from", "", "`weights` to start from: a file, also of PyTorch, or the folder of a run or stage")
	settingsFlag(cmd, &t.settings)
}

// recipe reads the recipe, and makes of it what the flags ask for.
func (t *training) recipe(name string) (*dcpt.Recipe, error) {
	recipe, err := loadRecipe(name, t.settings)
	if err == nil && t.baseline {
		recipe, err = recipe.Baseline()
	}
	if err == nil && t.only != "" {
		recipe, err = recipe.Only(t.only)
	}
	if err == nil {
		_, err = recipe.Stage(t.stage)
	}
	if err == nil && t.guide != "" && recipe.Finetune.Method != dcpt.MethodGuided {
		err = fmt.Errorf("a guide is for method guided, the fine-tuning of this recipe has %s: add -s finetune.method=guided and -s 'finetune.classify_loss={kind: CrossEntropyLoss, weight: 0.1}'", recipe.Finetune.Method)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return recipe, nil
}

func (t *training) run(cmd *cobra.Command, args []string) error {
	recipe, err := t.recipe(args[0])
	if err != nil {
		return err
	}
	if t.out == "" {
		t.out = filepath.Join("runs", recipe.Name)
	}
	for _, weights := range []string{t.from, t.guide} {
		if weights == "" {
			continue
		}
		if _, err := dcpt.FindWeights(weights); err != nil {
			return err
		}
	}
	run := &dcpt.Run{Recipe: recipe, Stage: t.stage, Dir: t.out, From: t.from, Guide: t.guide, Out: t.stdout}
	dir := filepath.Join(t.out, t.stage)
	finished := exists(filepath.Join(dir, dcpt.WeightsFile))
	be, err := t.openBackend()
	if err != nil {
		return err
	}
	t.say("%s", runreport.Backend(be))
	clock, err := runreport.StartClock(dir)
	if err != nil {
		return err
	}
	model, err := run.Train(cmd.Context(), be.Backend)
	if err != nil {
		return errors.Join(err, clock.Save())
	}
	defer model.Close()
	next := t.next(args[0])
	if finished && exists(filepath.Join(dir, runreport.File)) {
		t.say("This stage is finished: nothing to do.")
	} else {
		if err := clock.Save(); err != nil {
			return err
		}
		stage := runreport.Stage{Run: run, Model: model, Backend: runreport.Device(be), Cost: clock.Cost(), Next: next}
		if err := t.report(cmd.Context(), stage); err != nil {
			return err
		}
	}
	t.say("weights  %s\nreport   %s\nnext     %s", filepath.Join(dir, dcpt.WeightsFile), filepath.Join(dir, runreport.File), next[0].Command)
	return nil
}

// report writes the page of the stage. Samples that cannot be made do not take away the rest of it.
func (t *training) report(ctx context.Context, s runreport.Stage) (err error) {
	if s.Samples, err = runreport.NewSamples(ctx, s.Run.Recipe, t.stage, s.Model); err != nil {
		if ctx.Err() != nil {
			return dcpt.ErrInterrupted
		}
		fmt.Fprintf(t.stderr, "godcpt: the report has no samples: %s\n", oneLine(err))
	}
	_, err = s.Write()
	return err
}

// next is what to do after the stage.
func (t *training) next(recipe string) []report.Command {
	evaluate := report.Command{Text: "Score it on the recipe's test sets:", Command: fmt.Sprintf("%s eval %s", t.name, quote(filepath.Join(t.out, t.stage)))}
	if t.stage == dcpt.StagePretrain {
		command := fmt.Sprintf("%s finetune %s -o %s", t.name, quote(recipe), quote(t.out))
		for _, s := range t.settings {
			command += " -s " + quote(s)
		}
		return []report.Command{{Text: "Train it to restore:", Command: command}, evaluate}
	}
	return []report.Command{evaluate, {Text: "Restore photos:", Command: fmt.Sprintf("%s restore PHOTOS -o restored -w %s", t.name, quote(t.out))}}
}
