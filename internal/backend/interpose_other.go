//go:build !(cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64)))

package backend

import "errors"

// interpose: see interpose.go.
func interpose(plugin, string) error {
	return errors.New("compiled programs are kept on Linux and macOS only")
}
