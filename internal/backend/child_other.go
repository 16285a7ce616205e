//go:build !(cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64)))

package backend

// CompileIfChild does nothing here: no compiled programs are kept, so that a child could not hand them over.
func CompileIfChild() {}
