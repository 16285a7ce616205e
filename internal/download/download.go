// Package download fetches files over HTTPS so that an interruption costs nothing that has arrived:
// the next attempt, also of another process, goes on where the last one ended.
package download

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/godcpt/godcpt/internal/atomicfile"
)

// Request is one file to fetch.
type Request struct {
	// URL is where the file lies: https, or http on the loopback interface. Redirects have to keep to
	// that, too.
	URL string
	// Path is the file to write. Its folder must exist; what Path held is replaced at the end.
	Path string
	// SHA256 is the checksum in hexadecimal, "" if it is not known.
	SHA256 string
	// Size is the length of the file in bytes, 0 if it is not known.
	Size int64
	// MaxSize is the most that is accepted, in bytes.
	MaxSize int64
	// PlainHTTP also accepts http of any host: for an index that the user has configured so. It needs
	// SHA256, which protects the content instead.
	PlainHTTP bool

	// Client does the requests, [NewClient] makes it. Its redirect policy is replaced.
	Client *http.Client
	// Backoff is the wait before the second attempt; each further one waits four times as long.
	Backoff time.Duration
	// Progress, if not nil, is called as bytes arrive, with the bytes that are there and all of them
	// (0 if the server does not say).
	Progress func(done, total int64)
	// Retry, if not nil, is told why a transfer broke off that is now tried again.
	Retry func(error)
}

// attempts is how often in a row a transfer may fail without getting further.
const attempts = 3

// Get fetches a file. What has arrived is kept in Path + ".part" and, beside it, from where it came
// (".part.json"): an interrupted transfer, also one that ctx ended, is resumed by the next Get of the
// same address if the server can say that the file is still the same one, and else starts anew. Only
// the whole file, with the right size and checksum, is renamed to Path.
//
// Temporary failures are tried again. A web page in place of a file, a file that is too long, or one
// with another checksum is refused, and removed. [Unreachable] tells whether an error means that there
// is no network.
func Get(ctx context.Context, r Request) error {
	address, err := r.check()
	if err != nil {
		return err
	}
	t := &transfer{Request: r, address: address, part: partFile{r.Path + ".part"}}
	t.client = *r.Client
	t.client.CheckRedirect = t.checkRedirect
	lock := flock.New(t.part.path + ".lock")
	if ok, err := lock.TryLock(); err != nil {
		return fmt.Errorf("cannot lock the download: %w", err)
	} else if !ok {
		return fmt.Errorf("another process is fetching %s: wait for it", r.Path)
	}
	defer func() {
		t.part.removeUnlessResumable()
		lock.Unlock()
		if !t.part.exists() { // nothing left that the lock protects
			os.Remove(lock.Path())
		}
	}()
	if err := t.run(ctx); err != nil {
		return fmt.Errorf("downloading %s: %w", address.Redacted(), err)
	}
	return nil
}

// check returns the address.
func (r Request) check() (*url.URL, error) {
	address, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("not an address: %w", err)
	}
	if r.PlainHTTP && r.SHA256 != "" && address.Scheme == "http" {
		return address, nil
	}
	return address, checkScheme(address)
}

// Accepts reports whether an address is one that Get accepts without PlainHTTP.
func Accepts(address string) bool {
	u, err := url.Parse(address)
	return err == nil && checkScheme(u) == nil
}

