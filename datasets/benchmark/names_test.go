package benchmark

import (
	"slices"
	"strings"
	"testing"
)

func TestEnumerate(t *testing.T) {
	for pattern, want := range map[string]string{
		`a(0[1-3]|1)\.png`: "a01.png a02.png a03.png a1.png",
		`x[ab]?`:           "xa xb x",
		`x[ab]??`:          "x xa xb",
		`^(?:a|a)b{2}$`:    "abb",
		`a.png`:            "-",
		`a+`:               "-",
		`\d\d\d`:           "-", // more than the limit
		`(?i)a`:            "-",
		`(`:                "-",
	} {
		got, ok := enumerate(pattern, 10)
		if text := strings.Join(got, " "); ok != (want != "-") || ok && text != want {
			t.Errorf("%s: %q, %v, want %q", pattern, text, ok, want)
		}
	}
}

func TestOfficialNames(t *testing.T) {
	for _, c := range []struct {
		pattern string
		count   int
		names   string
		missing string
	}{
		{`kodim0[1-4]\.png`, 4, "kodim01.png kodim03.jpg", "kodim02.png kodim04.png"},
		{`[1-3]\.(png|jpg)`, 3, "2.png", "1.png 3.png"},
		{`a??[1-3]\.png`, 3, "a2.png", "1.png 3.png"},
		{`(rain-)?0{0,2}[1-3]\.png`, 3, "rain-1.png 003.png", "rain-002.png"},
		{`\d\.png`, 3, "2.png", ""}, // does not list three names
		{"", 3, "2.png", ""},
	} {
		o := newOfficialNames(c.pattern, c.count)
		if got := strings.Join(o.missing(strings.Fields(c.names)), " "); got != c.missing {
			t.Errorf("%s: missing %q, want %q", c.pattern, got, c.missing)
		}
	}
	o := newOfficialNames(`a\d\.png`, 0)
	for name, want := range map[string]string{"a1.png": "", "a1.jpg": ".png", "b1.png": "no"} {
		ok, ext := o.has(name)
		if ok != (want != "no") || ok && ext != want {
			t.Errorf("%s: %v %q", name, ok, ext)
		}
	}
	if all := newOfficialNames(`a[12]\.png`, 2).all; !slices.Equal(all, []string{"a1.png", "a2.png"}) {
		t.Errorf("%q", all)
	}
}
