package backend

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goxla "github.com/gomlx/go-xla/installer"

	"github.com/godcpt/godcpt/internal/download"
)

// isolate gives the test a home of its own, in which no plugin is installed, and returns it.
func isolate(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{"PJRT_PLUGIN_LIBRARY_PATH", "LD_LIBRARY_PATH", "GOMLX_BACKEND", "XDG_CONFIG_HOME",
		"PIP_INDEX_URL", "PIP_CONFIG_FILE", "VIRTUAL_ENV", NoInstallEnv, ProgramsDirEnv, tunablesEnv, reexecEnv} {
		t.Setenv(name, "")
	}
	os.Unsetenv(reexecEnv) // which counts even when it is empty
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("LocalAppData", filepath.Join(home, "local"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	if found, _ := find("cpu"); len(found) > 0 {
		t.Skipf("this machine has a plugin for all users (%s), which a test cannot hide", found[0].path)
	}
	return home
}

// fakeLibrary is the smallest file that passes for a shared library of this machine.
func fakeLibrary(t *testing.T) []byte {
	t.Helper()
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64, Phnum: 1, Phoff: 64}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	const size = 1000
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	if err := binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: size, Memsz: size}); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), make([]byte, size-b.Len())...)
}

// fakeWheel returns the bytes of a wheel that holds content under name, and its pin.
func fakeWheel(t *testing.T, name string, content []byte) ([]byte, wheel) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), wheel{file: "xla_cpu_pjrt-0.0.1-py3-none-test.whl", sha256: hex.EncodeToString(sum[:])}
}

// testInstaller installs from the given index, and never asks GitHub.
func testInstaller(log io.Writer, indexURL string, pin wheel) *installer {
	return &installer{
		log:      log,
		client:   newClient(log, 10*time.Second),
		indexURL: indexURL,
		probe:    10 * time.Second,
		backoff:  time.Millisecond,
		wheel:    pin,
		github:   func(*installer) error { return errors.New("not in this test") },
	}
}

func TestInstallFromIndex(t *testing.T) {
	library := fakeLibrary(t)
	data, pin := fakeWheel(t, wheelLibrary, library)
	withoutLibrary, pinWithoutLibrary := fakeWheel(t, "other.so", library)
	jsonPage := func(host string) (string, string) {
		return "application/vnd.pypi.simple.v1+json",
			fmt.Sprintf(`{"files":[{"url":"%s/files/other.whl"},{"url":"%s/files/%s"}]}`, host, host, pin.file)
	}
	htmlPage := func(string) (string, string) {
		return "text/html; charset=utf-8", `<!DOCTYPE html><body><A class="x" href='../../files/other.whl'>other</a>
<a href="../../files/` + pin.file + `#sha256=00&amp;egg=1" data-x>file</a>`
	}
	refuse := func(w http.ResponseWriter, _ int32) { http.Error(w, "no", http.StatusForbidden) }
	send := func(data []byte) func(http.ResponseWriter, int32) {
		return func(w http.ResponseWriter, _ int32) { w.Write(data) }
	}
	breakOffBefore := func(attempt int32) func(http.ResponseWriter, int32) {
		return func(w http.ResponseWriter, n int32) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			if n < attempt {
				w.Write(data[:len(data)/2])
				return // the server closes the connection: too few bytes
			}
			w.Write(data)
		}
	}
	tests := []struct {
		name  string
		page  func(host string) (contentType, body string)
		file  func(w http.ResponseWriter, attempt int32)
		pin   wheel
		want  string // part of the error, "" for success
		tries int32
	}{
		{"json", jsonPage, send(data), pin, "", 1},
		{"html with relative links", htmlPage, send(data), pin, "", 1},
		{"broken off twice", jsonPage, breakOffBefore(3), pin, "", 3},
		{"broken off always", jsonPage, breakOffBefore(99), pin, "unexpected EOF", 3},
		{"other content", jsonPage, send(append([]byte("x"), data...)), pin, "not the expected one", 1},
		{"cut content", jsonPage, send(data[:100]), pin, "not the expected one", 1},
		{"no library inside", jsonPage, send(withoutLibrary), wheel{pin.file, pinWithoutLibrary.sha256}, "holds no " + wheelLibrary, 1},
		{"file refused", jsonPage, refuse, pin, "403 Forbidden", 1},
		{"not in the index", func(string) (string, string) { return "text/html", "<a href=x.whl>" }, send(data), pin, "does not list", 0},
		{"wrong JSON", func(string) (string, string) { return "application/json", "<html>" }, send(data), pin, "not the JSON", 0},
		{"platform without a file", jsonPage, send(data), wheel{}, "has no file for", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			isolate(t)
			var attempts atomic.Int32
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			mux.HandleFunc("/simple/"+wheelPackage+"/", func(w http.ResponseWriter, _ *http.Request) {
				contentType, body := test.page(server.URL)
				w.Header().Set("Content-Type", contentType)
				io.WriteString(w, body)
			})
			mux.HandleFunc("/files/"+pin.file, func(w http.ResponseWriter, _ *http.Request) {
				test.file(w, attempts.Add(1))
			})
			in := testInstaller(io.Discard, server.URL+"/simple", test.pin)
			p, err := in.installCPU()
			if attempts.Load() != test.tries {
				t.Errorf("the file was asked for %d times, want %d", attempts.Load(), test.tries)
			}
			dir, _ := CacheDir()
			var files []string
			filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
				if !d.IsDir() && d.Name() != ".lock" {
					files = append(files, d.Name())
				}
				return nil
			})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				if len(files) != 0 {
					t.Errorf("files are left after a failure: %v", files)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(p.path)
			if err != nil || !bytes.Equal(got, library) {
				t.Errorf("%s does not hold the library (%v)", p.path, err)
			}
			if len(files) != 1 || files[0] != pluginFile {
				t.Errorf("files are left beside the plugin: %v", files)
			}
		})
	}
}

