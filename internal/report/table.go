package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tableData is a table with a CSS class for every cell.
type tableData struct {
	Title, Note string
	Columns     []cell
	Rows        [][]cell
	Footer      []cell
}

type cell struct {
	Text, Class string
}

func newTable(t Table) (tableData, error) {
	d := tableData{Title: t.Title, Note: t.Note}
	all := t.Rows
	if t.Footer != nil {
		all = append(slices.Clone(t.Rows), t.Footer)
	}
	for i, row := range all {
		if len(row) != len(t.Columns) {
			return d, fmt.Errorf("row %d has %d cells for %d columns", i, len(row), len(t.Columns))
		}
	}
	class := make([]string, len(t.Columns))
	for i, name := range t.Columns {
		if !slices.ContainsFunc(all, func(row []string) bool { return !isNumber(row[i]) }) {
			class[i] = "number"
		}
		d.Columns = append(d.Columns, cell{name, class[i]})
	}
	cells := func(row []string) []cell {
		var c []cell
		for i, text := range row {
			c = append(c, cell{text, strings.TrimSpace(class[i] + " " + signClass(text, slices.Contains(t.Signed, t.Columns[i])))})
		}
		return c
	}
	for _, row := range t.Rows {
		d.Rows = append(d.Rows, cells(row))
	}
	if t.Footer != nil {
		d.Footer = cells(t.Footer)
	}
	return d, nil
}

// isNumber says whether a cell is a number, perhaps with a sign and a unit, or stands for one.
func isNumber(text string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	first = strings.TrimSuffix(strings.Replace(first, "−", "-", 1), "%")
	if slices.Contains([]string{"", "–", "∞", "+∞", "-∞"}, first) {
		return true
	}
	_, err := strconv.ParseFloat(first, 64)
	return err == nil
}

func signClass(text string, signed bool) string {
	switch {
	case signed && strings.HasPrefix(text, "+"):
		return "good"
	case signed && (strings.HasPrefix(text, "−") || strings.HasPrefix(text, "-")):
		return "bad"
	}
	return ""
}

// matrixData is a confusion matrix with the share of every cell in its row.
type matrixData struct {
	Title    string
	Classes  []string
	Rows     []matrixRow
	Accuracy string // "93.8 % of 80 images"
}

type matrixRow struct {
	Class string
	Cells []matrixCell
}

type matrixCell struct {
	Count    int
	Percent  string
	Share    float64 // 0 to 1: the strength of the colour
	Diagonal bool
}

func newMatrix(m Matrix) (*matrixData, error) {
	d := &matrixData{Title: m.Title, Classes: m.Classes}
	if len(m.Counts) != len(m.Classes) {
		return nil, fmt.Errorf("%d rows for %d classes", len(m.Counts), len(m.Classes))
	}
	right, all := 0, 0
	for i, counts := range m.Counts {
		if len(counts) != len(m.Classes) {
			return nil, fmt.Errorf("row %d has %d cells for %d classes", i, len(counts), len(m.Classes))
		}
		total := 0
		for _, c := range counts {
			total += c
		}
		row := matrixRow{Class: m.Classes[i]}
		for j, c := range counts {
			share := 0.0
			if total > 0 {
				share = round(float64(c)/float64(total), 3)
			}
			row.Cells = append(row.Cells, matrixCell{c, fmt.Sprintf("%.0f %%", 100*share), share, i == j})
		}
		d.Rows = append(d.Rows, row)
		right, all = right+counts[i], all+total
	}
	if all > 0 {
		d.Accuracy = fmt.Sprintf("%.1f %% of %d images", 100*float64(right)/float64(all), all)
	}
	return d, nil
}
