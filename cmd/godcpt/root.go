package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/versions"
	"github.com/godcpt/godcpt/recipes"
)

const rootName = "godcpt"

// program is one call of the command line.
type program struct {
	name           string   // how it is called, for commands to go on with
	args           []string // without the name
	stdout, stderr io.Writer
	began          bool   // the command line was understood and a verb does its work
	again          string // the command that goes on after an interruption
}

const rootLong = `GoDCPT removes noise, rain, haze, blur and darkness from photos with one network,
and trains such networks with DCPT, degradation classification pre-training
(ICLR 2025, arXiv 2501.15510).

A run is a folder with weights, checkpoints, logs and a report. Starting it again
goes on where it stopped; Ctrl-C saves first.

Exit status: 0 done; 1 failed; 2 the command line or the recipe is wrong;
3 some of the files failed; 130 interrupted and saved.`

const rootExample = `  godcpt quickstart                              # see it work, in minutes
  godcpt restore photos/ -o restored/            # restore your own photos with what it trained
  godcpt pretrain recipe.yaml -o runs/mine       # train your own
  godcpt finetune recipe.yaml -o runs/mine
  godcpt eval runs/mine`

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           rootName,
		Short:         "Restore photos, and train the networks that do",
		Long:          rootLong,
		Example:       rootExample,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(p.args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetVersionTemplate("godcpt {{.Version}}\n")
	root.AddCommand(p.quickstartCommand(), p.pretrainCommand(), p.finetuneCommand(), p.evalCommand(), p.restoreCommand(), p.dataCommand(), p.weightsCommand(), p.convertCommand(), p.networksCommand(), p.doctorCommand(), p.benchCommand())
	for _, verb := range root.Commands() {
		verb.RunE = p.begin(verb.RunE)
	}
	return root
}

// begin notes that a verb does its work now: its command line was understood.
func (p *program) begin(work func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		p.began = true
		p.again = p.commandLine()
		return work(cmd, args)
	}
}

// version names this program and the library that computes.
func version() string {
	text := cmp.Or(versions.Program(), "(unknown version)")
	if gomlx := versions.Module(versions.GoMLX); gomlx != "" {
		text += ", GoMLX " + gomlx
	}
	return text + ", " + runtime.Version()
}

// callName returns how a person calls this program again.
func callName(path string) string {
	if strings.Contains(filepath.ToSlash(path), "/go-build") { // a temporary file of go run
		return "go run ./cmd/godcpt"
	}
	return path
}

// commandLine is this call, to be called again.
func (p *program) commandLine(more ...string) string {
	words := []string{p.name}
	for _, arg := range append(append([]string{}, p.args...), more...) {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

// quote protects a word from the shell where that is needed.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=+./:,@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (p *program) say(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }

// openBackend opens what is computed on.
func (p *program) openBackend() (*backend.Backend, error) {
	return backend.Open(backend.Options{Log: p.stderr})
}

// settingsFlag adds the flag that changes a recipe.
func settingsFlag(cmd *cobra.Command, settings *[]string) {
	cmd.Flags().StringArrayVarP(settings, "set", "s", nil, "change the recipe: `key=value`, as in -s finetune.steps=2000 (may be repeated)")
}

// loadRecipe reads a recipe that a person named.
func loadRecipe(name string, settings []string) (*dcpt.Recipe, error) {
	r, err := recipes.Load(name, settings...)
	if err != nil {
		return nil, usageError{err}
	}
	return r, nil
}

// arguments checks the number of arguments and says what they are.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s is missing", what)
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%q is one argument too many", args[most])
		}
		return nil
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
