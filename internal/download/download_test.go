package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// content is what the tests download: long enough that halves of it arrive in pieces.
func content(seed byte) []byte {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i>>8) + byte(i)*seed
	}
	return data
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fileServer sends a file as GitHub and others do: with validators and ranges. cut, if not negative, is
// the number of bytes of the file after which the connection breaks off, once.
type fileServer struct {
	mu     sync.Mutex
	data   []byte
	etag   string
	date   time.Time
	cut    int
	ranges []string // those asked for, "" for the whole file
	sent   int      // bytes of bodies in all
}

func (s *fileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	counted := &cutWriter{ResponseWriter: w, left: -1, sent: &s.sent}
	if s.cut >= 0 {
		var start int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start)
		counted.left = max(s.cut-start, 0)
		s.cut = -1
	}
	http.ServeContent(counted, r, "", s.date, bytes.NewReader(s.data))
	if counted.left == 0 {
		panic(http.ErrAbortHandler) // closes the connection
	}
}

// asked returns the ranges asked for and how many bytes were sent, once no answer is under way.
func (s *fileServer) asked() (ranges string, n, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.ranges, " "), len(s.ranges), s.sent
}

// cutWriter passes on as many bytes as are left, or all if that is negative.
type cutWriter struct {
	http.ResponseWriter
	left int
	sent *int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.left >= 0 && len(p) >= c.left {
		n, _ := c.ResponseWriter.Write(p[:c.left])
		*c.sent += n
		c.left = 0
		c.ResponseWriter.(http.Flusher).Flush()
		return n, errors.New("cut")
	}
	n, err := c.ResponseWriter.Write(p)
	*c.sent += n
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

// request asks for the file of a server.
func request(t *testing.T, address string) Request {
	t.Helper()
	return Request{
		URL:     address + "/weights.pth",
		Path:    filepath.Join(t.TempDir(), "weights.pth"),
		MaxSize: 10 << 20,
		Client:  NewClient(10 * time.Second),
		Backoff: time.Millisecond,
	}
}

// files lists what lies in the folder of a request.
func files(t *testing.T, r Request) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(r.Path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// checkFile fails the test unless the file is there, and nothing else.
func checkFile(t *testing.T, r Request, want []byte) {
	t.Helper()
	got, err := os.ReadFile(r.Path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, want the %d of the server (%v)", len(got), len(want), err)
	}
	if left := files(t, r); left != "weights.pth" {
		t.Errorf("in the folder: %s", left)
	}
}

func TestGet(t *testing.T) {
	data := content(3)
	server := &fileServer{data: data, etag: `"a"`, cut: -1}
	host := httptest.NewServer(server)
	defer host.Close()
	r := request(t, host.URL)
	r.SHA256, r.Size = strings.ToUpper(hexSum(data)), int64(len(data))
	var last, total int64
	r.Progress = func(done, all int64) {
		if done <= last {
			t.Errorf("progress %d after %d", done, last)
		}
		last, total = done, all
	}
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
	if size := int64(len(data)); last != size || total != size {
		t.Errorf("progress ended with %d of %d, want %d", last, total, size)
	}
}

// A transfer that breaks off goes on where it stopped: no byte is sent twice.
func TestGetResumes(t *testing.T) {
	data := content(3)
	date := time.Date(2022, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		etag string
		date time.Time
		// what is sent in all, and the ranges asked for
		sent   int
		ranges string
	}{
		{"etag", `"a"`, time.Time{}, len(data), " bytes=300000-"},
		{"date", "", date, len(data), " bytes=300000-"},
		{"weak etag and date", `W/"a"`, date, len(data), " bytes=300000-"},
		{"nothing to tell versions by", "", time.Time{}, 300000 + len(data), " "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &fileServer{data: data, etag: test.etag, date: test.date, cut: 300000}
			host := httptest.NewServer(server)
			defer host.Close()
			r := request(t, host.URL)
			var retries []error
			r.Retry = func(err error) { retries = append(retries, err) }
			if err := Get(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			checkFile(t, r, data)
			if got, _, sent := server.asked(); got != test.ranges || sent != test.sent {
				t.Errorf("asked for %q, %d bytes sent; want %q, %d", got, sent, test.ranges, test.sent)
			}
			if len(retries) != 1 {
				t.Errorf("retries: %v", retries)
			}
		})
	}
}

// cancelAfter runs Get and ends it once some bytes have arrived.
func cancelAfter(t *testing.T, r Request, bytes int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.Progress = func(done, _ int64) {
		if done >= bytes {
			cancel()
		}
	}
	if err := Get(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want the cancellation", err)
	}
}

// What an interrupted process has is where the next one begins.
func TestGetResumesCancelled(t *testing.T) {
	data := content(3)
	server := &fileServer{data: data, etag: `"a"`, cut: -1}
	// The rest of the first answer waits until the client has gone.
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			server.ServeHTTP(w, r)
			return
		}
		w.Header().Set("ETag", `"a"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:400000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer host.Close()
	r := request(t, host.URL)
	cancelAfter(t, r, 400000)
	if left := files(t, r); !strings.Contains(left, "weights.pth.part ") || strings.HasPrefix(left, "weights.pth ") {
		t.Fatalf("left after the cancellation: %s", left)
	}
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
	if got, _, sent := server.asked(); got != "bytes=400000-" || sent != len(data)-400000 {
		t.Errorf("asked for %q, %d bytes sent", got, sent)
	}
}

// Bytes of different files must not be mixed, whatever the server does with If-Range.
func TestGetChangedFile(t *testing.T) {
	was, is := content(3), content(5)
	longer := append(content(5), 1)
	ignoreIfRange := func(s *fileServer) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Range")
			s.ServeHTTP(w, r)
		})
	}
	honest := func(s *fileServer) http.Handler { return s }
	tests := []struct {
		name   string
		serve  func(*fileServer) http.Handler
		etag   string
		data   []byte
		ranges string
	}{
		{"whole file at once", honest, `"b"`, is, " bytes=300000-"},
		{"range of the new file", ignoreIfRange, `"b"`, is, " bytes=300000- "},
		{"other length under the same tag", ignoreIfRange, `"a"`, longer, " bytes=300000- "},
		{"shorter than what is there", ignoreIfRange, `"b"`, is[:1000], " bytes=300000- "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &fileServer{data: was, etag: `"a"`, cut: 300000}
			host := httptest.NewServer(test.serve(server))
			defer host.Close()
			r := request(t, host.URL)
			r.Retry = func(error) { // between the attempts
				server.mu.Lock()
				defer server.mu.Unlock()
				server.data, server.etag = test.data, test.etag
			}
			if err := Get(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			checkFile(t, r, test.data)
			if got, _, _ := server.asked(); got != test.ranges {
				t.Errorf("asked for %q, want %q", got, test.ranges)
			}
		})
	}
}

// Another address is another file.
func TestGetOtherAddress(t *testing.T) {
	first, second := content(3), content(5)
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(first)))
		w.Write(first[:400000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer one.Close()
	r := request(t, one.URL)
	cancelAfter(t, r, 400000)
	server := &fileServer{data: second, etag: `"a"`, cut: -1}
	two := httptest.NewServer(server)
	defer two.Close()
	r.URL = two.URL + "/weights.pth"
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, second)
}

// A transfer that ended after the last byte needs no request.
func TestGetOnlyRenames(t *testing.T) {
	data := content(3)
	r := request(t, "http://127.0.0.1:1")
	part := partFile{r.Path + ".part"}
	if err := part.begin(origin{URL: r.URL, ETag: `"a"`, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part.path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
}

// What is refused leaves nothing behind, and replaces nothing.
func TestGetRefuses(t *testing.T) {
	data := content(3)
	send := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	}
	chunked := func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.Write(data)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	tests := []struct {
		name   string
		serve  http.HandlerFunc
		change func(*Request)
		want   string
		tries  int
	}{
		{"wrong checksum", send, func(r *Request) { r.SHA256 = hexSum(nil) }, "not the expected one (sha256 " + hexSum(data), 1},
		{"wrong size", send, func(r *Request) { r.Size = 7 }, "expected 7", 1},
		{"wrong size, without a length", chunked, func(r *Request) { r.Size = int64(len(data)) + 1 }, "1048576 bytes, expected 1048577", 1},
		{"too long", send, func(r *Request) { r.MaxSize = 1000 }, "too long (1048576 bytes, 1000 at most)", 1},
		{"too long, without a length", chunked, func(r *Request) { r.MaxSize = 1000 }, "too long (more than 1000 bytes)", 1},
		{"empty", func(http.ResponseWriter, *http.Request) {}, nil, "empty file", 1},
		{"web page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<html>Sign in</html>")
		}, nil, "web page instead of the file", 1},
		{"404", status(404), nil, "404 Not Found", 1},
		{"403", status(403), nil, "403 Forbidden", 1},
		{"503", status(503), nil, "503 Service Unavailable", attempts},
		{"429", status(429), nil, "429 Too Many Requests", attempts},
		{"redirect to plain http", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.org/weights.pth", http.StatusFound)
		}, nil, "http://example.org/weights.pth is not an https address", 1},
		{"redirect in a circle", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, nil, "10 redirects", 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var tries atomic.Int32
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				w.Header().Set("ETag", `"a"`)
				w.Header().Set("Content-Type", "application/octet-stream")
				test.serve(w, r)
			}))
			r := request(t, host.URL)
			if test.change != nil {
				test.change(&r)
			}
			if err := os.WriteFile(r.Path, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			err := Get(t.Context(), r)
			host.Close()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), r.URL) {
				t.Errorf("error %v, want %q and the address", err, test.want)
			}
			if n := int(tries.Load()); n != test.tries {
				t.Errorf("%d requests, want %d", n, test.tries)
			}
			checkFile(t, r, []byte("old"))
		})
	}
}

// Failures that pass are tried again.
func TestGetRetries(t *testing.T) {
	data := content(3)
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		var n atomic.Int32
		host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) < attempts {
				http.Error(w, "later", code)
				return
			}
			w.Write(data)
		}))
		r := request(t, host.URL)
		if err := Get(t.Context(), r); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		host.Close()
		checkFile(t, r, data)
	}
}

// Attempts that get further do not count: a long file comes over a bad line.
func TestGetBadLine(t *testing.T) {
	data := content(3)
	server := &fileServer{data: data, etag: `"a"`}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.mu.Lock()
		server.cut = 100000 * (len(server.ranges) + 1)
		server.mu.Unlock()
		server.ServeHTTP(w, r)
	}))
	defer host.Close()
	r := request(t, host.URL)
	r.SHA256 = hexSum(data)
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
	if _, n, sent := server.asked(); n != 11 || sent != len(data) {
		t.Errorf("%d requests, %d bytes sent", n, sent)
	}
}

func TestGetWithoutNetwork(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + closed.Addr().String()
	closed.Close()
	r := request(t, address)
	r.Retry = func(err error) { t.Errorf("tried again after %v", err) }
	err = Get(t.Context(), r)
	if !Unreachable(err) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("error %v, want one that says that the host cannot be reached", err)
	}
	if left := files(t, r); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestGetStalls(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write(make([]byte, 10))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer host.Close()
	r := request(t, host.URL)
	r.Client = NewClient(20 * time.Millisecond)
	if err := Get(t.Context(), r); !errors.Is(err, ErrStalled) {
		t.Errorf("error %v, want %v", err, ErrStalled)
	}
}

// Only one process writes to a part.
func TestGetLocks(t *testing.T) {
	data := content(3)
	arrived, release := make(chan struct{}), make(chan struct{})
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // a second request would panic here
		<-release
		w.Write(data)
	}))
	defer host.Close()
	r := request(t, host.URL)
	first := make(chan error)
	go func() { first <- Get(t.Context(), r) }()
	<-arrived
	if err := Get(t.Context(), r); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the second download at the same time: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"https://example.org/a":       "",
		"http://localhost:8000/a":     "",
		"http://127.0.0.1/a":          "",
		"http://[::1]:8/a":            "",
		"http://example.org/a":        "not an https address",
		"http://localhost.evil.org/a": "not an https address",
		"ftp://localhost/a":           "not an https address",
		"file:///etc/passwd":          "not an https address",
		"weights.pth":                 "not an https address",
		"https:///a":                  "not an https address",
		"https://u:p@example.org:x/a": "not an address",
		"http://u:secret@example.org": "not an https address",
	} {
		_, err := Request{URL: address}.check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %v", err)
		}
	}
	if _, err := (Request{URL: "http://example.org/a", PlainHTTP: true, SHA256: hexSum(nil)}).check(); err != nil {
		t.Error(err)
	}
	if _, err := (Request{URL: "http://example.org/a", PlainHTTP: true}).check(); err == nil {
		t.Error("plain http without a checksum is accepted")
	}
}

// Redirects from https go to https only, also on this machine.
func TestRedirectsKeepHTTPS(t *testing.T) {
	data := content(3)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/there":
			w.Write(data)
		case "/within/weights.pth":
			http.Redirect(w, r, "/there", http.StatusFound)
		default:
			http.Redirect(w, r, plain.URL+"/there", http.StatusFound)
		}
	})
	secure.StartTLS()
	defer secure.Close()
	r := request(t, secure.URL)
	r.Client = secure.Client()
	if err := Get(t.Context(), r); err == nil || !strings.Contains(err.Error(), "redirects from https") {
		t.Errorf("error %v", err)
	}
	r.URL = secure.URL + "/within/weights.pth"
	if err := Get(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkFile(t, r, data)
}
