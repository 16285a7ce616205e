package main

import (
	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
)

func (p *program) finetuneCommand() *cobra.Command {
	t := training{program: p, stage: dcpt.StageFinetune}
	cmd := &cobra.Command{
		Use:   "finetune RECIPE",
		Short: "Train a network to restore, from a pre-trained one if there is one",
		Long: `Runs the fine-tuning stage of a recipe: the network learns to restore. It starts
from the pre-training in the same run folder, from other weights (--from), or, if
there is neither, from random ones.

RECIPE is a YAML file, or the name of one that ships: quickstart, nafnet-5d.
Called again with the same run folder, an unfinished run goes on.`,
		Example: `  godcpt finetune quickstart -o runs/small
  godcpt finetune mine.yaml -o runs/mine --from runs/small/pretrain`,
		Args: arguments(1, 1, "the recipe"),
		RunE: t.run,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&t.from, "from", "", "`weights` to start from: a file, or the folder of a run or stage")
	return cmd
}
