// Package versions tells what this program was built from.
package versions

import "runtime/debug"

// Program returns the version of this program, "" if it is not known.
func Program() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// Module returns the version of a module that this program was built with, "" if it was built without
// it or does not know.
func Module(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		return dep.Version
	}
	return ""
}

// Paths of the modules that compute.
const (
	GoMLX   = "github.com/gomlx/gomlx"
	GoXLA   = "github.com/gomlx/go-xla"
	Compute = "github.com/gomlx/compute"
)
