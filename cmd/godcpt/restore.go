package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/quickstart"
)

func (p *program) restoreCommand() *cobra.Command {
	var out, weights string
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "restore INPUT...",
		Short: "Restore photos",
		Long: `Restores photo files, and folders with what is below them. Size, bit depth,
transparency, EXIF and colour profile are kept, and so is the format where it can
be written (PNG, JPEG, TIFF; others become PNG). A folder keeps its structure.

Nothing is replaced without --overwrite. A file that cannot be restored is
reported, and the others are restored (exit status 3).`,
		Example: `  godcpt restore photo.jpg -o better.jpg
  godcpt restore holiday/ scan.tif -o restored/ -w runs/mine`,
		Args: arguments(1, -1, "the photo or folder to restore"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageError{errors.New("say where the restored photos go: -o FOLDER, or -o FILE for a single one")}
			}
			// What cannot work is said before the backend is opened.
			total, err := dcpt.CountRestoreFiles(args, out)
			if err != nil {
				return err
			}
			if _, err := dcpt.FindWeights(weights); err != nil {
				if !cmd.Flags().Changed("weights") {
					err = fmt.Errorf("%w: run %s quickstart first, which trains a small network, or name weights with -w", err, p.name)
				}
				return err
			}
			if !overwrite {
				p.again = p.commandLine("--overwrite") // there are outputs now
			}
			return p.restore(cmd, args, out, weights, total, overwrite)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "where to: a `folder`, or a file for a single photo")
	cmd.Flags().StringVarP(&weights, "weights", "w", quickstart.DefaultDir, "the trained network: a `file`, or the folder of a run or stage")
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace files that exist, the originals too if the output is where they are")
	return cmd
}

func (p *program) restore(cmd *cobra.Command, inputs []string, out, weights string, total int, overwrite bool) error {
	be, err := p.openBackend()
	if err != nil {
		return err
	}
	model, err := dcpt.Load(be.Backend, weights)
	if err != nil {
		return err
	}
	defer model.Close()
	if model.Info.Stage == dcpt.StagePretrain {
		fmt.Fprintln(p.stderr, "godcpt: these weights are pre-trained only, they do not restore: fine-tune them first")
	}
	bar := progress.New(p.stdout, progress.Options{Title: "restoring", Total: total, Unit: "images"})
	defer bar.Stop()
	summary, err := dcpt.RestoreFiles(cmd.Context(), model, inputs, out, dcpt.RestoreOptions{
		Overwrite: overwrite,
		Progress: func(done dcpt.RestoreProgress) {
			if done.Err != nil && total > 1 {
				bar.Note("failed: " + oneLine(done.Err))
			}
			bar.Step(done.Done)
		},
	})
	if err != nil {
		if errors.Is(err, dcpt.ErrInterrupted) {
			bar.Stop()
			p.say("%d of %d restored", summary.Restored, total)
		}
		return err
	}
	bar.Finish()
	switch {
	case len(summary.Failed) == 0:
		p.say("%s in %s", count(summary.Restored), out)
		return nil
	case summary.Restored == 0 && len(summary.Failed) == 1:
		return summary.Failed[0].Err
	}
	var names []string
	for _, f := range summary.Failed {
		names = append(names, f.Input)
	}
	return failed("restored", names, total)
}

// failed is the error of a job in which some of the files, or all, could not be restored or the like; nil
// if there are none.
func failed(verb string, files []string, total int) error {
	if len(files) == 0 {
		return nil
	}
	var names []string
	for _, f := range files[:min(len(files), 5)] {
		names = append(names, filepath.Base(f))
	}
	err := fmt.Errorf("%d of %d could not be %s: %s", len(files), total, verb, strings.Join(names, ", "))
	if len(files) > len(names) {
		err = fmt.Errorf("%w …", err)
	}
	if len(files) == total {
		return err
	}
	return someFailed{err}
}

func count(n int) string {
	if n == 1 {
		return "1 picture restored"
	}
	return fmt.Sprintf("%d pictures restored", n)
}
