package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/datasets/benchmark"
	"github.com/godcpt/godcpt/internal/progress"
)

func (p *program) dataCheckCommand() *cobra.Command {
	var as string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Say what a folder of pictures is, and what is wrong with it",
		Long: `Examines a folder: which data set it is, or how its pictures belong together; what
is missing, misnamed, without a partner, there twice, unequal in size, or corrupt
(every picture is decoded); and which known copy it is, where copies differ. It ends
with the line that names the pictures in a recipe.

DIR is a data set's folder or a part of it, a folder of several data sets, a pair of
folders, or any folder of pictures. Nothing is changed.

Exit status: 0 sound, be it complete or a part; 1 something is wrong.`,
		Example: `  godcpt data check data/Rain100L
  godcpt data check data/test --as GoPro/test
  godcpt data check my-photos`,
		Args: arguments(1, 1, "the folder to check"),
		RunE: p.begin(func(cmd *cobra.Command, args []string) error {
			if as != "" {
				if _, err := benchmark.Find(as); err != nil {
					if _, _, err := benchmark.FindSplit(as); err != nil {
						return usageError{err}
					}
				}
			}
			report, err := p.check(cmd, args[0], as)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(p.stdout)
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(report); err != nil {
					return err
				}
			} else {
				p.writeCheck(report)
			}
			if !report.Sound() {
				return fmt.Errorf("%s is not sound", args[0])
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&as, "as", "", "take it for this data set: `NAME` or NAME/SPLIT of godcpt data list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// check examines a folder, with a progress bar.
func (p *program) check(cmd *cobra.Command, dir, as string) (*benchmark.Report, error) {
	var bar *progress.Bar
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	report, err := benchmark.Check(cmd.Context(), dir, benchmark.Options{As: as, Progress: func(done, total int) {
		if bar == nil {
			bar = progress.New(p.stderr, progress.Options{Title: "checking", Total: total, Unit: "pictures"})
		}
		bar.Step(done)
	}})
	if err == nil && bar != nil {
		bar.Finish()
	}
	return report, err
}

func (p *program) writeCheck(r *benchmark.Report) {
	for i, part := range r.Parts {
		if i > 0 {
			p.say("")
		}
		p.writePart(part)
	}
	if len(r.CouldBe) > 0 {
		p.say("\nIt fits several data sets: say with --as which it is, of %s", strings.Join(r.CouldBe, ", "))
	}
	if len(r.Others) > 0 {
		p.say("\nNot checked, as they are not recognised by their names: %s", visible(shortList(r.Others)))
	}
	subset := false
	for _, part := range r.Parts {
		subset = subset || part.Set != "" && part.Found < part.Official
	}
	if subset && r.Sound() {
		p.say("\nScores on a part of a set cannot be compared with published ones.")
	}
}

func (p *program) writePart(part *benchmark.Part) {
	name := part.Set
	switch {
	case name != "" && part.Split != "":
		name += ", " + part.Split
	case part.LQ != "":
		name = "pairs"
	case name == "":
		name = "pictures"
	}
	p.say("%s: %s", visible(part.Dir), name)
	switch {
	case part.Complete():
		p.say("  complete: %d %s", part.Found, part.Noun())
	case part.Official > 0 && part.Found < part.Official:
		p.say("  a part: %d of %d %s", part.Found, part.Official, part.Noun())
	default:
		p.say("  %s", number(part.Found, strings.TrimSuffix(part.Noun(), "s")))
	}
	switch {
	case part.LQ == "" || part.Set != "":
	case part.LQ == part.GT:
		p.say("  in one folder, told apart by their names: %s", part.Pair)
	default:
		p.say("  degraded %s, clean %s", visible(filepath.Base(part.LQ)), visible(filepath.Base(part.GT)))
	}
	if len(part.Missing) > 0 {
		p.say("  missing: %s", shortList(part.Missing))
	}
	if part.Variant != "" {
		p.say("  known copy: %s", part.Variant)
	}
	for _, note := range part.Notes {
		p.say("  note: %s", visible(note))
	}
	for _, problem := range part.Problems {
		p.say("  %s: %s", problem.Kind, problem.Text)
		const show = 5
		for i, file := range problem.Files {
			if i == show {
				p.say("    and %d more (--json lists all)", len(problem.Files)-show)
				break
			}
			p.say("    %s", visible(file))
		}
		p.say("    to do: %s", problem.Do)
	}
	p.say("  in a recipe: %s", part.Recipe)
}

// visible is a text with names of files, in one line that does nothing to a terminal: files may have any name.
func visible(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(strings.Trim(strconv.QuoteRuneToGraphic(r), "'"))
	}
	return out.String()
}

// shortList joins the first of many names.
func shortList(names []string) string {
	const show = 5
	if len(names) <= show {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:show], ", "), len(names)-show)
}
