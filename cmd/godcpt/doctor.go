package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/doctor"
)

func (p *program) doctorCommand() *cobra.Command {
	opts := doctor.Options{Backend: backend.Options{Log: p.stderr}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine this machine: backend, devices, speed, notebooks",
		Long: `Says what this program computes on and how fast, what the notebooks need, and
what to do about each problem. Installs the XLA plugin if there is none.

Exit status 1 if there is a problem; warnings are none.`,
		Example: `  godcpt doctor
  godcpt doctor --install-cuda     # with an NVIDIA GPU: install what it needs (some gigabytes)`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !doctor.Report(cmd.Context(), p.stdout, opts) {
				return errors.New("there are problems: see above")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&opts.JSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&opts.Backend.InstallCUDA, "install-cuda", false, "install the CUDA plugin and NVIDIA's libraries if there is a GPU")
	return cmd
}
