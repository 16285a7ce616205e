package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/runreport"
)

// networkRow is what the list says of a preset.
type networkRow struct {
	Preset       string         `json:"preset"`
	Parameters   int            `json:"parameters"`
	MACs         int64          `json:"macs_256x256"`
	SizeMultiple int            `json:"size_multiple"`
	Features     []dcpt.Feature `json:"features"` // what the degradation classifier reads
}

// networkSide is the side of the image for which multiply-accumulates are counted; networks that do not
// take it count the next size they take.
const networkSide = 256

func (p *program) networksCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "networks",
		Short: "List the networks",
		Long: `Lists the networks that a recipe can name as network.preset: the number of their
parameters, the multiply-accumulates (in billions) for an image of 256x256 pixels,
what the sides of an image are padded to a multiple of, and the channels of the
features that the degradation classifier reads.`,
		Example: "  godcpt networks\n  godcpt networks --json",
		Args:    arguments(0, 0, ""),
		RunE: p.begin(func(*cobra.Command, []string) error {
			rows, err := networkRows()
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(p.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(rows)
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "preset\tparameters\tGMACs\tmultiple of\tfeatures\t")
			for _, r := range rows {
				var dims []string
				for _, f := range r.Features {
					dims = append(dims, fmt.Sprint(f.Channels))
				}
				fmt.Fprintf(w, "%s\t%s\t%.1f\t%d\t%s\t\n", r.Preset, runreport.Thousands(r.Parameters), float64(r.MACs)/1e9, r.SizeMultiple, strings.Join(dims, " "))
			}
			return w.Flush()
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all facts as JSON")
	return cmd
}

func networkRows() ([]networkRow, error) {
	var rows []networkRow
	for _, preset := range dcpt.Presets() {
		network, err := dcpt.NewNetwork(dcpt.NetworkConfig{"preset": preset})
		if err != nil {
			return nil, err
		}
		multiple := network.SizeMultiple()
		side := (networkSide + multiple - 1) / multiple * multiple
		d, err := dcpt.Describe(network, side, side)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", preset, err)
		}
		rows = append(rows, networkRow{preset, d.Parameters, d.MACs, multiple, dcpt.ClassifierFeatures(network)})
	}
	return rows, nil
}
