//go:build !(goexperiment.simd && amd64)

package backend

// GoSIMD: see gosimd.go.
const GoSIMD = false

// goSlowdown: see gosimd.go.
const goSlowdown = "about 20 times"
