package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrStalled is the cause of a transfer that gives up because nothing arrives any more.
var ErrStalled = errors.New("the connection stalled")

// NewClient returns an HTTP client that never waits for ever: it gives up on a host that does not
// answer and on a transfer during which nothing arrives for idle. It honours the usual proxy variables
// and SSL_CERT_FILE, as Go's default client does.
func NewClient(idle time.Duration) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	base.ResponseHeaderTimeout = idle
	return &http.Client{Transport: &watchedTransport{base, idle}}
}

// watchedTransport gives the bodies that base returns an idle timeout.
type watchedTransport struct {
	base http.RoundTripper
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
	body.timer = time.AfterFunc(t.idle, func() { cancel(ErrStalled) })
	resp.Body = body
	return resp, nil
}

type watchedBody struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   time.Duration
	timer  *time.Timer
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.timer.Reset(b.idle)
	if err != nil && err != io.EOF && context.Cause(b.ctx) == ErrStalled {
		err = fmt.Errorf("%w (nothing arrived for %v)", ErrStalled, b.idle)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// hostError says in words that people understand what is wrong with a host.
type hostError struct {
	text string
	err  error
}

func (e *hostError) Error() string { return e.text }
func (e *hostError) Unwrap() error { return e.err }

// Explain replaces the errors of http.Client by ones that people understand: the host and what is
// wrong with it. The original stays in the chain.
func Explain(err error) error {
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
		return &hostError{fmt.Sprintf("%s cannot be found: %s", dns.Name, dns.Err), err}
	case request.Timeout():
		return &hostError{host + " does not answer", err}
	}
	return &hostError{fmt.Sprintf("%s cannot be reached: %v", host, request.Err), err}
}

// Unreachable reports whether an error tells that no connection to the host, or to a proxy on the way
// to it, came about at all, as it is without a network.
func Unreachable(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}
