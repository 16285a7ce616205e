// Package sample holds a small set of real photos that ships with the module, so that training,
// evaluation and restoring can be tried without downloading anything. SOURCES.md lists where every
// file comes from and under which terms.
package sample

import (
	"embed"
	"io/fs"
)

// FS holds the photos: train/*.jpg (481x321 or 321x481), test/*.png (500x500) and
// degraded/*.png. SOURCES.md lies beside them.
//
//go:embed train test degraded SOURCES.md
var FS embed.FS

// Patterns of the photos in FS, for datasets.FromFS.
const (
	Train    = "train/*.jpg"
	Test     = "test/*.png"
	Degraded = "degraded/*.png"
)

// TrainImages returns the names in FS of the clean photos to train on.
func TrainImages() []string { return names(Train) }

// TestImages returns the names in FS of the clean photos to evaluate on. Never train on them.
func TestImages() []string { return names(Test) }

// DegradedImages returns the names in FS of photos that came degraded, without clean partner, to
// try a restorer on.
func DegradedImages() []string { return names(Degraded) }

func names(pattern string) []string {
	found, err := fs.Glob(FS, pattern)
	if err != nil { // only a malformed pattern, and these are constants
		panic(err)
	}
	return found
}
