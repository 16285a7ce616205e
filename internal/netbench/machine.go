package netbench

import (
	"path"
	"runtime"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/versions"
)

// libraries are the modules that computing depends on.
var libraries = []string{versions.GoMLX, versions.GoXLA, versions.Compute}

// versionNames are the keys of what versions returns, in the order of a table.
func versionNames() []string {
	names := []string{"godcpt", "go"}
	for _, library := range libraries {
		names = append(names, path.Base(library))
	}
	return append(names, "pjrt")
}

// versionsOf returns the versions of what computes, by versionNames; "" where one is not known, and
// "pjrt" (of the plugin's interface) for a backend without.
func versionsOf(b *backend.Backend) map[string]string {
	found := map[string]string{"godcpt": versions.Program(), "go": runtime.Version(), "pjrt": b.PJRTVersion}
	for _, library := range libraries {
		found[path.Base(library)] = versions.Module(library)
	}
	return found
}
