//go:build !(linux && cgo)

package memory

func trim() {}
