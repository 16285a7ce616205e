package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/databench"
)

// benchDataFlags are the flags of bench data.
type benchDataFlags struct {
	recipe, images, csv string
	settings            []string
	seconds             float64
	workers             int
	json                bool
}

func (p *program) benchDataCommand() *cobra.Command {
	var flags benchDataFlags
	cmd := &cobra.Command{
		Use:   "data",
		Short: "Measure how fast training data is prepared",
		Long: `Measures how many images a second are decoded, cropped, degraded (each kind) and
made into batches, in crops of 128x128 pixels, and how much memory is allocated for
each on the way. The images are the sample photos, or those of --images. With
--recipe it measures the training sets of the recipe, each alone and all together.

The last lines count: a network does not wait for data as long as the loader makes
more images a second than training takes, which its progress bar shows. The very last
is for images that do not fit into memory and are decoded each time.`,
		Example: `  godcpt bench data
  godcpt bench data --images photos --csv speed.csv
  godcpt bench data --recipe recipe.yaml`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) error {
			switch {
			case flags.recipe != "" && flags.images != "":
				return usageError{errors.New("a recipe names its images: give --recipe or --images")}
			case flags.recipe == "" && flags.settings != nil:
				return usageError{errors.New("-s belongs to --recipe")}
			case !(flags.seconds >= 0 && flags.seconds <= 3600):
				return usageError{fmt.Errorf("--seconds is %g; it must be 0 to 3600", flags.seconds)}
			}
			if flags.workers < 0 {
				return usageError{fmt.Errorf("--workers is %d; it must be 0 or more", flags.workers)}
			}
			return p.benchData(cmd, flags)
		}),
	}
	cmd.Flags().StringVar(&flags.recipe, "recipe", "", "measure the training sets of a `recipe`")
	settingsFlag(cmd, &flags.settings)
	cmd.Flags().StringVar(&flags.images, "images", "", "measure with the images of a `folder`")
	cmd.Flags().Float64Var(&flags.seconds, "seconds", 1, "`time` for each line")
	cmd.Flags().IntVar(&flags.workers, "workers", 0, "`number` of goroutines that prepare batches (0: one per core)")
	cmd.Flags().StringVar(&flags.csv, "csv", "", "write the figures to a `file`, too")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print JSON")
	return cmd
}

func (p *program) benchData(cmd *cobra.Command, flags benchDataFlags) error {
	var rows []databench.Row
	cfg := databench.Config{
		Duration: time.Duration(flags.seconds * float64(time.Second)),
		Workers:  flags.workers,
		Row: func(r databench.Row) {
			if !flags.json {
				if rows == nil {
					p.say("%s", databench.Heading())
				}
				p.say("%s", r)
			}
			rows = append(rows, r)
		},
	}
	if err := runDataBench(cmd, flags, cfg); err != nil {
		return err
	}
	if flags.csv != "" {
		err := atomicfile.Write(flags.csv, 0o644, func(w io.Writer) error { return databench.WriteCSV(w, rows) })
		if err != nil {
			return err
		}
	}
	if !flags.json {
		return nil
	}
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

func runDataBench(cmd *cobra.Command, flags benchDataFlags, cfg databench.Config) error {
	switch {
	case flags.recipe != "":
		r, err := loadRecipe(flags.recipe, flags.settings)
		if err != nil {
			return err
		}
		return databench.Recipe(cmd.Context(), r, cfg)
	case flags.images != "":
		return databench.Photos(cmd.Context(), databench.Folder(flags.images), cfg)
	}
	return databench.Photos(cmd.Context(), databench.SamplePhotos(), cfg)
}