// Several processes may start at once: one installs, the others take what it installed.
func TestInstallOnce(t *testing.T) {
	isolate(t)
	data, pin := fakeWheel(t, wheelLibrary, fakeLibrary(t))
	var downloads atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".whl") {
			downloads.Add(1)
			w.Write(data)
			return
		}
		fmt.Fprintf(w, `<a href="/%s">`, pin.file)
	}))
	defer server.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			// Each has a lock file handle of its own, as processes have.
			p, err := testInstaller(io.Discard, server.URL, pin).installCPU()
			if err != nil || filepath.Base(p.path) != pluginFile {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if n := downloads.Load(); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

func TestInstallRemovesLeftovers(t *testing.T) {
	isolate(t)
	data, pin := fakeWheel(t, wheelLibrary, fakeLibrary(t))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".whl") {
			w.Write(data)
			return
		}
		fmt.Fprintf(w, `<a href="/%s">`, pin.file)
	}))
	defer server.Close()
	dir, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".download-1.whl", "." + pluginFile + ".tmp-2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A plugin that is cut off counts as none, and is replaced.
	if err := os.WriteFile(filepath.Join(dir, pluginFile), fakeLibrary(t)[:500], 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := testInstaller(io.Discard, server.URL, pin).installCPU(); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("want only the lock and the plugin, got %v", entries)
	}
}

// A server that stops sending must not hang the program.
func TestDownloadStalls(t *testing.T) {
	isolate(t)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".whl") {
			fmt.Fprint(w, `<a href="/a.whl">`)
			return
		}
		w.Header().Set("Content-Length", "5000000")
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	in := testInstaller(io.Discard, server.URL, wheel{file: "a.whl"})
	in.client = newClient(io.Discard, 50*time.Millisecond)
	if _, err := in.installCPU(); !errors.Is(err, download.ErrStalled) {
		t.Errorf("error %v, want %v", err, download.ErrStalled)
	}
}

// redirectTo sends every request to one test server, whatever its host.
type redirectTo struct{ host string }

func (r redirectTo) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL = &url.URL{Scheme: "http", Host: r.host, Path: req.URL.Path}
	return http.DefaultTransport.RoundTrip(req)
}

