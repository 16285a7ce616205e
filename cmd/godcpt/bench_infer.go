package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/netbench"
)

func (p *program) benchInferCommand() *cobra.Command {
	flags := benchNetFlags{verb: netbench.Infer}
	var size string
	cmd := &cobra.Command{
		Use:     "infer",
		Short:   "Measure how fast networks restore images",
		Long:    `Measures forward passes.`,
		Example: `  godcpt bench infer`,
		Args:    arguments(0, 0, ""),
		RunE: p.begin(func(cmd *cobra.Command, _ []string) (err error) {
			if flags.width, flags.height, err = imageSize(size); err != nil {
				return usageError{err}
			}
			return p.benchNets(cmd, flags)
		}),
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&size, "size", "256", "`size` of the images in pixels: 256, or 480x320 for width and height")
	return cmd
}

// imageSize reads "256" or "480x320".
func imageSize(text string) (width, height int, err error) {
	first, second, both := strings.Cut(text, "x")
	if !both {
		second = first
	}
	if width, err = strconv.Atoi(first); err == nil {
		height, err = strconv.Atoi(second)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("--size is %q; it must be a number of pixels, such as 256, or two, such as 480x320", text)
	}
	return width, height, nil
}
