package main

import "github.com/spf13/cobra"

func (p *program) benchCommand() *cobra.Command {
	return p.groupCommand(&cobra.Command{
		Use:   "bench",
		Short: "Measure speed on this machine",
		Long: `Measures how fast this machine trains, restores, compiles, and prepares the data
that training needs.`,
	}, p.benchStepCommand(), p.benchInferCommand(), p.benchCompileCommand(), p.benchDataCommand())
}
