//go:build !(linux && amd64)

package backend

import "errors"

// upstreamCUDA: go-xla has CUDA plugins for Linux on x86-64 only.
func upstreamCUDA(_, _ string) error {
	return errors.New("there is no CUDA plugin for this platform (only for Linux on x86-64)")
}
