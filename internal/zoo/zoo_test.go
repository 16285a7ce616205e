package zoo

import (
	"encoding/hex"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	names, files := map[string]bool{}, map[string]bool{}
	word := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			if names[w.Name] || !word.MatchString(w.Name) {
				t.Error("the name is not a name, or is there twice")
			}
			// Mirrors and folders know files by their names.
			if files[w.File] || w.File != path.Base(w.File) || path.Ext(w.File) == "" {
				t.Errorf("the file %q is not a file, or is there twice", w.File)
			}
			names[w.Name], files[w.File] = true, true
			if (w.Preset == "") == (w.Arch == "") {
				t.Errorf("preset %q and architecture %q: one of them says what network it is", w.Preset, w.Arch)
			}
			if !word.MatchString(w.Preset + w.Arch) {
				t.Errorf("preset %q, architecture %q", w.Preset, w.Arch)
			}
			if w.Task == "" || w.Project == "" || w.Licence == "" {
				t.Error("task, project or licence is missing")
			}
			for _, address := range []string{w.Home, w.Page} {
				checkAddress(t, address)
			}
			if w.URL != "" {
				checkAddress(t, w.URL)
				if path.Base(w.URL) != w.File {
					t.Errorf("the address %s is not that of %s", w.URL, w.File)
				}
			}
			if sum, err := hex.DecodeString(w.SHA256); err != nil || w.SHA256 != "" && len(sum) != 32 {
				t.Errorf("sha256 %q", w.SHA256)
			}
			if w.Copy && w.SHA256 == "" {
				t.Error("a copy without a checksum could hold anything")
			}
			if w.Size < 0 || w.Size > maxSize {
				t.Errorf("size %d", w.Size)
			}
		})
	}
	if len(names) < 30 {
		t.Errorf("%d weights: some are missing", len(names))
	}
}

func checkAddress(t *testing.T, address string) {
	t.Helper()
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
		t.Errorf("%q is not an https address", address)
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, text := range []string{"- project: a\n  licences: b\n", "- project: a\n  weights:\n    - {name: b, size: large}\n", "7"} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestFind(t *testing.T) {
	w, err := Find("nafnet-gopro-w32")
	if err != nil || w.Preset != "nafnet-gopro-w32" || w.Licence != "MIT" || !w.Copy {
		t.Errorf("got %+v, %v", w, err)
	}
	for name, want := range map[string]string{
		"nafnet-gopro-32": "did you mean nafnet-gopro-w32?",
		"Jpeg":            "did you mean swinir-jpeg-10, swinir-jpeg-20, swinir-jpeg-30, swinir-jpeg-40?",
		"w9":              `no weights "w9": godcpt weights list`,
		"":                `no weights "": godcpt weights list`,
	} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", name, err, want)
		}
	}
}
