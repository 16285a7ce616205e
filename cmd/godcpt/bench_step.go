package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

func (p *program) benchStepCommand() *cobra.Command {
	flags := benchNetFlags{verb: netbench.Step}
	var patch int
	cmd := &cobra.Command{
		Use:     "step",
		Short:   "Measure how fast networks train",
		Long:    `Measures training steps.`,
		Example: `  godcpt bench step`,
		Args:    arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) error {
			flags.width, flags.height = patch, patch
			return p.benchNets(cmd, flags)
		}),
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.method, "method", "restore", "training `method`: restore or dcpt")
	cmd.Flags().IntVar(&patch, "patch", 128, "side of the square training crops, `pixels`")
	return cmd
}
