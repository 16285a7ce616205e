package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/decodefiles"
	"github.com/godcpt/godcpt/internal/progress"
)

func (p *program) dataDecodeCommand() *cobra.Command {
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "decode IN OUT",
		Short: "Write the pixels that training and scoring see",
		Long: `Decodes a picture, or all pictures of a folder, and writes exactly the pixels that
training and scoring see as 8-bit RGB PNG files, to look at or to compare with what
another program reads. They are those of OpenCV (libjpeg-turbo, IMREAD_COLOR), with
which published numbers were made: turned upright as EXIF says, grey as three equal
channels, transparency dropped, the upper 8 of 16 bits.

A picture that cannot be decoded is reported, and the others of the folder are
written (exit status 3).`,
		Example: `  godcpt data decode photo.jpg seen.png
  godcpt data decode DIV2K/ seen/`,
		Args: arguments(2, 2, "the picture or folder to decode, or where it goes,"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			if !overwrite {
				p.again = p.commandLine("--overwrite") // there may be outputs now
			}
			done, err := p.decode(cmd.Context(), args[0], args[1], overwrite)
			if err != nil {
				return err
			}
			p.say("pictures decoded: %d", done.Written)
			switch {
			case done.Failed == 0:
				return nil
			case done.Written == 0:
				return fmt.Errorf("no picture of %s can be decoded", args[0])
			}
			return someFailed{fmt.Errorf("%d of %d pictures could not be decoded", done.Failed, done.Written+done.Failed)}
		}),
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace files that exist")
	return cmd
}

// decode decodes a picture, or a folder with a progress bar.
func (p *program) decode(ctx context.Context, in, out string, overwrite bool) (decodefiles.Summary, error) {
	var bar *progress.Bar
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	done, err := decodefiles.Files(ctx, in, out, decodefiles.Options{
		Overwrite: overwrite,
		Progress: func(done, total int, failed error) {
			if bar == nil {
				bar = progress.New(p.stdout, progress.Options{Title: "decoding", Total: total, Unit: "images"})
			}
			if failed != nil {
				bar.Note("failed: " + oneLine(failed))
			}
			bar.Step(done)
		},
	})
	if err == nil && bar != nil {
		bar.Finish()
	}
	return done, err
}
