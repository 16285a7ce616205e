// Package quickstart runs DCPT from beginning to end on the photos that ship with the module: it
// pre-trains a small network, fine-tunes it, evaluates it on photos it has not seen, restores
// examples, and writes it all into one folder. The recipe is recipes/quickstart.yaml.
package quickstart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
	"github.com/godcpt/godcpt/recipes"
)

// DefaultDir is the run folder where Options names none.
const DefaultDir = "runs/quickstart"

// Options of Run. Out, Program and Settings may be empty.
type Options struct {
	Out      string           // the run folder; "" means DefaultDir
	Settings []string         // changes of the recipe: see dcpt.LoadRecipe
	Backend  *backend.Backend // to compute on
	Program  string           // how this program is called, for the commands to go on with; "" means godcpt
	W        io.Writer        // what happens, for people
}

// Run does everything, or what an earlier run in the same folder has left to do: stages that are
// finished are loaded, and results of the same weights are shown again. After an interruption
// (dcpt.ErrInterrupted) a further call goes on.
func Run(ctx context.Context, opts Options) (err error) {
	if opts.Out == "" {
		opts.Out = DefaultDir
	}
	if opts.Program == "" {
		opts.Program = "godcpt"
	}
	recipe, err := recipes.Load("quickstart", opts.Settings...)
	if err != nil {
		return err
	}
	q := &quickstart{Options: opts, recipe: recipe}
	if q.clock, err = runreport.StartClock(opts.Out); err != nil {
		return err
	}
	if err := q.run(ctx); err != nil {
		return errors.Join(interrupted(err), q.clock.Save())
	}
	return nil
}

// interrupted replaces the error of a cancelled context by the one that says that work is saved.
func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return dcpt.ErrInterrupted
	}
	return err
}

// quickstart is one call of Run.
type quickstart struct {
	Options
	recipe *dcpt.Recipe
	clock  *runreport.Clock
	stages []runreport.Stage
	test   datasets.Dataset
}

func (q *quickstart) run(ctx context.Context) error {
	q.say("DCPT quickstart, in %s", q.Out)
	q.say("%s", runreport.Backend(q.Backend))
	classes := q.recipe.Classes()

	q.heading("1. Pre-training: the network learns to tell %s apart", list(classes))
	pretrained, err := q.train(ctx, dcpt.StagePretrain)
	if err != nil {
		return err
	}
	defer pretrained.Close()
	if q.test, err = q.recipe.TestSet(); err != nil {
		return err
	}
	old := q.readResults()
	if old == nil {
		old = &results{}
	}
	if old.Classification == nil {
		if err := q.classify(ctx, pretrained, old); err != nil {
			return err
		}
	}
	q.say("  Of %d unseen images, %.1f %% are told rightly (chance: %.0f %%).",
		len(old.Classification.Images), 100*old.Classification.Accuracy, 100/float64(len(classes)))

	q.heading("2. Fine-tuning: the network learns to restore")
	finetuned, err := q.train(ctx, dcpt.StageFinetune)
	if err != nil {
		return err
	}
	defer finetuned.Close()

	if old.Restoration == nil {
		q.heading("3. Restoring images that it has not seen")
		if err := q.restore(ctx, finetuned, old); err != nil {
			return err
		}
	} else {
		q.heading("3. Results (from an earlier run in this folder: nothing was left to do)")
	}
	return q.conclude(old)
}

// train runs, resumes or loads a stage.
func (q *quickstart) train(ctx context.Context, stage string) (*dcpt.Model, error) {
	run := &dcpt.Run{Recipe: q.recipe, Stage: stage, Dir: q.Out, Out: q.W}
	dir := filepath.Join(q.Out, stage)
	done := exists(filepath.Join(dir, dcpt.WeightsFile))
	clock, err := runreport.StartClock(dir)
	if err != nil {
		return nil, err
	}
	model, err := run.Train(ctx, q.Backend.Backend)
	if err != nil {
		return nil, errors.Join(err, clock.Save())
	}
	if done {
		q.say("  Done in an earlier run: loaded from %s.", filepath.Join(dir, dcpt.WeightsFile))
	} else if err := clock.Save(); err != nil {
		return nil, err
	}
	cost, err := runreport.ReadCost(dir)
	if err != nil {
		return nil, err
	}
	q.stages = append(q.stages, runreport.Stage{Run: run, Model: model, Backend: runreport.Device(q.Backend), Cost: cost})
	return model, nil
}

// conclude shows the results and says where everything is.
func (q *quickstart) conclude(r *results) error {
	table := runreport.Results("Results on unseen images", r.Restoration)
	q.say("")
	if err := runreport.WriteTable(q.W, table, "  "); err != nil {
		return err
	}
	for _, s := range r.Restoration.Sets {
		if s.PSNRRestored < s.PSNRDegraded {
			q.say("  %s got worse.", s.Name)
		}
	}
	cost, err := runreport.ReadCost(q.Out)
	if err != nil {
		return err
	}
	q.say("")
	q.say("  Took %s and at most %.0f MB of memory.", runreport.Duration(cost.Seconds), cost.PeakMemoryMB)
	q.heading("Written to %s", q.Out)
	for _, line := range [][2]string{
		{runreport.File, "all of it on one page: open it in a browser"},
		{examplesDir + "/", "before and after, side by side"},
		{csvFile, "the table; " + imagesFile + ": the score of every image"},
		{summaryFile, "the main figures, for programs"},
		{"pretrain/, finetune/", "weights, checkpoints, logs, a page each"},
	} {
		q.say("  %-20s  %s", line[0], line[1])
	}
	q.heading("Next")
	for _, next := range q.next() {
		q.say("  %s\n    %s", next.Text, next.Command)
	}
	return nil
}

// next is what to do after the quickstart.
func (q *quickstart) next() []report.Command {
	return []report.Command{
		{Text: "Restore your own photos:", Command: q.Program + " restore PHOTOS -o restored -w " + q.Out},
		{Text: "Train longer, in another folder:", Command: q.Program + " quickstart --out " + q.Out + "-long -s finetune.steps=5000 -s 'finetune.schedule.periods=[5000]'"},
		{Text: "See how a recipe is written, and the paper's network:", Command: "less recipes/quickstart.yaml recipes/nafnet-5d.yaml"},
		{Text: "Walk through the same steps in a notebook:", Command: "./scripts/lab"},
	}
}

func (q *quickstart) say(format string, args ...any) { fmt.Fprintf(q.W, format+"\n", args...) }

func (q *quickstart) heading(format string, args ...any) { q.say("\n"+format, args...) }

// list joins names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
