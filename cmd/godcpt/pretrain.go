package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
)

func (p *program) pretrainCommand() *cobra.Command {
	t := training{program: p, stage: dcpt.StagePretrain}
	cmd := &cobra.Command{
		Use:   "pretrain RECIPE",
		Short: "Pre-train a network: let it tell degradations apart",
		Long: `Runs the pre-training stage of a recipe: the network reproduces clean images, and
a classifier learns to tell the degradation of an image from the network's own
features. Fine-tuning starts from what it leaves. Other methods (see docs/recipes.md)
restore degraded images meanwhile (direct), hide half of them (masked), or train the
classifier alone on a network that stays as it is (classifier, with --from).

RECIPE is a YAML file, or the name of one that ships: quickstart, nafnet-5d.
Called again with the same run folder, an unfinished run goes on.`,
		Example: `  godcpt pretrain quickstart -o runs/small
  godcpt pretrain nafnet-5d -s data.root=/data -s pretrain.batch=8`,
		Args: arguments(1, 1, "the recipe"),
		RunE: t.run,
	}
	t.flags(cmd)
	return cmd
}
