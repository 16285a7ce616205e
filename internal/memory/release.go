package memory

import "runtime/debug"

// Release gives memory that is free back to the system: Go's and, with glibc, the C library's. Both
// keep it for a while, or for good, to be fast when it is needed again.
func Release() {
	debug.FreeOSMemory()
	trim()
}
