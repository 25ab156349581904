// Package wire is what stores that speak HTTP have in common: the transport,
// and what is to be made of statuses and headers.
//
// Its words are those of package store and of RFC 9110.
package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// Status makes the error of an answer with an HTTP status that is no success;
// text says more than the status's own words, or is empty.
func Status(op string, u *url.URL, code int, text string) *store.Error {
	if text == "" {
		text = http.StatusText(code)
	}
	return &store.Error{
		Op:        op,
		URL:       redact.URL(u.String()),
		Status:    code,
		Err:       store.Mark(statusKind(code), fmt.Errorf("%d %s", code, redact.Text(store.OneLine(text)))),
		Retryable: PassingStatus(code),
	}
}

func statusKind(code int) error {
	switch code {
	case http.StatusNotFound, http.StatusGone:
		return store.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return store.ErrDenied
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return store.ErrChanged
	}
	return nil
}

// PassingStatus tells which statuses may be gone next time: RFC 9110 section
// 15, RFC 8470 (425) and RFC 6585 (429).
func PassingStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return code >= 500
}

// RetryAfter reads the header of that name (RFC 9110 section 10.2.3), which
// counts for the statuses 429 and 503.
func RetryAfter(code int, head http.Header, now time.Time) time.Duration {
	if code != http.StatusTooManyRequests && code != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(head.Get("Retry-After"))
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	const day = 24 * 60 * 60
	seconds, err := digits(value)
	if err != nil {
		return 0
	}
	return time.Duration(min(seconds, day)) * time.Second
}
