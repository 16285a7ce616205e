package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/suggest"
)

const dataLong = `Everything about the images that networks are trained and tested on.`

func (p *program) dataCommand() *cobra.Command {
	return p.groupCommand(&cobra.Command{
		Use:   "data",
		Short: "Get, check, make and pack images to train and test on",
		Long:  dataLong,
	}, p.dataListCommand(), p.dataCheckCommand(), p.dataGetCommand(), p.dataSynthCommand(), p.dataShowCommand(), p.dataDecodeCommand(), p.dataPackCommand())
}

// groupCommand makes cmd a command that only has verbs of its own.
func (p *program) groupCommand(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		var names []string
		for _, verb := range verbs {
			names = append(names, verb.Name())
		}
		if len(args) == 0 {
			text := names[0]
			if last := len(names) - 1; last > 0 {
				text = strings.Join(names[:last], ", ") + " or " + names[last]
			}
			return usageError{errors.New("say what to do: " + text)}
		}
		return usageError{suggest.Unknown("command", args[0], names)}
	}
	cmd.AddCommand(verbs...)
	return cmd
}
