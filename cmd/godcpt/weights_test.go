package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/zoo"
)

// unverified has no checksum in the table, so that a test can serve any content for it.
const unverified = "swinir-denoising-15"

// weightsPlace gives a test a cache of its own, and returns the folder of its weights.
func weightsPlace(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("LocalAppData", filepath.Join(home, "cache"))
	t.Setenv(zoo.DirEnv, "")
	t.Setenv(zoo.MirrorEnv, "")
	dir, err := zoo.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWeightsList(t *testing.T) {
	dir := weightsPlace(t)
	list := call(t, "weights", "list")
	list.check(t, exitOK, "restormer-deraining", "")
	lines := strings.Split(strings.TrimSpace(list.stdout), "\n")
	if len(lines) != len(zoo.All())+1 {
		t.Errorf("%d lines for %d weights", len(lines), len(zoo.All()))
	}
	for name, want := range map[string][]string{
		"dcpt-nafnet-5d":   {"nafnet-5d", "low light", "-", "by hand"},
		"nafnet-gopro-w32": {"nafnet-gopro-w32", "motion blur", "69 MB", "download (a copy)"},
		unverified:         {"swinir-original", "Gaussian noise 15", "-", "download"},
	} {
		for _, line := range lines {
			if !strings.HasPrefix(line, name+" ") {
				continue
			}
			for _, part := range want {
				if !strings.Contains(line, " "+part) {
					t.Errorf("%q does not say %q", line, part)
				}
			}
		}
		if !strings.Contains(list.stdout, "\n"+name+" ") {
			t.Errorf("%s is not listed", name)
		}
	}

	w, err := zoo.Find(unverified)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, w.File), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(zoo.MirrorEnv, "https://mirror.example.org")
	asJSON := call(t, "weights", "list", "--json")
	asJSON.check(t, exitOK, "", "")
	var all []map[string]any
	if err := json.Unmarshal([]byte(asJSON.stdout), &all); err != nil || len(all) != len(zoo.All()) {
		t.Fatalf("%d weights, %v", len(all), err)
	}
	for _, each := range all {
		switch each["name"] {
		case unverified:
			if each["how"] != "is here" || each["path"] != filepath.Join(dir, w.File) || each["url"] != w.URL {
				t.Errorf("got %v", each)
			}
		case "nafnet-gopro-w32":
			if each["how"] != "mirror" || each["copy"] != true || len(each["sha256"].(string)) != 64 || each["licence"] != "MIT" {
				t.Errorf("got %v", each)
			}
		}
	}
}

func TestWeightsGet(t *testing.T) {
	dir := weightsPlace(t)
	content := bytes.Repeat([]byte("weights "), 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "jpeg10.pth"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, "jpeg20.pth"):
			w.Header().Set("Content-Type", "text/html")
		default:
			w.Write(content)
		}
	}))
	defer server.Close()
	t.Setenv(zoo.MirrorEnv, server.URL)
	w, err := zoo.Find(unverified)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, w.File)

	got := call(t, "weights", "get", unverified)
	got.check(t, exitOK, "Next: godcpt restore photo.jpg -o out.png -w "+path, "")
	got.check(t, exitOK, "no checksum of it is known: sha256 ", "")
	got.check(t, exitOK, "licence: Apache-2.0", "")
	if saved, err := os.ReadFile(path); err != nil || !bytes.Equal(saved, content) {
		t.Errorf("%d bytes in %s (%v)", len(saved), path, err)
	}
	again := call(t, "weights", "get", unverified)
	again.check(t, exitOK, path, "")
	if strings.Contains(again.stdout, "downloading") {
		t.Errorf("it is downloaded again: %s", again.stdout)
	}

	out := filepath.Join(t.TempDir(), "mine.pth")
	call(t, "weights", "get", unverified, "-o", out).check(t, exitOK, "-w "+out, "")
	call(t, "weights", "get", unverified, "-o", out).check(t, exitFailure, "", "is not replaced")

	// Tensors that no preset fits: nothing to restore with.
	other := call(t, "weights", "get", "maskdcpt-restormer-5d")
	other.check(t, exitOK, "No network of this program fits it", "")
	if strings.Contains(other.stdout, "Next:") {
		t.Error(other.stdout)
	}

	call(t, "weights", "get", "swinir-jpeg-10").check(t, exitFailure, "", "404 Not Found")
	call(t, "weights", "get", "swinir-jpeg-20").check(t, exitFailure, "", "web page instead of the file")
	call(t, "weights", "get", "restormer-deraining").check(t, exitFailure, "", "not the expected one (sha256")

	server.Close()
	call(t, "weights", "get", "swinir-jpeg-30").check(t, exitFailure, "", "cannot be reached")
	t.Setenv(zoo.MirrorEnv, "")
	byHand := call(t, "weights", "get", "dcpt-nafnet-5d")
	byHand.check(t, exitFailure, "", "download dcpt_nafnet_5d.pth and put it into "+dir)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the folder that it names: %v", err)
	}
}

func TestWeightsInterrupted(t *testing.T) {
	weightsPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	t.Setenv(zoo.MirrorEnv, server.URL)
	callContext(ctx, "weights", "get", unverified).check(t, exitInterrupted, "", "To go on:\n  godcpt weights get "+unverified)
}

func TestWeightsUsage(t *testing.T) {
	weightsPlace(t)
	for _, test := range []struct{ args, want string }{
		{"weights", "list or get"},
		{"weights gte", `did you mean "get"?`},
		{"weights get", "the name of the weights"},
		{"weights get a b", "one argument too many"},
		{"weights get nafnet-sidd-w46", "did you mean nafnet-sidd-w"},
		{"weights list all", "one argument too many"},
	} {
		call(t, strings.Fields(test.args)...).check(t, exitUsage, "", test.want)
	}
}