// checkScheme accepts https, and http on the loopback interface.
func checkScheme(u *url.URL) error {
	switch {
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("refused: %s is not an https address", u.Redacted())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// transfer is one call of Get.
type transfer struct {
	Request
	address *url.URL
	client  http.Client
	part    partFile
}

// checkRedirect keeps to https once it was used, and away from plain http of other hosts.
func (t *transfer) checkRedirect(req *http.Request, via []*http.Request) error {
	const most = 10
	if len(via) >= most {
		return permanent{fmt.Errorf("more than %d redirects", most)}
	}
	before := via[len(via)-1].URL
	if before.Scheme == "https" && req.URL.Scheme != "https" {
		return permanent{fmt.Errorf("refused: the server redirects from https to %s", req.URL.Redacted())}
	}
	if t.PlainHTTP && t.SHA256 != "" {
		return nil
	}
	if err := checkScheme(req.URL); err != nil {
		return permanent{err}
	}
	return nil
}

// permanent marks errors of a request that another attempt cannot change.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// hopeless reports whether another attempt would fail, too.
func hopeless(err error) bool {
	return errors.As(err, new(permanent)) || errors.As(err, new(*tls.CertificateVerificationError))
}

// run fetches until the file is complete, and puts it in its place.
func (t *transfer) run(ctx context.Context) error {
	wait := t.Backoff
	begin := t.part.length()
	farthest := begin
	for failed := 0; ; {
		err := t.attempt(ctx)
		if err == nil {
			return t.finish()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if there := t.part.length(); there > farthest {
			farthest, failed, wait = there, 0, t.Backoff
		}
		failed++
		// Without a network there is nothing to wait for, unless there was one a moment ago.
		if failed == attempts || hopeless(err) || Unreachable(err) && farthest == begin {
			return err
		}
		if t.Retry != nil {
			t.Retry(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 4
	}
}

// attempt does one request and adds what arrives to the part. Errors are temporary unless they are
// permanent.
func (t *transfer) attempt(ctx context.Context) error {
	have, from := t.resumable()
	if have > 0 && have == from.Size {
		return nil // it ended after the last byte
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.address.String(), nil)
	if err != nil {
		return permanent{err}
	}
	req.Header.Set("Accept-Encoding", "identity") // lengths and ranges are those of the file
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		req.Header.Set("If-Range", from.validator())
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return Explain(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		have = 0
	case http.StatusPartialContent:
		err = from.checkRange(resp.Header, have)
	case http.StatusRequestedRangeNotSatisfiable:
		err = errors.New("the server does not have the rest of the file")
	default:
		return statusError(resp)
	}
	if err != nil {
		t.part.remove() // the file is another one now: the next attempt starts anew
		return err
	}
	now := originOf(t.address, resp, have)
	if err := t.acceptable(resp, now.Size); err != nil {
		t.part.remove()
		return permanent{err}
	}
	if have == 0 {
		if err := t.part.begin(now); err != nil {
			return permanent{err}
		}
	}
	return t.receive(resp.Body, have, now.Size)
}

// resumable returns how much of the file is there, and from where; nothing if it cannot be resumed.
func (t *transfer) resumable() (int64, origin) {
	have, from, ok := t.part.load()
	if !ok || from.URL != t.address.Redacted() || from.validator() == "" || have > t.MaxSize || t.Size > 0 && have > t.Size || from.Size > 0 && have > from.Size {
		return 0, origin{}
	}
	return have, from
}

// acceptable says what is wrong with an answer before its body is read.
func (t *transfer) acceptable(resp *http.Response, total int64) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case kind == "text/html" || kind == "application/xhtml+xml":
		return errors.New("the server answers with a web page instead of the file: open the address in a browser")
	case total > 0 && t.Size > 0 && total != t.Size:
		return fmt.Errorf("the file is not the expected one (%d bytes, expected %d): refused", total, t.Size)
	case total > t.MaxSize:
		return fmt.Errorf("the file is too long (%d bytes, %d at most): refused", total, t.MaxSize)
	}
	return nil
}

// receive adds a body to the part, which holds have bytes of total (0 if unknown).
func (t *transfer) receive(body io.Reader, have, total int64) error {
	f, err := os.OpenFile(t.part.path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return permanent{err}
	}
	defer f.Close()
	if err := f.Truncate(have); err != nil {
		return permanent{err}
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return permanent{err}
	}
	limit := t.MaxSize
	if t.Size > 0 {
		limit = min(limit, t.Size)
	}
	buffer := make([]byte, 256<<10)
	for {
		n, readErr := body.Read(buffer)
		if have+int64(n) > limit {
			t.part.remove()
			return permanent{fmt.Errorf("the file is too long (more than %d bytes): refused", limit)}
		}
		if _, err := f.Write(buffer[:n]); err != nil {
			return permanent{err}
		}
		have += int64(n)
		if t.Progress != nil && n > 0 {
			t.Progress(have, total)
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return Explain(readErr)
		}
	}
	if total > 0 && have < total {
		return io.ErrUnexpectedEOF
	}
	if err := f.Sync(); err != nil {
		return permanent{err}
	}
	if err := f.Close(); err != nil {
		return permanent{err}
	}
	return nil
}

// finish checks the whole file and renames it.
func (t *transfer) finish() error {
	if t.part.length() == 0 {
		return errors.New("the server sends an empty file")
	}
	if err := Check(t.part.path, t.SHA256, t.Size); err != nil {
		t.part.remove()
		return err
	}
	if err := os.Rename(t.part.path, t.Path); err != nil {
		return err
	}
	t.part.remove()
	return atomicfile.SyncDir(filepath.Dir(t.Path))
}

// Check says whether a file has the size and the SHA-256 checksum (hexadecimal) that are known of it;
// 0 and "" mean unknown.
func Check(path, sum string, size int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if size > 0 && info.Size() != size {
		return fmt.Errorf("the file is not the expected one (%d bytes, expected %d): refused", info.Size(), size)
	}
	if sum == "" {
		return nil
	}
	got, err := Sum(path)
	if err != nil {
		return err
	}
	if !strings.EqualFold(got, sum) {
		return fmt.Errorf("the file is not the expected one (sha256 %s, expected %s): refused", got, sum)
	}
	return nil
}

// Sum returns the SHA-256 checksum of a file in hexadecimal.
func Sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// statusError is the error of an answer that holds no file.
func statusError(resp *http.Response) error {
	err := fmt.Errorf("the server answers %s", resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code != http.StatusNotImplemented:
		return err
	}
	return permanent{err}
}
