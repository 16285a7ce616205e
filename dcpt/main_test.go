package dcpt

import (
	"os"
	"testing"
)

// TestMain makes XLA compile fast instead of well, unless XLA_FLAGS says otherwise (also if empty:
// `XLA_FLAGS= go test ./dcpt` tests what users run). Most of this package's time goes into compiling
// programs that run for milliseconds. Graphs, XLA's passes over them, fusion and matrix products are
// those of any other run; what is left out is LLVM's optimization of the single kernels, where a
// mistake would be LLVM's and not ours. Rounding may differ a little (no contraction, other order in
// sums), so tolerances hold either way; tests that demand equal bits compare runs of one process
// configuration.
//
// The test binary is also the process that the tests of resuming kill: see trainAsChild.
func TestMain(m *testing.M) {
	if _, set := os.LookupEnv("XLA_FLAGS"); !set {
		os.Setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
	}
	if job := os.Getenv(childEnv); job != "" {
		os.Exit(trainAsChild(job))
	}
	os.Exit(m.Run())
}
