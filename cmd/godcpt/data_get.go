package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/internal/progress"
)

func (p *program) dataGetCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Get a data set, or say how",
		Long: `Gets a data set that can be fetched without a login, unpacks it and checks it. For
others, it says what to fetch from where and where to put it. Each set has the licence
of its authors.

Files are looked for in the folder that ` + benchmark.DirEnv + ` names; else they are
downloaded, from the mirror that ` + benchmark.MirrorEnv + ` names or from where they
are published. In both, each set's files lie in a folder of its name; one that is
fetched by hand may lie there as NAME.zip. Interrupted downloads go on where they
stopped.`,
		Example: `  godcpt data get Urban100
  godcpt data get Kodak24 -o /data/Kodak24`,
		Args: arguments(1, 1, "the name of the data set (godcpt data list shows them)"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			set, err := benchmark.Find(args[0])
			if err != nil {
				return usageError{err}
			}
			if out == "" {
				out = filepath.Join("data", set.Name)
			}
			if err := p.getSet(cmd, set, out); err != nil {
				return err
			}
			p.say("  %s, licence: %s (%s)", set.Name, set.Licence, set.Home)
			report, err := p.check(cmd, out, set.Name)
			if err != nil {
				return err
			}
			p.writeCheck(report)
			if !report.Sound() {
				return fmt.Errorf("%s is not sound", out)
			}
			return nil
		}),
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the `folder` to make; default: data/NAME")
	return cmd
}

func (p *program) getSet(cmd *cobra.Command, set *benchmark.Set, out string) error {
	var bar *progress.Bar
	current := ""
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	finish := func() { // with the file at hand
		if bar != nil {
			bar.Finish()
		}
		bar, current = nil, ""
	}
	err := benchmark.Get(cmd.Context(), set, benchmark.GetOptions{
		Out: out,
		Progress: func(file string, done, total int64) {
			if file != current {
				finish()
				current = file
				bar = progress.New(p.stdout, progress.Options{Title: file, Total: int(total), Start: int(done), Unit: progress.Bytes})
			}
			bar.Step(int(done))
		},
		Retry: func(file string, err error) {
			text := fmt.Sprintf("%s: the download broke off (%v), trying again", file, err)
			if bar == nil {
				p.say("%s", text)
				return
			}
			bar.Note(text)
		},
		Say: func(text string) {
			finish()
			p.say("%s", text)
		},
	})
	if err == nil {
		finish()
	}
	return err
}
