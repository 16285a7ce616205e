package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/internal/progress"
)

func (p *program) dataSynthCommand() *cobra.Command {
	var words []string
	config := datasets.SynthesisConfig{Program: rootName + " " + version()}
	cmd := &cobra.Command{
		Use:   "synth IN OUT --kind KIND",
		Short: "Make a folder of pairs from clean photos",
		Long: `Degrades the photos in the folder IN and below, and writes pairs: the degraded
photo to OUT/lq, the clean one to OUT/gt, both as PNG under the path that it has in
IN. OUT/synth.yaml says how they were made. The photos do not depend on the number
of processors, and equal those of a recipe's test set of the same kind and seed.

Kinds and their parameters are those of recipes (data show shows all kinds).
Several kinds together are joined: lowlight+haze+rain.

Started again, it makes what is missing. A photo that cannot be read is reported,
and the others are done (exit status 3).`,
		Example: `  godcpt data synth photos/ rainy/ --kind rain --seed 7
  godcpt data synth photos/ snowy/ --kind snow -p preset=large -p angle=[-10,10] --count 3
  godcpt data synth photos/ mixed/ --kind lowlight+haze`,
		Args: arguments(2, 2, "the folder of clean photos and the folder for the pairs"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			if config.Kind == "" {
				return usageError{errors.New("say what to do to the photos: --kind " + strings.Join(degrade.Kinds(), ", "))}
			}
			if config.Count < 1 {
				return usageError{fmt.Errorf("--count is %d, must be at least 1", config.Count)}
			}
			var err error
			if config.Params, err = datasets.ParseParameters(words); err != nil {
				return usageError{err}
			}
			if _, err := degrade.New(config.Kind, config.Params); err != nil {
				return usageError{err}
			}
			return p.synthesize(cmd.Context(), args[0], args[1], config)
		}),
	}
	cmd.Flags().StringVar(&config.Kind, "kind", "", "the degradation: a `kind`, or several joined by +")
	cmd.Flags().StringArrayVarP(&words, "param", "p", nil, "a parameter of it: `key=value`, as in -p density=3 (may be repeated)")
	cmd.Flags().Uint64Var(&config.Seed, "seed", 1, "random `number` that the degradation is drawn from")
	cmd.Flags().IntVar(&config.Count, "count", 1, "degraded twins of each photo")
	return cmd
}

func (p *program) synthesize(ctx context.Context, in, out string, config datasets.SynthesisConfig) error {
	total, err := datasets.CountSynthesis(in, out, config)
	if err != nil {
		return err
	}
	bar := progress.New(p.stdout, progress.Options{Title: "degrading", Total: total, Unit: "images"})
	defer bar.Stop()
	config.Progress = func(done datasets.SynthesisProgress) {
		if done.Err != nil {
			bar.Note("failed: " + oneLine(done.Err))
		}
		bar.Step(done.Done)
	}
	summary, err := datasets.Synthesize(ctx, in, out, config)
	if err != nil {
		bar.Stop()
		p.say("%d pairs in %s", summary.Pairs, out)
		return err
	}
	bar.Finish()
	if summary.Pairs > 0 {
		text := number(summary.Pairs, "pair") + " in " + out
		if summary.Kept > 0 {
			text += fmt.Sprintf(", %d of them were there already", summary.Kept)
		}
		p.say("%s", text)
		p.say("Use them in a recipe: {name: %s, lq: %s, gt: %s}", benchmark.RecipeText(config.Kind),
			benchmark.RecipeText(filepath.Join(out, datasets.SynthesisLQ)), benchmark.RecipeText(filepath.Join(out, datasets.SynthesisGT)))
	}
	var inputs []string
	for _, f := range summary.Failed {
		inputs = append(inputs, f.Input)
	}
	if len(inputs) == total && total == 1 {
		return summary.Failed[0].Err
	}
	return failed("read", inputs, total)
}
