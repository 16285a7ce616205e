// Package suggest makes "did you mean" errors for unknown names.
package suggest

import (
	"fmt"
	"strings"
)

// Unknown is the error for a name that is none of the known ones: it names the nearest, if one is
// near, and lists all.
func Unknown(what, name string, known []string) error {
	hint := ""
	if near := Nearest(name, known); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return fmt.Errorf("unknown %s %q%s; known: %s", what, name, hint, strings.Join(known, ", "))
}

// Nearest returns the known name with the smallest edit distance to name, or "" if none is within
// a third of its length.
func Nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two strings in bytes.
func distance(a, b string) int {
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		diagonal := previous[0]
		previous[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(previous[j+1]+1, previous[j]+1, diagonal+cost)
			diagonal, previous[j+1] = previous[j+1], next
		}
	}
	return previous[len(b)]
}
