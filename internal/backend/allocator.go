package backend

import (
	"os"
	"slices"
	"strings"
)

const (
	// NoTuningEnv names the environment variable that turns ReexecTuned off.
	NoTuningEnv = "GODCPT_NO_MALLOC_TUNING"

	tunablesEnv = "GLIBC_TUNABLES"
	hugePages   = "glibc.malloc.hugetlb"
	// reexecEnv marks the second start, so that there is never a third; its value is what tunablesEnv was.
	reexecEnv = "GODCPT_REEXEC"
)

// maxCoresOneArena is up to how many cores one arena is asked for: threads that compile share its
// lock, which costs nothing on two cores and has not been measured on many.
const maxCoresOneArena = 8

// setting is one of the C library's allocator.
type setting struct{ name, value string }

// settings are what XLA's programs on the CPU are fast with. They take the memory of their temporaries
// (a gigabyte for a training step) and free it in every run; by default it goes back to the system, which
// has to find and clear the pages again.
func settings(cores int, hugePagesOffered bool) []setting {
	var list []setting
	if hugePagesOffered {
		list = append(list, setting{hugePages, "1"})
	}
	list = append(list,
		setting{"glibc.malloc.mmap_max", "0"},                // large blocks too come from the heap,
		setting{"glibc.malloc.trim_threshold", "8589934592"}, // which keeps up to 8 GiB.
	)
	if cores <= maxCoresOneArena {
		// Other arenas are lists of small heaps, and those go back to the system all the same.
		list = append(list, setting{"glibc.malloc.arena_max", "1"})
	}
	return list
}

// withSettings returns tunables, a value of GLIBC_TUNABLES, with the settings that it does not make.
func withSettings(tunables string, list []setting) string {
	for _, s := range list {
		if tunable(tunables, s.name) == "" {
			tunables = strings.TrimPrefix(tunables+":"+s.name+"="+s.value, ":")
		}
	}
	return tunables
}

// tunable returns the value of a setting in tunables; "" if it is not there.
func tunable(tunables, name string) string {
	for s := range strings.SplitSeq(tunables, ":") {
		if key, value, _ := strings.Cut(s, "="); key == name {
			return value
		}
	}
	return ""
}

// withTunables returns environ with a value of GLIBC_TUNABLES; "" stands for none.
func withTunables(environ []string, tunables string) []string {
	environ = slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, tunablesEnv+"=") })
	if tunables != "" {
		environ = append(environ, tunablesEnv+"="+tunables)
	}
	return environ
}

// untuned returns the environment of this process with GLIBC_TUNABLES as it was before ReexecTuned.
func untuned() []string {
	before, tuned := os.LookupEnv(reexecEnv)
	if !tuned {
		return os.Environ()
	}
	return withTunables(os.Environ(), before)
}
