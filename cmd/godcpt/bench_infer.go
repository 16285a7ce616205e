package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

func (p *program) benchInferCommand() *cobra.Command {
	var flags benchRunFlags
	cmd := &cobra.Command{
		Use:   "infer",
		Short: "Measure how fast networks restore images",
		Long: `Measures how long networks with initial weights take for random images, each
network in a process of its own: the pass through the network that "godcpt
restore" takes for a photo. The figures are those of "godcpt bench step".
` + serveHelp,
		Example: `  godcpt bench infer
  godcpt bench infer --net nafnet-5d-w32,nafnet-5d --size 480x320`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) error {
			return p.benchRuns(cmd, netbench.Infer, flags)
		}),
	}
	flags.add(cmd)
	flags.addInfer(cmd)
	return cmd
}
