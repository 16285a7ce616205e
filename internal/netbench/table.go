package netbench

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The forms of the tables for people: at most 80 columns.
const (
	runLine     = "%-18s %6s %6s %6s %7s %6s %4s %5s %7s %6s"
	compileLine = "%-22s %-5s %10s %7s %9s %7s %12s"
)

// Heading is the first lines of the table of rows for people.
func Heading() string {
	return fmt.Sprintf(runLine, "", "TIME S", "", "", "IMAGES", "TFLOP", "% OF", "PEAK", "COMPILE", "START") + "\n" +
		fmt.Sprintf(runLine, "NET", "MIN", "MEDIAN", "MAX", "/S", "/S", "PEAK", "GB", "S", "S")
}

// String is a line of the table for people.
func (r Row) String() string {
	return fmt.Sprintf(runLine, shortened(r.Net, 18), short(r.Minimum), short(r.Median), short(r.Maximum),
		short(r.Rate), short(r.TFLOPS), fmt.Sprintf("%.0f", 100*r.Share), short(float64(r.PeakBytes)/1e9), short(r.Compile), short(r.Start.Start))
}

// CompileHeading is the first line of the table of compilations for people.
func CompileHeading() string {
	return fmt.Sprintf(compileLine, "NET", "GRAPH", "OPERATIONS", "BUILD S", "COMPILE S", "START S", "WARM START S")
}

// String is a line of the table for people.
func (c Compilation) String() string {
	warm := "-"
	if c.WarmStart > 0 {
		warm = short(c.WarmStart)
	}
	return fmt.Sprintf(compileLine, shortened(c.Net, 22), c.Verb, strconv.Itoa(c.Operations), short(c.Build), short(c.Compile), short(c.Start.Start), warm)
}

// short writes a number with three digits that count.
func short(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v >= 0.09995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

// shortened cuts a name to so many columns.
func shortened(name string, columns int) string {
	if len(name) <= columns {
		return name
	}
	return name[:columns-1] + "…"
}

// WriteCSV writes rows as a table with a heading.
func WriteCSV(w io.Writer, rows []Row) error {
	heading := append(workColumns(), "runs", "minimum_seconds", "median_seconds", "maximum_seconds", "cpu_seconds",
		"images_per_second", "gmacs", "tflops", "peak_tflops", "peak_share", "peak_mb")
	records := [][]string{append(heading, startColumns()...)}
	for _, r := range rows {
		record := append(r.Work.record(), strconv.Itoa(r.Runs), digits(r.Minimum), digits(r.Median), digits(r.Maximum), digits(r.CPU),
			digits(r.Rate), digits(float64(r.MACs)/1e9), digits(r.TFLOPS), digits(r.Peak), digits(r.Share), megabytes(r.PeakBytes))
		records = append(records, append(record, r.Start.record()...))
	}
	return csv.NewWriter(w).WriteAll(records)
}

// WriteCompileCSV writes compilations as a table with a heading.
func WriteCompileCSV(w io.Writer, list []Compilation) error {
	records := [][]string{slices.Concat(workColumns(), []string{"warm_compile_seconds", "warm_start_seconds"}, startColumns())}
	for _, c := range list {
		records = append(records, slices.Concat(c.Work.record(), []string{digits(c.WarmCompile), digits(c.WarmStart)}, c.Start.record()))
	}
	return csv.NewWriter(w).WriteAll(records)
}

func workColumns() []string {
	return []string{"verb", "net", "set", "method", "batch", "width", "height"}
}

func (w Work) record() []string {
	return []string{w.Verb, w.Net, strings.Join(w.Set, " "), w.Method, strconv.Itoa(w.Batch), strconv.Itoa(w.Width), strconv.Itoa(w.Height)}
}

func startColumns() []string {
	columns := []string{"operations", "build_seconds", "compile_seconds", "programs_loaded", "start_seconds", "backend", "processor", "cores", "cpu_features"}
	return append(columns, versionNames()...)
}

func (s Start) record() []string {
	record := []string{strconv.Itoa(s.Operations), digits(s.Build), digits(s.Compile), strconv.Itoa(s.Loaded), digits(s.Start), s.Backend, s.Model, strconv.Itoa(s.Cores), strings.Join(s.Features, " ")}
	for _, name := range versionNames() {
		record = append(record, s.Versions[name])
	}
	return record
}

// digits writes a number with four digits that count.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func megabytes(bytes int64) string { return strconv.FormatInt((bytes+500_000)/1_000_000, 10) }
