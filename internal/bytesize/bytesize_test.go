package bytesize

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const bad = -1
	for text, want := range map[string]int64{
		"0": 0, "0MB": 0, "7b": 7, "500kB": 500_000, "256MB": 256e6, " 1.5 gb ": 1.5e9, "1KiB": 1024, "2MiB": 2 << 20, "1GiB": 1 << 30,
		"": bad, "MB": bad, "512": bad, "-1MB": bad, "1TB": bad, "nan": bad, "nanB": bad, "infGB": bad, "1e300B": bad, "1e300GB": bad, "x": bad,
	} {
		got, err := Parse(text)
		switch {
		case want == bad:
			if err == nil || !strings.Contains(err.Error(), "is no size") {
				t.Errorf("%q is %d, %v; want an error", text, got, err)
			}
		case err != nil || got != want:
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}
