// Package bytesize reads sizes of files and memory as people write them.
package bytesize

import (
	"fmt"
	"strconv"
	"strings"
)

var units = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// Parse returns the bytes of a size with a unit, as in "256MB", "1.5 GiB" or "500kb"; 0 needs none.
func Parse(text string) (int64, error) {
	amount, factor := strings.TrimSpace(text), 0.0
	for _, unit := range units {
		if at := len(amount) - len(unit.name); at > 0 && strings.EqualFold(amount[at:], unit.name) {
			amount, factor = amount[:at], unit.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(amount), 64)
	if err != nil || !(n >= 0 && n*factor < 1<<60) || factor == 0 && n != 0 {
		return 0, fmt.Errorf("%q is no size: give a number and a unit, such as 800MB or 4GiB", text)
	}
	return int64(n * factor), nil
}
