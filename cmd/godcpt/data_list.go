package main

import (
	"encoding/json"
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
		Use:   "list",
		Short: "List the data sets that are known by name",
		Long: `Lists the data sets that recipes can name: what they are for, how many pictures
(or pairs) each split has, which tables of the DCPT paper use them, under which
terms they are published, and how to get them. --json adds everything else that is
known: paper, home page, folders, pairing, sizes, known copies, files.`,
		Example: `  godcpt data list --task rain
  godcpt data list --json`,
		Args: arguments(0, 0, ""),
		RunE: p.begin(func(*cobra.Command, []string) error {
			if task != "" && !slices.Contains(benchmark.Tasks, task) {
				return usageError{suggest.Unknown("task", task, benchmark.Tasks)}
			}
			sets := slices.DeleteFunc(slices.Clone(benchmark.All()), func(s *benchmark.Set) bool {
				return task != "" && s.Task != task && s.Degrade["kind"] != task
			})
			if asJSON {
				return p.listSetsJSON(sets)
			}
			return p.listSets(sets)
		}),
	}
	cmd.Flags().StringVar(&task, "task", "", "only sets of this `task`, or whose clean pictures are degraded so: "+strings.Join(benchmark.Tasks, ", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func (p *program) listSets(sets []*benchmark.Set) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTASK\tPICTURES\tTABLES\tGET\tLICENCE")
	for _, s := range sets {
		var splits []string
		for i, split := range s.Splits {
			const show = 4
			if i == show {
				splits = append(splits, fmt.Sprintf("%d more splits", len(s.Splits)-show))
				break
			}
			n := split.GT
			if split.Pairs() {
				n = split.LQ
			}
			splits = append(splits, fmt.Sprintf("%s %d", split.Name, n))
		}
		tables := "-"
		if len(s.Tables) > 0 {
			tables = strings.Join(s.Tables, ", ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Task, strings.Join(splits, ", "), tables, howSet(s), s.Licence)
	}
	return table.Flush()
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
