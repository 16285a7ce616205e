// Package metricslog writes and reads metrics.csv, the table of a run's figures: one header, then one
// row per logged step, each step once also when the run was killed and resumed.
package metricslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/godcpt/godcpt/internal/metricslog/linefile"
)

// stepColumn is the first column of every file.
const stepColumn = "step"

// Log appends rows to a metrics.csv. Its methods may be called from several goroutines.
type Log struct {
	mu      sync.Mutex
	file    *linefile.File
	columns []string
	last    int // step of the last row
}

// Open opens path for a run that goes on after step last, and writes the header if the file is new.
// Rows of later steps are dropped, for the run will do these steps again; last -1 drops everything.
// The columns are those behind the step, fixed for the life of the file: other ones in an existing
// file are an error. Rows are handed to the operating system every so many rows.
func Open(path string, columns []string, last, every int) (*Log, error) {
	if err := checkColumns(columns); err != nil {
		return nil, err
	}
	l := &Log{columns: slices.Clone(columns), last: -1}
	header := strings.Join(append([]string{stepColumn}, columns...), ",")
	hasHeader := false
	file, err := linefile.Open(path, every, func(i int, line string) (bool, error) {
		if last < 0 {
			return false, nil
		}
		if i == 0 {
			hasHeader = true
			return true, checkHeader(line, header)
		}
		step, _, err := splitRow(line)
		if err != nil || step > last {
			return false, err
		}
		l.last = max(l.last, step)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	l.file = file
	if !hasHeader {
		if err := errors.Join(file.Append(header), file.Flush()); err != nil {
			file.Close()
			return nil, err
		}
	}
	return l, nil
}

// checkColumns rejects names that would need quoting: every reader of the file can then split at
// commas.
func checkColumns(columns []string) error {
	for i, c := range columns {
		switch {
		case c == "" || c != strings.TrimSpace(c) || strings.ContainsAny(c, ",\"\n\r"):
			return fmt.Errorf("column name %q: must not be empty nor contain commas, quotes, line breaks or outer blanks", c)
		case c == stepColumn || slices.Contains(columns[:i], c):
			return fmt.Errorf("column name %q is there twice", c)
		}
	}
	return nil
}

func checkHeader(got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("the file has the columns %s, this run writes %s: it belongs to another stage or version; move it away or choose another run folder", got, want)
}

// splitRow returns the step and the other cells of a row.
func splitRow(line string) (step int, cells []string, err error) {
	cells = strings.Split(line, ",")
	step, err = strconv.Atoi(cells[0])
	if err != nil {
		return 0, nil, fmt.Errorf("%q is not a row of figures that begins with a step; repair the line or move the file away", line)
	}
	return step, cells[1:], nil
}

// Append adds the row of a step, which must come after that of the last one. Cells of columns that
// values lacks stay empty: a validation score is not there at every step. Values of unknown columns
// are an error.
func (l *Log) Append(step int, values map[string]float64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if step <= l.last {
		return fmt.Errorf("metrics of step %d come after those of step %d", step, l.last)
	}
	cells := []string{strconv.Itoa(step)}
	known := 0
	for _, c := range l.columns {
		v, ok := values[c]
		if !ok {
			cells = append(cells, "")
			continue
		}
		known++
		cells = append(cells, format(v))
	}
	if known != len(values) {
		return fmt.Errorf("metrics of step %d: no column for %q, the columns are %q", step, unknown(values, l.columns), l.columns)
	}
	if err := l.file.Append(strings.Join(cells, ",")); err != nil {
		return err
	}
	l.last = step
	return nil
}

func unknown(values map[string]float64, columns []string) []string {
	var names []string
	for name := range values {
		if !slices.Contains(columns, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// format writes the shortest number that reads back as v. A v that comes from a 32-bit number, as
// most metrics do, has no more digits than that needs.
func format(v float64) string {
	if float64(float32(v)) == v {
		return strconv.FormatFloat(v, 'g', -1, 32)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Flush hands all rows to the operating system, from where a kill of the process cannot take them.
// Call it before a checkpoint is saved: a resumed run does not repeat earlier steps.
func (l *Log) Flush() error { return l.file.Flush() }

// Close flushes and closes the file.
func (l *Log) Close() error { return l.file.Close() }

// Table is the content of a metrics.csv.
type Table struct {
	// Columns are the names behind the step.
	Columns []string
	series  []series // by column
}

// series are the cells of a column that have a value.
type series struct {
	steps, values []float64
}

// Read reads the file at path, also while a run writes it: a row that is not finished is left out.
func Read(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the metrics: %w", err)
	}
	lines := linefile.Split(data)
	if len(lines) == 0 {
		return nil, fmt.Errorf("cannot read the metrics: %s has no header", path)
	}
	header := strings.Split(lines[0], ",")
	if header[0] != stepColumn {
		return nil, fmt.Errorf("cannot read the metrics: the first column of %s is %q, not %q", path, header[0], stepColumn)
	}
	t := &Table{Columns: header[1:], series: make([]series, len(header)-1)}
	for i, line := range lines[1:] {
		if err := t.addRow(line); err != nil {
			return nil, fmt.Errorf("cannot read the metrics: %s, line %d: %w", path, i+2, err)
		}
	}
	return t, nil
}

func (t *Table) addRow(line string) error {
	step, cells, err := splitRow(line)
	if err != nil {
		return err
	}
	if len(cells) != len(t.series) {
		return fmt.Errorf("%d cells for %d columns", len(cells), len(t.series))
	}
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			return fmt.Errorf("column %q: %w", t.Columns[i], err)
		}
		s := &t.series[i]
		s.steps = append(s.steps, float64(step))
		s.values = append(s.values, v)
	}
	return nil
}

// Series returns the steps at which column has a value, and the values; nothing for a column that is
// not there. NaN and infinities are values.
func (t *Table) Series(column string) (steps, values []float64) {
	i := slices.Index(t.Columns, column)
	if i < 0 {
		return nil, nil
	}
	return t.series[i].steps, t.series[i].values
}
