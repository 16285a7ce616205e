package zoo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var data = bytes.Repeat([]byte("weights "), 5000)

// place is a machine of its own: with an offline folder, a cache folder, a mirror and a publisher.
type place struct {
	offline, cache string
	weights        Weights

	mu       sync.Mutex
	requests []string // since the last call of asked
}

// asked returns the requests, in their order, and forgets them.
func (p *place) asked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := strings.Join(p.requests, " ")
	p.requests = nil
	return requests
}

func newPlace(t *testing.T) *place {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("LocalAppData", filepath.Join(home, "cache"))
	t.Setenv(DirEnv, "")
	t.Setenv(MirrorEnv, "")
	cache, err := DefaultDir()
	if err != nil || !strings.HasPrefix(cache, home) {
		t.Fatalf("the cache is %s (%v)", cache, err)
	}
	p := &place{offline: filepath.Join(home, "offline"), cache: cache}
	if err := os.Mkdir(p.offline, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	p.weights = Weights{
		Name: "test", File: "test.pth", Project: "Tests", Page: "https://example.org/page",
		URL: p.serve(t, "publisher"), SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
	}
	return p
}

// serve returns the address of the file on a new server.
func (p *place) serve(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, name+r.URL.Path)
		p.mu.Unlock()
		if r.URL.Path != "/files/test.pth" {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/files/test.pth"
}

// mirror sets one up.
func (p *place) mirror(t *testing.T) {
	t.Helper()
	t.Setenv(MirrorEnv, strings.TrimSuffix(p.serve(t, "mirror"), "/test.pth"))
}

// put writes the file into a folder.
func put(t *testing.T, dir string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test.pth")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *place) check(t *testing.T, got Result, err error, path, requests string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != path {
		t.Errorf("the file is %s, want %s", got.Path, path)
	}
	if content, err := os.ReadFile(got.Path); err != nil || !bytes.Equal(content, data) {
		t.Errorf("%s holds %d bytes (%v)", got.Path, len(content), err)
	}
	sum := sha256.Sum256(data)
	if got.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("sha256 %s", got.SHA256)
	}
	if asked := p.asked(); asked != requests {
		t.Errorf("asked for %q, want %q", asked, requests)
	}
}

// The offline folder comes first, then what was downloaded, then the mirror, then the publisher.
func TestGetPrecedence(t *testing.T) {
	t.Run("publisher", func(t *testing.T) {
		p := newPlace(t)
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "publisher/files/test.pth")
		if got.From != p.weights.URL {
			t.Errorf("from %s", got.From)
		}
		// Once it is there, nobody is asked.
		got, err = Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "")
		if Local(p.weights) != got.Path || got.From != "" {
			t.Errorf("local %s, from %s", Local(p.weights), got.From)
		}
	})
	t.Run("without a checksum", func(t *testing.T) {
		p := newPlace(t)
		p.weights.SHA256, p.weights.Size = "", 0
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "publisher/files/test.pth")
	})
	t.Run("mirror", func(t *testing.T) {
		p := newPlace(t)
		p.mirror(t)
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "mirror/files/test.pth")
	})
	t.Run("mirror of what is fetched by hand", func(t *testing.T) {
		p := newPlace(t)
		p.mirror(t)
		p.weights.URL = ""
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "mirror/files/test.pth")
	})
	t.Run("cache before mirror", func(t *testing.T) {
		p := newPlace(t)
		p.mirror(t)
		path := put(t, p.cache, data)
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, path, "")
	})
	t.Run("offline folder before the cache", func(t *testing.T) {
		p := newPlace(t)
		p.mirror(t)
		put(t, p.cache, []byte("not looked at"))
		path := put(t, p.offline, data)
		t.Setenv(DirEnv, p.offline)
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, path, "")
	})
	t.Run("nothing in the offline folder", func(t *testing.T) {
		p := newPlace(t)
		t.Setenv(DirEnv, p.offline)
		got, err := Get(t.Context(), p.weights, Options{})
		p.check(t, got, err, filepath.Join(p.cache, "test.pth"), "publisher/files/test.pth")
	})
}

