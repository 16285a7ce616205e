package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/datasets/shards"
	"github.com/godcpt/godcpt/internal/bytesize"
	"github.com/godcpt/godcpt/internal/progress"
)

func (p *program) dataPackCommand() *cobra.Command {
	var cfg shards.PackConfig
	var size, as string
	cmd := &cobra.Command{
		Use:   "pack SRC OUT",
		Short: "Pack images into shards: a few large tar files",
		Long: `Copies the images of the folder SRC into tar files OUT/NAME-000000.tar and so on,
where NAME is that of OUT. Large sets are copied and read much faster that way, above
all from network drives. Files are stored unchanged, in random order, under the names
that WebDataset uses, so that PyTorch programs read them as well.

With --gt, SRC holds degraded images and that folder their clean ones; --pair says how
their names belong together: see godcpt eval --help. With --as, SRC is the folder of a
data set that godcpt data list knows, which says where its images lie and how they pair.

Every image is decoded first. Damaged ones are named and left out (then the exit
status is 3); with more than 5 % of them nothing is written. Started again after an
interruption, it begins anew.

In a recipe: images: OUT for clean images to degrade, shards: OUT for pairs.`,
		Example: `  godcpt data pack photos shards/photos
  godcpt data pack Rain100L/rainy shards/rain --gt Rain100L/norain --pair rain
  godcpt data pack GoPro shards/gopro --as GoPro/train`,
		Args: arguments(2, 2, "the folder of images, and the folder to make,"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			if cfg.GT == "" && cfg.Rule != "" {
				return usageError{fmt.Errorf("--pair %s belongs to --gt", cfg.Rule)}
			}
			if as != "" && cfg.GT != "" {
				return usageError{errors.New("--as says where the clean images are: leave --gt out")}
			}
			var err error
			if cfg.ShardBytes, err = bytesize.Parse(size); err != nil {
				return usageError{fmt.Errorf("--shard-size: %w", err)}
			}
			cfg.Images, cfg.Out = args[0], args[1]
			if as != "" {
				return p.packSet(cmd, cfg, as)
			}
			return p.pack(cmd, cfg)
		}),
	}
	cmd.Flags().StringVar(&cfg.GT, "gt", "", "`folder` of the clean images, for pairs")
	cmd.Flags().StringVar(&cfg.Rule, "pair", "", "how the names of pairs belong together: a `rule` (default same)")
	cmd.Flags().StringVar(&as, "as", "", "SRC is this data set: `NAME` or NAME/SPLIT")
	cmd.Flags().StringVar(&size, "shard-size", "256MB", "no shard is larger")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 0, "`number` that decides the order of the images")
	return cmd
}

// packSet packs a split of a data set that lies in cfg.Images.
func (p *program) packSet(cmd *cobra.Command, cfg shards.PackConfig, name string) error {
	_, split, err := benchmark.FindSplit(name)
	if err != nil {
		return usageError{err}
	}
	layout, err := split.In(cfg.Images)
	if err != nil {
		return err
	}
	layout = layout.Under(cfg.Images)
	cfg.Images, cfg.GT, cfg.Rule, cfg.List = layout.GT, "", layout.Pair, layout.List
	if layout.LQ != "" {
		cfg.Images, cfg.GT = layout.LQ, layout.GT
	}
	err = p.pack(cmd, cfg)
	if err != nil && layout.TrimGT > 0 && errors.Is(err, shards.ErrSizes) {
		err = fmt.Errorf("%w\nClean pictures of %s as published are larger by %d pixels at each side. Recipes trim them (benchmark: %s); shards hold files as they are", err, name, layout.TrimGT, name)
	}
	return err
}

func (p *program) pack(cmd *cobra.Command, cfg shards.PackConfig) error {
	var bar *progress.Bar
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	cfg.Progress = func(done, total int) {
		if bar == nil {
			bar = progress.New(p.stdout, progress.Options{Title: "checking", Total: total, Unit: "samples"})
		}
		bar.Step(done)
	}
	packed, err := shards.Pack(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	bar.Finish()
	for _, err := range packed.Damaged {
		fmt.Fprintf(p.stderr, "godcpt: left out: %s\n", oneLine(err))
	}
	what := "image"
	if cfg.GT != "" {
		what = "pair"
	}
	p.say("%s, %.1f MB in %s: %s", number(packed.Samples, what), float64(packed.Bytes)/1e6, number(len(packed.Files), "shard"), cfg.Out)
	if n := len(packed.Damaged); n > 0 {
		return someFailed{fmt.Errorf("%d of %s were left out", n, number(packed.Samples+n, what))}
	}
	return nil
}

// number is "1 pair" or "7 pairs".
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
