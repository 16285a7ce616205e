//go:build !(cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64)))

package backend

import (
	"errors"
	"io"
)

// xlaSupported: see xla.go.
const xlaSupported = false

// load is never reached: Open asks xlaSupported first.
func load(plugin, string, io.Writer) (*Backend, error) {
	return nil, errors.New("built without XLA")
}