func TestGetOut(t *testing.T) {
	p := newPlace(t)
	out := filepath.Join(t.TempDir(), "mine.pth")
	got, err := Get(t.Context(), p.weights, Options{Out: out})
	p.check(t, got, err, out, "publisher/files/test.pth")

	got, err = Get(t.Context(), p.weights, Options{Out: out}) // it is this very file
	p.check(t, got, err, out, "")

	p = newPlace(t) // a copy of the one in the offline folder, in a folder
	path := put(t, p.offline, data)
	t.Setenv(DirEnv, p.offline)
	dir := t.TempDir()
	got, err = Get(t.Context(), p.weights, Options{Out: dir})
	p.check(t, got, err, filepath.Join(dir, "test.pth"), "")
	if got.From != path {
		t.Errorf("from %q, want %q", got.From, path)
	}
}

func TestGetErrors(t *testing.T) {
	closed := httptest.NewServer(nil)
	address := closed.URL
	closed.Close()
	tests := []struct {
		name  string
		setUp func(t *testing.T, p *place, opts *Options)
		want  []string
	}{
		{"by hand", func(_ *testing.T, p *place, _ *Options) { p.weights.URL = "" },
			[]string{"open https://example.org/page, download test.pth and put it into", filepath.Join("godcpt", "weights")}},
		{"by hand, with a folder", func(t *testing.T, p *place, _ *Options) {
			p.weights.URL = ""
			t.Setenv(DirEnv, p.offline)
		}, []string{"put it into", "offline, then"}},
		{"no network", func(_ *testing.T, p *place, _ *Options) { p.weights.URL = address + "/test.pth" },
			[]string{"cannot be reached", "Without a network: download " + address + "/test.pth on another machine and put it into"}},
		{"not there", func(_ *testing.T, p *place, _ *Options) { p.weights.URL += "x" },
			[]string{"404 Not Found", "by hand"}},
		{"not on the mirror", func(t *testing.T, p *place, _ *Options) {
			p.mirror(t)
			p.weights.File = "other.pth"
		}, []string{"404 Not Found", MirrorEnv}},
		{"mirror that is no address", func(t *testing.T, _ *place, _ *Options) { t.Setenv(MirrorEnv, "http://[") },
			[]string{MirrorEnv + " is not an address"}},
		{"mirror over plain http", func(t *testing.T, _ *place, _ *Options) { t.Setenv(MirrorEnv, "http://mirror.example.org/w") },
			[]string{"http://mirror.example.org/w/test.pth is not an https address"}},
		{"another file", func(_ *testing.T, p *place, _ *Options) { p.weights.SHA256 = strings.Repeat("0", 64) },
			[]string{"not the expected one (sha256"}},
		{"another file in the offline folder", func(t *testing.T, p *place, _ *Options) {
			t.Setenv(DirEnv, p.offline)
			put(t, p.offline, append([]byte("x"), data[1:]...))
		}, []string{"test.pth: the file is not the expected one", "remove or replace it"}},
		{"half of the file in the cache", func(t *testing.T, p *place, _ *Options) { put(t, p.cache, data[:100]) },
			[]string{"100 bytes, expected 40000"}},
		{"saved web page", func(t *testing.T, p *place, _ *Options) { put(t, p.cache, []byte("\n<!DOCTYPE html><html>")) },
			[]string{"web page that was saved"}},
		{"empty file", func(t *testing.T, p *place, _ *Options) { put(t, p.cache, nil) },
			[]string{"the file is empty"}},
		{"the output exists", func(t *testing.T, p *place, opts *Options) { opts.Out = put(t, t.TempDir(), []byte("mine")) },
			[]string{"is not replaced"}},
		{"the output exists, and no checksum tells", func(t *testing.T, p *place, opts *Options) {
			p.weights.SHA256 = ""
			opts.Out = put(t, t.TempDir(), data)
		}, []string{"is not replaced"}},
		{"no such folder", func(t *testing.T, _ *place, opts *Options) { opts.Out = filepath.Join(t.TempDir(), "a", "b.pth") },
			[]string{"there is no folder"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			var opts Options
			test.setUp(t, p, &opts)
			got, err := Get(t.Context(), p.weights, opts)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %+v, error %v, want %q", got, err, want)
				}
			}
		})
	}
}

// An interruption is no failure that advice would help with.
func TestGetCancelled(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Get(ctx, p.weights, Options{}); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "by hand") {
		t.Errorf("error %v", err)
	}
}
