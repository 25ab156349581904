package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/text/redact"
)

// Error says why an object could not be opened.
type Error struct {
	Op        string // "GET", "open": what was tried
	URL       string // redacted
	Status    int    // HTTP status; 0 when there was no answer
	Err       error  // wraps the sentinel that applies
	Retryable bool   // the same attempt may succeed later
	Hint      string // what the user can do, a sentence or two; may be empty
	// After is how long the server asks to wait before the next attempt; 0 when
	// it does not say.
	After time.Duration
}

// Error is one line: GET "http://host/app.tar": 404 Not Found.
func (e *Error) Error() string {
	if e.URL == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s %q: %v", e.Op, e.URL, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable tells whether trying again is worth it after err, which may come
// from Open or from a read of Body.
func Retryable(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Retryable
	}
	return err != nil && passing(err)
}

// RetryAfter is how long the server of err asks to wait, or 0.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// Hint gives the advice that goes with err, or "".
func Hint(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// marked is err with a sentinel for errors.Is that its text does not repeat.
type marked struct {
	error
	kind error
}

// Unwrap gives errors.Is the kind and the cause.
func (m marked) Unwrap() []error { return []error{m.kind, m.error} }

// Mark returns err as something that is also kind; kind may be nil.
func Mark(kind, err error) error {
	if kind == nil {
		return err
	}
	return marked{err, kind}
}

// Failure makes the error of an attempt that ended in err. A done ctx is the
// reason whatever err says: the SDKs wrap it in words of their own.
func Failure(ctx context.Context, op string, u *url.URL, err error) error {
	e := &Error{Op: op, URL: redact.URL(u.String())}
	if ctx.Err() != nil {
		e.Err = Mark(ctx.Err(), context.Cause(ctx))
		return e
	}
	e.Retryable, e.Hint = passing(err), tlsHint(err)
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // its own text repeats the URL, or names a presigned one
	}
	e.Err = redact.Error(withoutHeader(err))
	return e
}

// withoutHeader is err without the text of a header that could not be read. It
// may be a Location with a password, in pieces that do not look like a URL.
func withoutHeader(err error) error {
	text := err.Error()
	for _, says := range []string{"failed to parse Location header", "malformed MIME header"} {
		if i := strings.Index(text, says); i >= 0 {
			return errors.New(text[:i] + says)
		}
	}
	return err
}

// tlsHint tells what can be done about a certificate that is refused, or "".
func tlsHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &authority):
		return "if an authority of your own made the certificate, name it by SSL_CERT_FILE or SSL_CERT_DIR, " +
			"or for one server by http in the host policy; for S3 by AWS_CA_BUNDLE"
	case errors.As(err, &name):
		return "the server's certificate is for another name than that in the URL"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this machine's clock"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server speaks http there, not https"
	}
	return ""
}

// OneLine is text of a server fit for a log line: no line breaks, no more than
// 200 bytes or so.
func OneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}

// passing tells which failures of a connection may be gone next time. What it
// does not know is permanent: malformed answers, too many redirects.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if permanentNet(err) {
		return false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || brokenHTTP(err) {
		return true
	}
	for _, no := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE} {
		if errors.Is(err, no) {
			return true
		}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	var op *net.OpError // dial, read, write
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns)
}

// permanentNet tells which network errors stay: a name that does not exist, an
// address that is none, a certificate or a TLS peer that is refused.
func permanentNet(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return true
	}
	var (
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		addr   *net.AddrError
		op     *net.OpError
	)
	if errors.As(err, &cert) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &addr) {
		return true
	}
	// crypto/tls reports the peer's alerts and its own with these operations.
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// brokenHTTP knows the errors of connections that net/http gives no exported
// type: a head cut short, GOAWAY, a reset stream, a closed idle connection.
func brokenHTTP(err error) bool {
	text := err.Error()
	for _, sign := range []string{
		"transport connection broken", "http2: server sent GOAWAY", "http2: client connection lost",
		"stream error: stream ID", "http: server closed idle connection",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
