package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/doctor"
)

func (p *program) doctorCommand() *cobra.Command {
	opts := doctor.Options{Backend: backend.Options{Log: p.stderr}}
	var clearCache bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine this machine: backend, devices, speed, notebooks",
		Long: `Says what this program computes on and how fast, what the notebooks need, and
what to do about each problem. Installs the XLA plugin if there is none.

Programs that XLA compiled on the CPU are kept for the next start, 2 GB at most;
` + backend.NoProgramCacheEnv + `=1 turns that off, and --clear-cache removes them.

Exit status 1 if there is a problem; warnings are none.`,
		Example: `  godcpt doctor
  godcpt doctor --install-cuda     # with an NVIDIA GPU: install what it needs (some gigabytes)`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clearCache {
				removed, err := backend.ClearProgramCache()
				if err == nil {
					fmt.Fprintf(p.stdout, "removed %d compiled programs\n", removed)
				}
				return err
			}
			if !doctor.Report(cmd.Context(), p.stdout, opts) {
				return errors.New("there are problems: see above")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&opts.JSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&opts.Backend.InstallCUDA, "install-cuda", false, "install the CUDA plugin and NVIDIA's libraries if there is a GPU")
	cmd.Flags().BoolVar(&clearCache, "clear-cache", false, "only remove the programs that were compiled and kept")
	return cmd
}
