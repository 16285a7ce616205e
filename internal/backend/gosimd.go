//go:build goexperiment.simd && amd64

package backend

// GoSIMD reports whether the pure Go backend of this build has kernels for vectors (AVX2 and AVX-512)
// in its matrix products. Go 1.26 compiles them for x86-64 where GOEXPERIMENT=simd is set for the build.
const GoSIMD = true

// goSlowdown is how much longer the pure Go backend takes than XLA to restore with NAFNet of width 32,
// on two cores with AVX-512.
const goSlowdown = "4 times"
