package backend

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestReexecTuned(t *testing.T) {
	isolate(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	offered := hugePagesOffered()
	tuned := func(tunables string) string {
		return withSettings(tunables, settings(runtime.NumCPU(), offered))
	}
	for _, test := range []struct {
		env, tunables string
		hugePages     bool
		before        string // for the processes that it starts
	}{
		{"", tuned(""), offered, ""},
		{tunablesEnv + "=glibc.malloc.check=3", tuned("glibc.malloc.check=3"), offered, "glibc.malloc.check=3"},
		{NoTuningEnv + "=1", "", false, ""},
		{tunablesEnv + "=glibc.malloc.hugetlb=0", tuned("glibc.malloc.hugetlb=0"), false, "glibc.malloc.hugetlb=0"},
	} {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), printTunablesEnv+"=1", test.env)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		// The same process goes on: its number stays.
		want := fmt.Sprintf("%d %s %v %q\n", cmd.Process.Pid, test.tunables, test.hugePages, test.before)
		if got := string(out); got != want {
			t.Errorf("%q: got %q, want %q", test.env, got, want)
		}
	}
}

// Processes that compile get the settings that this one was started with.
func TestUntuned(t *testing.T) {
	isolate(t)
	value := func() string {
		var values []string
		for _, v := range untuned() {
			if strings.HasPrefix(v, tunablesEnv+"=") {
				values = append(values, v)
			}
		}
		return strings.Join(values, " ")
	}
	t.Setenv(tunablesEnv, "a=1")
	if got, want := value(), tunablesEnv+"=a=1"; got != want {
		t.Errorf("not started again: %q, want %q", got, want)
	}
	for before, want := range map[string]string{"": "", "b=2": tunablesEnv + "=b=2"} {
		t.Setenv(reexecEnv, before)
		if got := value(); got != want {
			t.Errorf("started again, %q before: %q, want %q", before, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	const all = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592:glibc.malloc.arena_max=1"
	for _, test := range []struct {
		cores int
		huge  bool
		in    string
		want  string
	}{
		{2, true, "", all},
		{2, true, all, all},
		{64, true, "", strings.TrimSuffix(all, ":glibc.malloc.arena_max=1")},
		{2, false, "", strings.TrimPrefix(all, "glibc.malloc.hugetlb=1:")},
		{64, true, "a.b=1:glibc.malloc.hugetlb=2:glibc.malloc.mmap_max=9", "a.b=1:glibc.malloc.hugetlb=2:glibc.malloc.mmap_max=9:glibc.malloc.trim_threshold=8589934592"},
	} {
		if got := withSettings(test.in, settings(test.cores, test.huge)); got != test.want {
			t.Errorf("%d cores, huge pages %v, %q: got %q, want %q", test.cores, test.huge, test.in, got, test.want)
		}
	}
}
