// Package backendtest opens the backends that tests compute on, once per process.
package backendtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"

	"github.com/godcpt/godcpt/internal/backend"
)

var open = sync.OnceValues(func() (*backend.Backend, error) {
	return backend.Open(backend.Options{})
})

// ForTest returns the backend of this process: the one that GOMLX_BACKEND names, else XLA. A test
// that asks for XLA and would run on the slow fallback instead fails, saying how to install it.
func ForTest(t testing.TB) compute.Backend {
	t.Helper()
	b, err := open()
	if err != nil {
		t.Fatalf("no backend for the tests: %v", err)
	}
	if b.Fallback {
		t.Fatalf("the tests need XLA: run ./scripts/setup, or set GOMLX_BACKEND=go for the slow pure Go backend\n%s",
			strings.Join(b.Notes, "\n"))
	}
	return b.Backend
}

// Go returns GoMLX's pure Go backend, for tests that compare the two or must not depend on XLA.
func Go(testing.TB) compute.Backend {
	return gobackend.GetBackend()
}
