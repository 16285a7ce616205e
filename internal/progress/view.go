package progress

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// view is what a screen shows, formatted but not laid out.
type view struct {
	title    string
	count    string  // "120/3000"
	fraction float64 // done, 0 to 1
	known    bool    // fraction is known
	status   string  // time left, or what else there is to say about time
	rate     string  // "41.2 images/s", empty if not known yet
	fields   []Field
	phase    phase
}

// percent returns the share done, rounded down so that 100% means complete.
func (v view) percent() string {
	return fmt.Sprintf("%3d%%", int(v.fraction*100))
}

// details returns the fields and the speed, each as one piece.
func (v view) details() []Field {
	details := append([]Field(nil), v.fields...)
	if v.rate != "" {
		details = append(details, Field{Value: v.rate})
	}
	return details
}

// plain returns the whole view as one line of text.
func (v view) plain() string {
	parts := []string{titlePrefix(v.title) + v.count}
	if v.known {
		parts[0] += " (" + strings.TrimSpace(v.percent()) + ")"
	}
	for _, d := range v.details() {
		parts = append(parts, strings.TrimSpace(d.Name+" "+d.Value))
	}
	return oneLine(strings.Join(append(parts, v.status), "  "))
}

// oneLine joins the lines of s.
func oneLine(s string) string {
	return strings.ReplaceAll(s, "\n", " ")
}

// count formats n of total; total 0 means unknown.
func count(n, total int, unit string) string {
	switch {
	case unit == Bytes && total > 0:
		return size(float64(n)) + " of " + size(float64(total))
	case unit == Bytes:
		return size(float64(n))
	case total > 0:
		t := strconv.Itoa(total)
		s := fmt.Sprintf("%*d/%s", len(t), n, t)
		if unit != "steps" {
			s += " " + unit
		}
		return s
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// size formats a number of bytes in decimal units, as download pages do.
func size(bytes float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if bytes >= u.size {
			return fmt.Sprintf("%.1f %s", bytes/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", bytes)
}

// decimal formats a speed with three significant digits.
func decimal(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// clock formats a duration as minutes and seconds, with hours and days where there are any.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	days, hours, minutes, seconds := s/86400, s/3600%24, s/60%60, s%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd %02dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d:%02d:%02d", hours, minutes, seconds)
	}
	return fmt.Sprintf("%d:%02d", minutes, seconds)
}
