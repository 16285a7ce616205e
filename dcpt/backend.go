package dcpt

import (
	"io"

	"github.com/gomlx/compute"

	"github.com/godcpt/godcpt/internal/backend"
)

// OpenBackend opens the backend to compute on, for programs and notebooks: the one that GOMLX_BACKEND
// names, else XLA on a GPU or on the CPU, whose plugin is installed if there is none (63 MB, once),
// else GoMLX's pure Go backend, which is slow. What was done and what is worth knowing is written to
// log. A process opens one backend.
func OpenBackend(log io.Writer) (compute.Backend, error) {
	b, err := backend.Open(backend.Options{Log: log})
	if err != nil {
		return nil, err
	}
	return b.Backend, nil
}
