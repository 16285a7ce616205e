//go:build darwin || linux

package memory

import (
	"runtime"
	"syscall"
)

// maxRSS returns the largest resident size of this process in bytes.
func maxRSS() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, KiB on Linux
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
