package backend

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// ReexecTuned starts the program again in this process (same arguments, same PID) with settings of the
// C library's allocator, which only reads GLIBC_TUNABLES at start: huge pages, and freed memory is kept.
// Call it first in main. docs/performance.md has what that brings.
//
// It returns, having done nothing, when the settings are made already or NoTuningEnv is set; an error
// means that the second start failed and the program can go on without.
func ReexecTuned() error {
	before := os.Getenv(tunablesEnv)
	tunables := withSettings(before, settings(runtime.NumCPU(), hugePagesOffered()))
	if _, again := os.LookupEnv(reexecEnv); again || tunables == before || os.Getenv(NoTuningEnv) != "" {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot start again with %s=%s: %w", tunablesEnv, tunables, err)
	}
	env := append(withTunables(os.Environ(), tunables), reexecEnv+"="+before)
	return fmt.Errorf("cannot start again with %s=%s: %w", tunablesEnv, tunables, syscall.Exec(exe, os.Args, env))
}

// HugePages says whether the allocator of this process uses huge pages, and why not.
func HugePages() (on bool, why string) {
	switch tunables := os.Getenv(tunablesEnv); {
	case tunable(tunables, hugePages) == "0":
		return false, tunablesEnv + " turns them off"
	case !hugePagesOffered():
		return false, "the kernel offers none: /sys/kernel/mm/transparent_hugepage/enabled must say madvise or always (as root: echo madvise > that file)"
	case tunable(tunables, hugePages) != "":
		return true, tunablesEnv + "=" + tunables
	case os.Getenv(NoTuningEnv) != "":
		return false, NoTuningEnv + " is set"
	}
	return false, "this program was not started with them: " + tunablesEnv + "=" + hugePages + "=1"
}

func hugePagesOffered() bool {
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && (strings.Contains(string(text), "[madvise]") || strings.Contains(string(text), "[always]"))
}
