//go:build notebooks

package notebooks

// What notebooks import from other modules, and no other package here does: go.mod keeps it.
import (
	_ "github.com/janpfeifer/must"
)
