//go:build darwin || linux

package netbench

import (
	"syscall"
	"time"
)

// cpuTime returns how long all threads of this process have computed, in user mode and in the kernel.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// ownGroup keeps the terminal's Ctrl-C from a process: the one that started it ends it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
