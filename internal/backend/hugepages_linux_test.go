package backend

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestReexecWithHugePages(t *testing.T) {
	isolate(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  []string
		want string
	}{
		{nil, "glibc.malloc.hugetlb=1 true"},
		{[]string{tunablesEnv + "=glibc.malloc.check=3"}, "glibc.malloc.check=3:glibc.malloc.hugetlb=1 true"},
		{[]string{NoHugePagesEnv + "=1"}, " false"},
		{[]string{tunablesEnv + "=glibc.malloc.hugetlb=0"}, "glibc.malloc.hugetlb=0 false"},
	} {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), printTunablesEnv+"=1")
		cmd.Env = append(cmd.Env, test.env...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if !hugePagesOffered() {
			test.want = strings.Replace(test.want, " true", " false", 1)
			test.want = test.want[strings.LastIndex(test.want, " "):]
		}
		// The same process goes on: its number stays.
		if got := string(out); !strings.HasPrefix(got, fmt.Sprint(cmd.Process.Pid)) || !strings.HasSuffix(got, test.want+"\n") {
			t.Errorf("%v: got %q, want process %d and %q", test.env, got, cmd.Process.Pid, test.want)
		}
	}
}
