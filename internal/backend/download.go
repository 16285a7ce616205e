package backend

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/godcpt/godcpt/internal/download"
)

// newClient returns the client of [download.NewClient], which also reports large transfers to log.
func newClient(log io.Writer, idle time.Duration) *http.Client {
	client := download.NewClient(idle)
	client.Transport = &reportingTransport{client.Transport, log}
	return client
}

// reportingTransport shows the progress of the bodies that base returns.
type reportingTransport struct {
	base http.RoundTripper
	log  io.Writer
}

// RoundTrip implements http.RoundTripper.
func (t *reportingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	const worthShowing = 1 << 20
	if size := resp.ContentLength; size > worthShowing && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent) {
		resp.Body = &reportedBody{resp.Body, newProgress(t.log, "downloading "+path.Base(req.URL.Path), size)}
	}
	return resp, nil
}

type reportedBody struct {
	io.ReadCloser
	progress *progress
}

// Read implements io.Reader.
func (b *reportedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.progress.add(n)
	return n, err
}

// Close implements io.Closer.
func (b *reportedBody) Close() error {
	b.progress.end()
	return b.ReadCloser.Close()
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
