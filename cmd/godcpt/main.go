// Command godcpt restores photos, and trains and evaluates the networks that do: see godcpt --help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
)

// Exit statuses, as the help says.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitSomeFailed  = 3
	exitInterrupted = 130 // what a shell reports for a program that SIGINT ended
)

func main() {
	backend.CompileIfChild()
	// An error means that the program goes on as it is: the settings only make it faster.
	_ = backend.ReexecTuned()
	silenceLibraries()
	cobra.EnableCommandSorting = false // verbs are listed in the order of use
	ctx, stop := untilInterrupted(context.Background(), os.Stderr)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// silenceLibraries turns off what GoMLX and its parts log beside the errors that they return.
func silenceLibraries() {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			panic(err) // the flags are klog's own
		}
	}
	klog.SetOutput(io.Discard)
}

// untilInterrupted returns a context that the first SIGINT or SIGTERM cancels. The second one ends the
// program at once, as if nobody listened.
func untilInterrupted(parent context.Context, w io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		fmt.Fprintln(w, "\ngodcpt: finishing this step and saving; Ctrl-C again ends at once")
		cancel()
	}()
	return ctx, cancel
}

// usageError is a command line or a recipe that says nothing sensible.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// served is an error that was reported already, to the program that this one serves.
type served struct{ error }

// someFailed tells that a part of the files failed; each was reported already.
type someFailed struct{ error }

// run executes a command line and returns the exit status. Errors are written to stderr, once.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	p := &program{name: callName(args[0]), args: args[1:], stdout: stdout, stderr: stderr}
	root := p.rootCommand()
	defer func() {
		if r := recover(); r != nil { // of building a graph that cannot be built, or a mistake in this program
			status = p.fail(fmt.Errorf("%v", r), root.CommandPath())
		}
	}()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !p.began && !errors.As(err, new(usageError)) {
		err = usageError{err} // flags and arguments, which are checked before a verb begins
	}
	return p.fail(err, cmd.CommandPath())
}

// fail reports an error and returns the exit status for it.
func (p *program) fail(err error, command string) int {
	if errors.As(err, new(served)) {
		return exitFailure
	}
	if onlyInterrupted(err) {
		fmt.Fprintf(p.stderr, "godcpt: interrupted. To go on:\n  %s\n", p.again)
		return exitInterrupted
	}
	fmt.Fprintf(p.stderr, "godcpt: %s\n", oneLine(err))
	switch {
	case errors.As(err, new(usageError)):
		fmt.Fprintf(p.stderr, "See: %s --help\n", strings.Replace(command, rootName, p.name, 1))
		return exitUsage
	case errors.As(err, new(someFailed)):
		return exitSomeFailed
	}
	return exitFailure
}

// onlyInterrupted reports whether an error tells of an interruption and of nothing that went wrong with
// it, such as saving.
func onlyInterrupted(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if !onlyInterrupted(e) {
				return false
			}
		}
		return true
	}
	return errors.Is(err, dcpt.ErrInterrupted) || errors.Is(err, context.Canceled)
}

// graphPanic is how GoMLX begins to say what a graph could not be built for, after the names of its own
// functions.
const graphPanic = "panicked: "

// oneLine returns the text of an error without the stack traces that libraries add.
func oneLine(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, graphPanic); i >= 0 {
		text = "cannot build the network's graph: " + text[i+len(graphPanic):]
	}
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "goroutine ") || strings.HasPrefix(line, "runtime.") {
			break
		}
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n  ")
}
