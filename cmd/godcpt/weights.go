package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/zoo"
)

const weightsLong = `Lists the PyTorch weights that DCPT and the projects of its networks have published,
and gets their files. Each has the licence of its project.

A file is looked for in the folder that ` + zoo.DirEnv + ` names, then in
godcpt/weights in your cache folder; else it is downloaded, from the mirror that
` + zoo.MirrorEnv + ` names or from where it is published. Interrupted downloads go
on where they stopped.`

func (p *program) weightsCommand() *cobra.Command {
	return p.groupCommand(&cobra.Command{
		Use:   "weights",
		Short: "List and download published weights",
		Long:  weightsLong,
		Example: `  godcpt weights list
  godcpt weights get restormer-deraining`,
	}, p.weightsListCommand(), p.weightsGetCommand())
}

func (p *program) weightsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the published weights",
		Long: `Lists the published weights: the network they fit, what they remove from photos,
the size of the file where it is known, and how to get it. --json adds address,
checksum, licence and source.`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(*cobra.Command, []string) error {
			if asJSON {
				return p.listWeightsJSON()
			}
			return p.listWeights()
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func (p *program) listWeights() error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tNETWORK\tREMOVES\tSIZE\tHOW")
	for _, w := range zoo.All() {
		size := "-"
		if w.Size > 0 {
			size = fmt.Sprintf("%.0f MB", float64(w.Size)/1e6)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", w.Name, w.Network(), w.Task, size, how(w))
	}
	return table.Flush()
}

// how says in a word or two how a file is got.
func how(w zoo.Weights) string {
	switch {
	case zoo.Local(w) != "":
		return "is here"
	case zoo.Mirror() != "":
		return "mirror"
	case w.URL == "":
		return "by hand"
	case w.Copy:
		return "download (a copy)"
	}
	return "download"
}

// listedWeights is an element of what list --json writes.
type listedWeights struct {
	zoo.Weights
	How  string `json:"how"`
	Path string `json:"path,omitempty"` // of the file that is here
}

func (p *program) listWeightsJSON() error {
	var all []listedWeights
	for _, w := range zoo.All() {
		all = append(all, listedWeights{w, how(w), zoo.Local(w)})
	}
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}

func (p *program) weightsGetCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Get a file of weights",
		Long: `Gets a file of published weights, checks it as far as its checksum is known, and
says where it is. A file that is there already is not downloaded again.`,
		Example: `  godcpt weights get restormer-deraining
  godcpt weights get nafnet-gopro-w32 -o deblur.pth`,
		Args: arguments(1, 1, "the name of the weights (godcpt weights list shows them)"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			w, err := zoo.Find(args[0])
			if err != nil {
				return usageError{err}
			}
			return p.getWeights(cmd, w, out)
		}),
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "where to: a `file`, or a folder that exists")
	return cmd
}

func (p *program) getWeights(cmd *cobra.Command, w zoo.Weights, out string) error {
	var bar *progress.Bar
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	got, err := zoo.Get(cmd.Context(), w, zoo.Options{
		Out: out,
		Progress: func(done, total int64) {
			if bar == nil { // now the size is known, and that there is a transfer
				bar = progress.New(p.stdout, progress.Options{Title: "downloading", Total: int(total), Start: int(done), Unit: progress.Bytes})
			}
			bar.Step(int(done))
		},
		Retry: func(err error) {
			text := fmt.Sprintf("the download broke off (%v), trying again", err)
			if bar == nil {
				p.say("%s", text)
				return
			}
			bar.Note(text)
		},
	})
	if err != nil {
		return err
	}
	if bar != nil {
		bar.Finish()
	}
	p.say("%s", got.Path)
	switch {
	case w.SHA256 != "":
		p.say("  checked: sha256 %s", got.SHA256)
	case got.From != "":
		p.say("  not checked, as no checksum of it is known: sha256 %s", got.SHA256)
	}
	p.say("  %s, licence: %s (%s)", w.Project, w.Licence, w.Home)
	if w.Preset == "" {
		p.say("  No network of this program fits it: the tensors of %s have a layout of their own.", w.Project)
		return nil
	}
	p.say("Next: %s restore photo.jpg -o out.png -w %s", p.name, quote(got.Path))
	return nil
}
