package backend

import "testing"

// Two processors of a machine, and one processor at two clock rates, are the same; other features are not.
func TestFirstProcessor(t *testing.T) {
	const one = "processor\t: 0\nmodel name\t: A\ncpu MHz\t\t: 2596.1\nflags\t\t: fpu avx512f\n\n"
	const same = "processor\t: 7\nmodel name\t: A\ncpu MHz\t\t: 800\nflags\t\t: fpu avx512f\n\nprocessor\t: 8\nflags\t\t: none\n"
	const other = "processor\t: 0\nmodel name\t: A\ncpu MHz\t\t: 2596.1\nflags\t\t: fpu\n\n"
	want := string(firstProcessor([]byte(one)))
	if want == "" || want != string(firstProcessor([]byte(same))) {
		t.Errorf("%q and %q", want, firstProcessor([]byte(same)))
	}
	if want == string(firstProcessor([]byte(other))) {
		t.Error("other features are not seen")
	}
}
