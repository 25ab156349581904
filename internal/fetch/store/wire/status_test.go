package wire

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
)

func TestStatusClasses(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "h", Path: "/x"}
	for code := 300; code < 600; code++ {
		e := Status("GET", u, code, "")
		want := code == 408 || code == 425 || code == 429 || code >= 500 && code != 501 && code != 505
		if e.Retryable != want || store.Retryable(e) != want {
			t.Errorf("%d: retryable %v, want %v", code, e.Retryable, want)
		}
		kinds := map[int]error{401: store.ErrDenied, 403: store.ErrDenied, 407: store.ErrDenied,
			404: store.ErrNotFound, 410: store.ErrNotFound,
			412: store.ErrChanged, 416: store.ErrChanged}
		for _, kind := range []error{store.ErrDenied, store.ErrNotFound, store.ErrChanged} {
			if got := errors.Is(e, kind); got != (kinds[code] == kind) {
				t.Errorf("%d is %q: %v", code, kind, got)
			}
		}
	}
	if got, want := Status("GET", u, 404, "").Error(), `GET "http://h/x": 404 Not Found`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRetryAfter: seconds or a date, of the statuses that it is meant for.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code  int
		value string
		want  time.Duration
	}{
		{503, "7", 7 * time.Second},
		{429, " 120 ", 2 * time.Minute},
		{503, "Thu, 26 Nov 2026 04:00:30 GMT", 30 * time.Second},
		{503, "Thu, 26 Nov 2026 03:00:30 GMT", 0},
		{503, "999999999999999999", 24 * time.Hour},
		{503, "99999999999999999999", 0},
		{503, "-1", 0},
		{503, "soon", 0},
		{503, "", 0},
		{500, "7", 0},
		{301, "7", 0},
	} {
		head := http.Header{"Retry-After": {c.value}}
		if got := RetryAfter(c.code, head, now); got != c.want {
			t.Errorf("%d %q: %s, not %s", c.code, c.value, got, c.want)
		}
	}
}
