package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/runreport"
	"github.com/godcpt/godcpt/internal/suggest"
)

func (p *program) convertCommand() *cobra.Command {
	var arch, key string
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "convert IN OUT",
		Short: "Convert weights from and to PyTorch",
		Long: `Reads the weights of a network: a run, a file of ours, or a file of PyTorch (.pth,
.pt, .ckpt of either format, .safetensors; nothing in it is executed), and writes
them as OUT: .pth for PyTorch with the weights under "params", or .safetensors with
the bare names. Both load in PyTorch with strict names, and here.

The network is told from the names and shapes of the tensors; --arch names it where
that is not right, for networks that differ in arithmetic only.`,
		Example: `  godcpt convert runs/mine mine.pth
  godcpt convert motion_deblurring.pth motion_deblurring.safetensors
  godcpt convert weights.pth out.safetensors --arch restormer-origin`,
		Args: arguments(2, 2, "the weights to read, and the file to write,"),
		RunE: p.begin(func(_ *cobra.Command, args []string) error {
			in, out := args[0], args[1]
			if exists(out) && !overwrite {
				return fmt.Errorf("%s exists: choose another name, or --overwrite", out)
			}
			c, err := p.readWeights(in, arch, key)
			if err != nil {
				return err
			}
			if err := dcpt.ExportFile(out, c); err != nil {
				return err
			}
			p.say("written  %s", out)
			return nil
		}),
	}
	cmd.Flags().StringVar(&arch, "arch", "", "the `preset` of the network (see godcpt networks)")
	cmd.Flags().StringVar(&key, "key", "", "the `group` of tensors in a .pth file, as params_ema")
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace OUT if it exists")
	return cmd
}

// readWeights reads weights and says what was found.
func (p *program) readWeights(in, arch, key string) (*dcpt.Checkpoint, error) {
	file, err := dcpt.FindWeights(in)
	if err != nil {
		return nil, err
	}
	own, err := dcpt.IsCheckpoint(file)
	if err != nil {
		return nil, err
	}
	if own && arch == "" && key == "" {
		c, err := dcpt.ReadCheckpoint(file)
		if err != nil {
			return nil, err
		}
		p.say("found    weights of the run %s, stage %s, iteration %d", c.Info.Recipe, c.Info.Stage, c.Info.Iteration)
		return c, nil
	}
	options := dcpt.ImportOptions{Key: key}
	if arch != "" {
		options.Network = dcpt.NetworkConfig{"preset": arch}
		if _, err := dcpt.NewNetwork(options.Network); err != nil {
			return nil, usageError{suggest.Unknown("network preset", arch, dcpt.Presets())}
		}
	}
	imported, err := dcpt.ImportFile(file, options)
	if err != nil {
		return nil, err
	}
	p.say("found    %s", describeImport(imported))
	if d := imported.Detection; d != nil && len(d.Same) > 0 {
		p.say("         of the same names and shapes: %s (--arch says which it is)", strings.Join(d.Same, ", "))
	}
	if n := imported.NotFinite; len(n) > 0 {
		fmt.Fprintf(p.stderr, "godcpt: %d weights hold NaN or infinite numbers, %s first: images will come out broken\n", len(n), n[0])
	}
	return imported.Checkpoint, nil
}

func describeImport(i *dcpt.Import) string {
	parameters := 0
	for _, t := range i.Checkpoint.Tensors {
		parameters += t.Size()
	}
	what := fmt.Sprintf("%v", i.Checkpoint.Info.Network["arch"])
	if i.Detection != nil && i.Detection.Preset != "" {
		what = i.Detection.Preset
	}
	text := fmt.Sprintf("%s, %s parameters, in a %s file", what, runreport.Thousands(parameters), i.Format)
	if i.Key != "" {
		text += " under " + i.Key
	}
	return text
}
