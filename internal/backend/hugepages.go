package backend

import "strings"

const (
	// NoHugePagesEnv names the environment variable that turns ReexecWithHugePages off.
	NoHugePagesEnv = "GODCPT_NO_HUGEPAGES"

	tunablesEnv = "GLIBC_TUNABLES"
	tunable     = "glibc.malloc.hugetlb"
	// reexecEnv marks the second start, so that there is never a third.
	reexecEnv = "GODCPT_REEXEC"
)

// withHugePages returns tunables, a value of GLIBC_TUNABLES, with huge pages asked for, and whether
// that changes it: a value that says something about huge pages already is left alone.
func withHugePages(tunables string) (string, bool) {
	for setting := range strings.SplitSeq(tunables, ":") {
		if name, _, _ := strings.Cut(setting, "="); name == tunable {
			return tunables, false
		}
	}
	if tunables != "" {
		tunables += ":"
	}
	return tunables + tunable + "=1", true
}
