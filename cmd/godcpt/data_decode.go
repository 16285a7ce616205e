package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/decodefiles"
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
			done, err := decodefiles.Files(cmd.Context(), args[0], args[1], decodefiles.Options{
				Overwrite: overwrite,
				Failed:    func(err error) { fmt.Fprintf(p.stderr, "godcpt: %s\n", oneLine(err)) },
			})
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
