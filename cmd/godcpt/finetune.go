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
there is neither, from random ones. With method guided, a classifier that stays as
it is must still tell the degradation from the network's features (--guide).

RECIPE is a YAML file, or the name of one that ships: quickstart, nafnet-5d.
Called again with the same run folder, an unfinished run goes on.`,
		Example: `  godcpt finetune quickstart -o runs/small
  godcpt finetune mine.yaml -o runs/mine --from runs/small/pretrain
  godcpt finetune mine.yaml --from derain.pth --guide runs/small/pretrain
  godcpt finetune quickstart --baseline              # what pre-training has to beat
  godcpt finetune quickstart --only rain             # a network for rain alone`,
		Args: arguments(1, 1, "the recipe"),
		RunE: t.run,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&t.guide, "guide", "", "pre-trained `weights` whose classifier guides the training (method guided)")
	cmd.Flags().StringVar(&t.only, "only", "", "train for one `degradation` of the recipe")
	cmd.Flags().BoolVar(&t.baseline, "baseline", false, "no pre-training: its budget goes to longer fine-tuning from random weights")
	return cmd
}
