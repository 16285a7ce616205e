package backend

import goxla "github.com/gomlx/go-xla/installer"

// upstreamCUDA installs a CUDA plugin of go-xla's ("cuda12", "cuda13") and its libraries under dir.
func upstreamCUDA(version, dir string) error {
	return goxla.CudaInstall(version, "latest", dir, true, goxla.Quiet)
}
