package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/quickstart"
	"github.com/godcpt/godcpt/recipes"
)

func (p *program) quickstartCommand() *cobra.Command {
	opts := quickstart.Options{Program: p.name, W: p.stdout}
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Pre-train, fine-tune, evaluate and restore, in minutes on two cores",
		Long: `Goes through DCPT from beginning to end on the photos that ship with the module:
pre-trains a small network on five degradations, fine-tunes it, evaluates it on
photos it has not seen, restores examples, and writes a report with all of it.

Called again, it goes on where it stopped, or shows the results again. The recipe
is recipes/quickstart.yaml.`,
		Example: `  godcpt quickstart
  godcpt quickstart --out runs/wide -s network.width=24`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if _, err := recipes.Load("quickstart", opts.Settings...); err != nil {
				return usageError{err}
			}
			if opts.Backend, err = p.openBackend(); err != nil {
				return err
			}
			return quickstart.Run(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVarP(&opts.Out, "out", "o", quickstart.DefaultDir, "the run `folder`")
	settingsFlag(cmd, &opts.Settings)
	return cmd
}
