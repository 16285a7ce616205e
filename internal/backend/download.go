package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/term"
)

// errStalled is the cause of a download that gives up because nothing arrives any more.
var errStalled = errors.New("the connection stalled")

// newClient returns an HTTP client that never waits for ever: it gives up on a host that does not
// answer and on a transfer during which nothing arrives for idle. It honours the usual proxy
// variables and SSL_CERT_FILE (as Go's default client does) and reports large transfers to log.
func newClient(log io.Writer, idle time.Duration) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	base.ResponseHeaderTimeout = idle
	return &http.Client{Transport: &watchedTransport{base, log, idle}}
}

// watchedTransport adds an idle timeout and progress to the bodies that base returns.
type watchedTransport struct {
	base http.RoundTripper
	log  io.Writer
	idle time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	body := &watchedBody{body: resp.Body, ctx: ctx, cancel: cancel, idle: t.idle}
	body.timer = time.AfterFunc(t.idle, func() { cancel(errStalled) })
	const worthShowing = 1 << 20
	if resp.StatusCode == http.StatusOK && resp.ContentLength > worthShowing {
		body.progress = newProgress(t.log, "downloading "+path.Base(req.URL.Path), resp.ContentLength)
	}
	resp.Body = body
	return resp, nil
}

type watchedBody struct {
	body     io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	idle     time.Duration
	timer    *time.Timer
	progress *progress
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.timer.Reset(b.idle)
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStalled {
		err = fmt.Errorf("%w (nothing arrived for %v)", errStalled, b.idle)
	}
	if b.progress != nil {
		b.progress.add(n)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.timer.Stop()
	if b.progress != nil {
		b.progress.end()
	}
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// plainNetError replaces the errors of http.Client by ones that people understand: the host and what
// is wrong with it.
func plainNetError(err error) error {
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	host := request.URL
	if u, parseErr := url.Parse(request.URL); parseErr == nil {
		host = u.Host
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("%s cannot be found: %s", dns.Name, dns.Err)
	case request.Timeout():
		return fmt.Errorf("%s does not answer", host)
	}
	return fmt.Errorf("%s cannot be reached: %w", host, request.Err)
}

// progress shows how far a transfer is: a bar in a terminal, elsewhere a line per quarter.
type progress struct {
	w           io.Writer
	title       string
	done, total int64
	start, last time.Time
	terminal    bool
	quarter     int64
}

func newProgress(w io.Writer, title string, total int64) *progress {
	p := &progress{w: w, title: title, total: total, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	if !p.terminal {
		fmt.Fprintf(w, "godcpt: %s (%.0f MB)\n", title, float64(total)/1e6)
	}
	return p
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if !p.terminal {
		if q := 4 * p.done / p.total; q > p.quarter {
			p.quarter = q
			fmt.Fprintf(p.w, "godcpt: %s: %d %%\n", p.title, 25*q)
		}
		return
	}
	if now := time.Now(); now.Sub(p.last) > 100*time.Millisecond || p.done == p.total {
		p.last = now
		const width = 30
		full := int(width * p.done / p.total)
		rate := float64(p.done) / 1e6 / max(now.Sub(p.start).Seconds(), 1e-3)
		fmt.Fprintf(p.w, "\r%s [%s%s] %.0f of %.0f MB, %.0f MB/s\x1b[K", p.title,
			strings.Repeat("#", full), strings.Repeat("-", width-full), float64(p.done)/1e6, float64(p.total)/1e6, rate)
	}
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}
