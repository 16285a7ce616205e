package benchmark

import (
	"encoding/hex"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/degrade"
)

var sizeText = regexp.MustCompile(`^[1-9]\d*x[1-9]\d*$`)

func TestTable(t *testing.T) {
	names := map[string]string{}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			for _, n := range s.names() {
				if other, ok := names[normal(n)]; ok || normal(n) == "" {
					t.Errorf("%q is called %s, too", n, other)
				}
				names[normal(n)] = s.Name
				if found, err := Find(strings.ToUpper(n)); err != nil || found != s {
					t.Errorf("%q is not found (%v)", n, err)
				}
			}
			if strings.Contains(s.Name, "/") {
				t.Error("a name with a slash looks like a split")
			}
			if s.About == "" || s.Licence == "" || len(s.Splits) == 0 {
				t.Error("about, licence or splits are missing")
			}
			if !slices.Contains(Tasks, s.Task) {
				t.Errorf("task %q", s.Task)
			}
			if u, err := url.Parse(s.Home); err != nil || u.Host == "" {
				t.Errorf("home %q", s.Home)
			}
			if s.Degrade != nil {
				params := maps.Clone(s.Degrade)
				kind, _ := params["kind"].(string)
				delete(params, "kind")
				if _, err := degrade.New(kind, params); err != nil || slices.ContainsFunc(s.Splits, func(sp Split) bool { return sp.Pairs() }) {
					t.Errorf("degrade %v: %v", s.Degrade, err)
				}
			}
			for i := range s.Splits {
				checkSplit(t, s, &s.Splits[i])
			}
			for _, v := range s.Variants {
				if v.About == "" || len(v.Sizes) == 0 {
					t.Errorf("variant %+v", v)
				}
				checkSizes(t, v.Sizes)
			}
			checkFiles(t, s)
		})
	}
	for _, name := range strings.Fields("BSD400 WED BSDS500 CBSD68 Kodak24 Urban100 McMaster Set12 Rain100L Rain100H Rain200L Rain200H Rain1400 " +
		"RESIDE/OTS RESIDE/ITS SOTS/indoor SOTS/outdoor GoPro HIDE RealBlur-J LOLv1 LOLv2 Snow100K CSD DPDD CDD-11 LIVE1 Classic5 UIR-2.5M") {
		set, _, _ := strings.Cut(name, "/")
		if _, err := Find(set); err != nil {
			t.Error(err)
		}
		if _, _, err := FindSplit(name); err != nil && strings.Contains(name, "/") {
			t.Error(err)
		}
	}
}

func checkSplit(t *testing.T, s *Set, sp *Split) {
	t.Helper()
	if found, split, err := FindSplit(s.Spec(sp)); err != nil || found != s || split != sp {
		t.Errorf("%s is not found (%v)", s.Spec(sp), err)
	}
	if sp.GT < 1 || sp.LQ < 0 || len(sp.Layouts) == 0 {
		t.Errorf("%s: %d and %d pictures, %d layouts", sp.Name, sp.LQ, sp.GT, len(sp.Layouts))
	}
	for _, l := range sp.Layouts {
		if l.GT == "" || sp.Pairs() != (l.LQ != "") || l.TrimGT < 0 {
			t.Errorf("%s: layout %+v", sp.Name, l)
		}
		if err := datasets.CheckPairRule(l.Pair); err != nil {
			t.Error(err)
		}
		for _, p := range []string{l.LQ, l.GT, l.List} {
			if _, err := path.Match(p, "x"); err != nil || p != "" && p != path.Clean(p) || strings.HasPrefix(p, "/") || strings.HasPrefix(p, "..") {
				t.Errorf("%s: path %q (%v)", sp.Name, p, err)
			}
		}
	}
	for _, p := range []string{sp.Pattern.LQ, sp.Pattern.GT} {
		if re, err := regexp.Compile(p); err != nil || p != "" && re.MatchString("") {
			t.Errorf("%s: pattern %q (%v)", sp.Name, p, err)
		}
	}
	if !sp.Pairs() && sp.Pattern.LQ != "" {
		t.Errorf("%s: there are no degraded pictures with the pattern %q", sp.Name, sp.Pattern.LQ)
	}
	checkSizes(t, sp.Sizes)
}

func checkSizes(t *testing.T, sizes []string) {
	t.Helper()
	for _, s := range sizes {
		if !sizeText.MatchString(s) {
			t.Errorf("size %q", s)
		}
	}
}

func checkFiles(t *testing.T, s *Set) {
	t.Helper()
	names := map[string]bool{}
	for _, f := range s.Files {
		u, err := url.Parse(f.URL)
		if err != nil || u.Host == "" || names[s.base(f)] || s.base(f) == "/" {
			t.Errorf("address %q: no address, or its name is there twice", f.URL)
		}
		names[s.base(f)] = true
		if !slices.Contains([]string{"zip", "tar.gz", "none"}, f.Unpack) {
			t.Errorf("%s: unpack %q", f.URL, f.Unpack)
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || f.SHA256 != "" && len(sum) != 32 {
			t.Errorf("%s: sha256 %q", f.URL, f.SHA256)
		}
		if f.Size < 0 || f.Size > maxFile || f.Into != "" && (f.Into != path.Clean(f.Into) || strings.HasPrefix(f.Into, "..") || strings.HasPrefix(f.Into, "/")) {
			t.Errorf("%s: size %d, into %q", f.URL, f.Size, f.Into)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, text := range []string{"- nam: a\n", "- name: a\n  splits:\n    - {name: b, gt: many}\n", "- name: a\n  splits:\n    - layouts: [{folder: x}]\n", "7"} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"rain_100-l":    "Rain100L",
		"Rain100L/test": "Rain100L",
		"gopro/train":   "GoPro/train",
		"SOTS/outdoor":  "SOTS/outdoor",
	} {
		s, split, err := FindSplit(name)
		if err != nil || s.Spec(split) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"Rain100M":   `no data set "Rain100M" (did you mean Rain100`,
		"urban":      "did you mean Urban100?",
		"":           `no data set "": godcpt data list`,
		"GoPro":      "write GoPro/test or GoPro/train",
		"GoPro/val":  `no split "val": write GoPro/`,
		"Gopr/train": "did you mean GoPro?",
	} {
		if _, _, err := FindSplit(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", name, err, want)
		}
	}
}
