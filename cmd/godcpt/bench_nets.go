package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/netbench"
)

// benchFlags are the flags of all verbs that measure networks.
type benchFlags struct {
	nets   []string
	set    []string
	method string
	batch  int
	patch  int    // of a step
	size   string // of an image to restore
	csv    string
	json   bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.nets, "net", []string{"nafnet-tiny", "nafnet-5d-w32"}, "`presets` to measure, separated by commas; see godcpt networks")
	cmd.Flags().StringArrayVarP(&f.set, "set", "s", nil, "change the network: `key=value`, as in -s network.width=16 (may be repeated)")
	cmd.Flags().IntVar(&f.batch, "batch", 1, "`number` of images of a run")
	cmd.Flags().StringVar(&f.csv, "csv", "", "write the figures to a `file`, too, with machine and versions")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

func (f *benchFlags) addStep(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.method, "method", "restore", "what a step trains: `restore or dcpt`")
	cmd.Flags().IntVar(&f.patch, "patch", 128, "side of the square training crops in `pixels`")
}

func (f *benchFlags) addInfer(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.size, "size", "256", "`size` of the images in pixels: 256, or 480x320 for width and height")
}

// works are what the flags ask to measure with a verb of netbench: one for each network.
func (f *benchFlags) works(verb string) ([]netbench.Work, error) {
	one := netbench.Work{Verb: verb, Batch: f.batch, Set: f.set, Method: f.method, Width: f.patch, Height: f.patch}
	if verb == netbench.Infer {
		one.Method = ""
		var err error
		if one.Width, one.Height, err = imageSize(f.size); err != nil {
			return nil, usageError{err}
		}
	}
	var works []netbench.Work
	for _, one.Net = range f.nets {
		if err := one.Validate(); err != nil {
			return nil, usageError{err}
		}
		works = append(works, one)
	}
	if len(works) == 0 {
		return nil, usageError{errors.New("--net names no network")}
	}
	return works, nil
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

// benchRunFlags are the flags of bench step and bench infer.
type benchRunFlags struct {
	benchFlags
	runs  int
	serve bool
}

func (f *benchRunFlags) add(cmd *cobra.Command) {
	f.benchFlags.add(cmd)
	cmd.Flags().IntVar(&f.runs, "runs", 10, "`number` of runs that count: those after the first")
	cmd.Flags().BoolVar(&f.serve, "serve", false, "for scripts: measure as standard input asks for it")
}

// serveHelp describes --serve.
const serveHelp = `
For scripts, --serve measures one network when it is asked to: after its first
run the process prints a line of JSON; then it answers each line "run" of its
standard input by one run and a line of JSON about it, "peak" by the matrix
product's speed, and it ends with its input.`

// maxRuns is a limit for slips of the keyboard.
const maxRuns = 10_000

func (p *program) benchRuns(cmd *cobra.Command, verb string, flags benchRunFlags) error {
	works, err := flags.works(verb)
	if err == nil && (flags.runs < 1 || flags.runs > maxRuns) {
		err = usageError{fmt.Errorf("--runs is %d; it must be 1 to %d", flags.runs, maxRuns)}
	}
	if flags.serve {
		return p.serveBench(cmd, works, err)
	}
	if err != nil {
		return err
	}
	var rows []netbench.Row
	cfg := p.netbenchConfig()
	for _, w := range works {
		row, measureErr := netbench.Measure(cmd.Context(), w, flags.runs, cfg)
		if measureErr != nil {
			err = measureErr
			break
		}
		rows = append(rows, row)
	}
	return errors.Join(err, writeFigures(p, flags.benchFlags, netbench.Heading(), rows, netbench.WriteCSV))
}

// serveBench serves a work, unless err says that there is none, and tells of errors on standard output.
func (p *program) serveBench(cmd *cobra.Command, works []netbench.Work, err error) error {
	if err == nil && len(works) != 1 {
		err = errors.New("--serve measures one network: name it with --net")
	}
	if err == nil {
		err = netbench.Serve(cmd.Context(), works[0], cmd.InOrStdin(), p.stdout, p.openBackend)
	}
	if err == nil {
		return nil
	}
	return served{errors.Join(err, json.NewEncoder(p.stdout).Encode(netbench.Failure{Error: oneLine(err)}))}
}

// netbenchConfig shows on standard error what is done, between what the measuring processes log.
func (p *program) netbenchConfig() netbench.Config {
	log := &sharedWriter{w: p.stderr}
	return netbench.Config{Log: log, Progress: func(format string, args ...any) {
		fmt.Fprintf(log, format+"\n", args...)
	}}
}

// sharedWriter lets several goroutines write to a writer.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(data)
}

// writeFigures shows what was measured, though it may not be all that was asked for.
func writeFigures[T fmt.Stringer](p *program, flags benchFlags, heading string, rows []T, writeCSV func(io.Writer, []T) error) error {
	if len(rows) == 0 {
		return nil
	}
	if flags.json {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(rows); err != nil {
			return err
		}
	} else {
		p.say("%s", heading)
		for _, row := range rows {
			p.say("%s", row)
		}
	}
	if flags.csv == "" {
		return nil
	}
	return atomicfile.Write(flags.csv, 0o644, func(w io.Writer) error { return writeCSV(w, rows) })
}
