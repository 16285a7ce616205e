package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

func (p *program) benchStepCommand() *cobra.Command {
	var flags benchRunFlags
	cmd := &cobra.Command{
		Use:   "step",
		Short: "Measure how fast networks train",
		Long: `Measures training steps of networks with initial weights on random images, each
network in a process of its own: the seconds of a step, images per second, the
speed of computing, also in percent of what a product of large matrices reaches
here, the most memory that the process held, and the seconds of compiling and
from the start of the process until the first step was done.

A step of "restore" is one of fine-tuning in the recipe nafnet-5d (L1 loss,
AdamW) without the moving average of the weights; a step of "dcpt" is one of its
pre-training, with the classifier and two optimisers. The speed of computing
counts a multiply-accumulate as two operations, and a step as three forward
passes.
` + serveHelp,
		Example: `  godcpt bench step
  godcpt bench step --net nafnet-5d-w32 --batch 4 --csv step.csv
  godcpt bench step --net nafnet-5d --method dcpt --batch 2 --runs 5`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) error {
			return p.benchRuns(cmd, netbench.Step, flags)
		}),
	}
	flags.add(cmd)
	flags.addStep(cmd)
	return cmd
}