// go-xla's own installer runs against a release of ours, with its output and client replaced.
func TestInstallFromGitHub(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the release for Windows is a zip file")
	}
	library := fakeLibrary(t)
	var archive bytes.Buffer
	zw := gzip.NewWriter(&archive)
	tw := tar.NewWriter(zw)
	if err := tw.WriteHeader(&tar.Header{Name: "pjrt_c_api_cpu_v9.9.9_plugin.so", Mode: 0o755, Size: int64(len(library))}); err != nil {
		t.Fatal(err)
	}
	tw.Write(library)
	tw.Close()
	zw.Close()

	for _, available := range []bool{true, false} {
		t.Run(fmt.Sprint("available ", available), func(t *testing.T) {
			home := isolate(t)
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			if available {
				mux.HandleFunc("/repos/"+goxla.BinaryCPUReleasesRepo+"/releases/", func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprintf(w, `{"assets":[{"browser_download_url":"%s/pjrt_cpu_%s_%s.tar.gz"}]}`, "https://github.com", runtime.GOOS, runtime.GOARCH)
				})
				mux.HandleFunc("/pjrt_cpu_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz", func(w http.ResponseWriter, _ *http.Request) {
					w.Write(archive.Bytes())
				})
			}
			in := testInstaller(io.Discard, "http://127.0.0.1:1/", wheel{file: "x.whl"})
			in.client = &http.Client{Transport: redirectTo{strings.TrimPrefix(server.URL, "http://")}}
			in.github = (*installer).installFromGitHub
			stdout, client := os.Stdout, http.DefaultClient
			p, err := in.installCPU()
			if os.Stdout != stdout || http.DefaultClient != client {
				t.Error("standard output or the HTTP client was not put back")
			}
			if !available {
				if err == nil || !strings.Contains(err.Error(), "404") {
					t.Errorf("error %v, want GitHub's 404", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(p.path, home) || !strings.Contains(p.source, "GitHub") {
				t.Errorf("got %+v, want a plugin in %s from GitHub", p, home)
			}
		})
	}
}

func TestGitHubNotAnswering(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	in := testInstaller(io.Discard, "", wheel{})
	in.probe = 20 * time.Millisecond
	err := in.reachable(server.URL)
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v, want one that says that the host does not answer", err)
	}
}

func TestProgressLines(t *testing.T) {
	var log bytes.Buffer
	p := newProgress(&log, "downloading x", 4_000_000)
	for range 40 {
		p.add(100_000)
	}
	p.end()
	want := "godcpt: downloading x (4 MB)\ngodcpt: downloading x: 25 %\ngodcpt: downloading x: 50 %\ngodcpt: downloading x: 75 %\ngodcpt: downloading x: 100 %\n"
	if log.String() != want {
		t.Errorf("got\n%swant\n%s", log.String(), want)
	}
}

func TestExplain(t *testing.T) {
	for err, want := range map[error]string{
		&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: "XDG_CACHE_HOME",
		&os.PathError{Op: "mkdir", Path: "x", Err: syscall.EACCES}: "no permission",
		&os.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}:  "no permission",
	} {
		if got := explain(fmt.Errorf("while: %w", err), "/cache"); !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%v is explained as %v, want %q", err, got, want)
		}
	}
}

func TestInstallWithoutPermission(t *testing.T) {
	isolate(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", file) // a file where the folder should be; permissions do not bind root
	if _, err := testInstaller(io.Discard, "", wheel{file: "x"}).installCPU(); err == nil {
		t.Error("no error from a cache folder that cannot be made")
	}
}

func TestIndexURL(t *testing.T) {
	home := isolate(t)
	if runtime.GOOS != "linux" {
		t.Skip("pip's files lie elsewhere")
	}
	if got := indexURL(); got != defaultIndexURL && len(pipConfigFiles()) == 0 {
		t.Errorf("got %q", got)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(home, ".config", "pip", "pip.conf"), "[install]\nindex-url = https://no\n[Global]\n# c\ntimeout=3\nindex_url: https://user/simple \n")
	if got := indexURL(); got != "https://user/simple" {
		t.Errorf("got %q, want the user's file", got)
	}
	env := filepath.Join(home, "venv")
	write(filepath.Join(env, "pip.conf"), "[global]\nindex-url = https://venv/simple\n")
	t.Setenv("VIRTUAL_ENV", env)
	if got := indexURL(); got != "https://venv/simple" {
		t.Errorf("got %q, want the environment's file", got)
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	if got := indexURL(); got != defaultIndexURL {
		t.Errorf("got %q, want the default: no files are to be read", got)
	}
	t.Setenv("PIP_INDEX_URL", "https://variable/simple")
	if got := indexURL(); got != "https://variable/simple" {
		t.Errorf("got %q, want the variable", got)
	}
}
