package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
	"github.com/godcpt/godcpt/internal/contactsheet"
)

// shown is the photo that is shown if none is named: a scene with sky, depth and detail.
const shown = "train/28083.jpg"

func (p *program) dataShowCommand() *cobra.Command {
	var out string
	var seed uint64
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "show [PHOTO]",
		Short: "Show what every degradation makes of a photo",
		Long: `Writes a contact sheet: the photo, what every kind of degradation makes of it with
its defaults and presets, and the eleven mixtures of CDD-11. A large photo is
reduced first. Without PHOTO it is one that ships with the program.`,
		Example: `  godcpt data show
  godcpt data show photo.jpg -o sheet.png --seed 3`,
		Args: arguments(0, 1, "the photo to degrade"),
		RunE: p.begin(func(_ *cobra.Command, args []string) error {
			photo, err := photoToShow(args)
			if err != nil {
				return err
			}
			if _, err := os.Lstat(out); !overwrite && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s exists already: choose another output with -o, or replace it with --overwrite", out)
			}
			sheet, err := contactsheet.Degradations(photo, seed)
			if err != nil {
				return err
			}
			if err := imageio.Write(out, sheet); err != nil {
				return err
			}
			p.say("%s: %dx%d pixels", out, sheet.W, sheet.H)
			return nil
		}),
	}
	cmd.Flags().StringVarP(&out, "out", "o", "degradations.png", "where to: a `file`, .png, .jpg or .tif")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "random `number` that the degradations are drawn from")
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace the file if it exists")
	return cmd
}

// photoToShow reads the photo that is named, or one that ships with the program.
func photoToShow(args []string) (*imageio.Image, error) {
	if len(args) == 1 {
		return imageio.Read(args[0])
	}
	data, err := sample.FS.ReadFile(shown)
	if err != nil {
		return nil, err
	}
	return imageio.Decode(bytes.NewReader(data), shown)
}
