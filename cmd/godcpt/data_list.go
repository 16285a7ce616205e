package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/internal/download"
	"github.com/godcpt/godcpt/internal/suggest"
)

func (p *program) dataListCommand() *cobra.Command {
	var task string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the data sets that are known by name",
		Long: `Lists the data sets that recipes can name: what they are for, how to get them, which
tables of the DCPT paper use them, and how many pictures (or pairs) each split has.

With NAME, shows what is known of that set: what it is, paper, home page, licence,
the folders in which copies lie, and how names pair. --json has all of it, and the
sizes, known copies and files.`,
		Example: `  godcpt data list
  godcpt data list --task rain
  godcpt data list Rain100L`,
		Args: arguments(0, 1, "the name of a data set"),
		RunE: p.begin(func(_ *cobra.Command, args []string) error {
			if task != "" && !slices.Contains(benchmark.Tasks, task) {
				return usageError{suggest.Unknown("task", task, benchmark.Tasks)}
			}
			sets := slices.DeleteFunc(slices.Clone(benchmark.All()), func(s *benchmark.Set) bool {
				return task != "" && s.Task != task && s.Degrade["kind"] != task
			})
			if len(args) == 1 {
				set, err := benchmark.Find(args[0])
				if err != nil {
					return usageError{err}
				}
				if task != "" {
					return usageError{errors.New("a data set has its own task: give NAME or --task")}
				}
				sets = []*benchmark.Set{set}
			}
			switch {
			case asJSON:
				return p.listSetsJSON(sets)
			case len(args) == 1:
				return p.describeSet(sets[0])
			}
			return p.listSets(sets)
		}),
	}
	cmd.Flags().StringVar(&task, "task", "", "only sets of this `task`, or whose clean pictures are degraded so:\n"+
		strings.Join(benchmark.Tasks[:6], ", ")+",\n"+strings.Join(benchmark.Tasks[6:], ", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// listSets writes a table that fits 80 columns.
func (p *program) listSets(sets []*benchmark.Set) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTASK\tGET\tTABLES\tPICTURES")
	for _, s := range sets {
		var splits []string
		for i, split := range s.Splits {
			const show = 4
			if i == show {
				splits = append(splits, fmt.Sprintf("%d more splits", len(s.Splits)-show))
				break
			}
			splits = append(splits, fmt.Sprintf("%s %d", split.Name, split.Count()))
		}
		const width = 34 // what the other columns leave of 80
		lines := fold(splits, width)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Task, howSet(s), cmp.Or(strings.Join(s.Tables, ", "), "-"), lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(table, "\t\t\t\t%s\n", line)
		}
	}
	return table.Flush()
}

// fold joins words by commas, in lines that are no longer than the width where the words allow it.
func fold(words []string, width int) []string {
	var lines []string
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if last := len(lines) - 1; last >= 0 && len(lines[last])+1+len(word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// describeSet writes what is known of a set.
func (p *program) describeSet(s *benchmark.Set) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fact := func(name, text string) {
		if text != "" {
			fmt.Fprintf(table, "  %s\t%s\n", name, text)
		}
	}
	p.say("%s: %s", s.Name, s.About)
	fact("also", strings.Join(s.Aliases, ", "))
	fact("task", s.Task)
	fact("paper", s.Paper)
	fact("home", s.Home)
	fact("licence", s.Licence)
	fact("tables", strings.Join(s.Tables, ", "))
	fact("get", howSet(s))
	if err := table.Flush(); err != nil {
		return err
	}
	for i := range s.Splits {
		split := &s.Splits[i]
		noun := "pictures"
		if split.Pairs() {
			noun = "pairs"
		}
		p.say("%s: %d %s, benchmark: %s", split.Name, split.Count(), noun, s.Spec(split))
		for _, l := range split.Layouts {
			text := l.String()
			if l.Pair != "" {
				text += "; pair: " + l.Pair
			}
			if l.List != "" {
				text += "; list: " + l.List
			}
			p.say("  %s", text)
		}
	}
	for _, v := range s.Variants {
		p.say("known copy: %s", v.About)
	}
	return nil
}

// howSet says in a word or two how a set is got.
func howSet(s *benchmark.Set) string {
	switch {
	case s.Local():
		return "is here"
	case download.Mirror(benchmark.MirrorEnv) != "":
		return "mirror"
	case s.Direct():
		return "download"
	}
	return "by hand"
}

// listedSet is an element of what list --json writes.
type listedSet struct {
	*benchmark.Set
	How string `json:"how"`
}

func (p *program) listSetsJSON(sets []*benchmark.Set) error {
	all := []listedSet{}
	for _, s := range sets {
		all = append(all, listedSet{s, howSet(s)})
	}
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
