package databench

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// line is the form of the table for people.
const line = "%-14s  %-14s  %7s  %8s  %8s  %6s"

// Heading is the first line of the table for people.
func Heading() string {
	return fmt.Sprintf(line, "STAGE", "KIND", "WORKERS", "IMAGES/S", "KB/IMAGE", "ALLOCS")
}

// String is a line of the table for people.
func (r Row) String() string {
	return fmt.Sprintf(line, r.Stage, r.Kind, strconv.Itoa(r.Workers), fmt.Sprintf("%.4g", r.Rate), fmt.Sprint((r.Bytes+500)/1000), fmt.Sprint(r.Allocs))
}

// WriteCSV writes rows as a table with a heading.
func WriteCSV(w io.Writer, rows []Row) error {
	table := csv.NewWriter(w)
	records := [][]string{{"stage", "kind", "workers", "images_per_second", "bytes_per_image", "allocations_per_image"}}
	for _, r := range rows {
		records = append(records, []string{
			r.Stage, r.Kind, strconv.Itoa(r.Workers), strconv.FormatFloat(r.Rate, 'f', 1, 64),
			strconv.FormatUint(r.Bytes, 10), strconv.FormatUint(r.Allocs, 10),
		})
	}
	return table.WriteAll(records)
}
