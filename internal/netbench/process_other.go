//go:build !darwin && !linux

package netbench

import (
	"syscall"
	"time"
)

// cpuTime is not known on this system.
func cpuTime() time.Duration { return 0 }

// ownGroup does nothing on this system.
func ownGroup() *syscall.SysProcAttr { return nil }
