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
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestNetworkClasses(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "http://h/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), true},
		{"reset", os.NewSyscallError("read", syscall.ECONNRESET), true},
		{"unreachable", dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), true},
		{"timeout", dial(os.ErrDeadlineExceeded), true},
		{"EOF", io.EOF, true},
		{"short body", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{"resolver down", dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), true},
		{"stream reset", errors.New("stream error: stream ID 3; INTERNAL_ERROR"), true},
		{"no such host", dial(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		{"no address", dial(&net.AddrError{Err: "missing port"}), false},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(42)}, false},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false},
		{"cancelled", dial(context.Canceled), false},
		{"stranger", errors.New("x"), false},
	} {
		if got := Retryable(c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := OneLine("a\n\tb\r\n  c"); got != "a b c" {
		t.Errorf("got %q", got)
	}
	if got := OneLine(strings.Repeat("é", 300)); len(got) > 210 || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
