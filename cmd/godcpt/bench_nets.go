package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

// benchNetFlags are the flags of bench step and bench infer.
type benchNetFlags struct {
	verb          string
	nets          []string
	method        string
	batch         int
	width, height int
	serve         bool
}

func (f *benchNetFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.nets, "net", []string{"nafnet-tiny", "nafnet-5d-w32"}, "`presets` to measure, separated by commas (see godcpt networks)")
	cmd.Flags().IntVar(&f.batch, "batch", 1, "`number` of images of one run")
	cmd.Flags().BoolVar(&f.serve, "serve", false, "run whenever a line on standard input says so: see above")
}

// works are the works of the flags, one for each network.
func (f *benchNetFlags) works() ([]netbench.Work, error) {
	var works []netbench.Work
	for _, net := range f.nets {
		w := netbench.Work{Verb: f.verb, Net: net, Method: f.method, Batch: f.batch, Width: f.width, Height: f.height}
		if err := w.Validate(); err != nil {
			return nil, usageError{err}
		}
		works = append(works, w)
	}
	if len(works) == 0 || f.serve && len(works) != 1 {
		return nil, usageError{errors.New("--serve takes one --net")}
	}
	return works, nil
}

func (p *program) benchNets(cmd *cobra.Command, flags benchNetFlags) error {
	works, err := flags.works()
	if flags.serve {
		if err == nil {
			err = netbench.Serve(cmd.Context(), works[0], cmd.InOrStdin(), p.stdout, p.openBackend)
		}
		if err != nil {
			return served{errors.Join(err, json.NewEncoder(p.stdout).Encode(netbench.Failure{Error: oneLine(err)}))}
		}
		return nil
	}
	return err
}
