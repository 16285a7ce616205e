package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

func (p *program) benchCompileCommand() *cobra.Command {
	var flags benchFlags
	cmd := &cobra.Command{
		Use:   "compile",
		Short: "Measure how long networks take to compile",
		Long: `Measures what it costs until a network trains and until it restores, each in a
process of its own: the operations of its graph, the seconds of building the
graph and of compiling it, and the seconds from the start of the process until
the first step or image was done; the latter again in a process that finds what
was compiled before (XLA on the CPU keeps it).`,
		Example: `  godcpt bench compile
  godcpt bench compile --net nafnet-5d --method dcpt --batch 2 --csv compile.csv`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) error { return p.benchCompile(cmd, flags) }),
	}
	flags.add(cmd)
	flags.addStep(cmd)
	flags.addInfer(cmd)
	return cmd
}

func (p *program) benchCompile(cmd *cobra.Command, flags benchFlags) error {
	steps, err := flags.works(netbench.Step)
	if err != nil {
		return err
	}
	inferences, err := flags.works(netbench.Infer)
	if err != nil {
		return err
	}
	var list []netbench.Compilation
	cfg := p.netbenchConfig()
	for i := range 2 * len(steps) {
		work := steps[i/2]
		if i%2 == 1 {
			work = inferences[i/2]
		}
		one, measureErr := netbench.MeasureStart(cmd.Context(), work, cfg)
		if measureErr != nil {
			err = measureErr
			break
		}
		list = append(list, one)
	}
	return errors.Join(err, writeFigures(p, flags, netbench.CompileHeading(), list, netbench.WriteCompileCSV))
}
