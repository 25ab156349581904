package web

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"stretcher/internal/fetch/store"
)

// put writes data as the set does it.
func put(t *testing.T, set *store.Set, url string, data []byte) error {
	t.Helper()
	return set.Put(t.Context(), url, bytes.NewReader(data), int64(len(data)),
		store.PutOptions{SHA256: sha256.Sum256(data), ContentType: "text/x-test"})
}

func TestPutRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	set, base := answers(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(r.Context())
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	u := strings.Replace(base, "://", "://ann:p%40ss@", 1) + "/a%2Fb%20c?q=1#frag"
	if err := put(t, set, u, []byte("text")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Basic YW5uOnBAc3M=", "Content-Type": "text/x-test", "User-Agent": "Stretcher/1.2.3",
		"Repr-Digest": digestOf(sha256.Sum256([]byte("text"))), "If-None-Match": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.Method != "PUT" || got.RequestURI != "/a%2Fb%20c?q=1" || got.ContentLength != 4 || string(body) != "text" {
		t.Errorf("%s %s, %d bytes: %q", got.Method, got.RequestURI, got.ContentLength, body)
	}
}

// TestPutStatuses: what is no success is an error that says what can be done.
// No redirect is followed: neither body nor password goes elsewhere.
func TestPutStatuses(t *testing.T) {
	var elsewhere atomic.Int32
	far := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer far.Close()
	for _, c := range []struct {
		code int
		want string
		hint string
		kind error
	}{
		{202, "unexpected status 202 Accepted", "", nil},
		{206, "unexpected status 206", "", nil},
		{301, "unexpected status 301", "redirect is not followed", nil},
		{302, "unexpected status 302", "redirect is not followed", nil},
		{307, "unexpected status 307", "redirect is not followed", nil},
		{308, "unexpected status 308", "redirect is not followed", nil},
		{401, "401 Unauthorized", "USER:PASSWORD@", store.ErrDenied},
		{403, "403 Forbidden", "", store.ErrDenied},
		{404, "404 Not Found", "directory", store.ErrNotFound},
		{405, "405 Method Not Allowed", "no PUT", nil},
		{409, "409 Conflict", "directory", nil},
		{412, "412 Precondition Failed", "", store.ErrChanged},
		{413, "413 Request Entity Too Large", "larger bodies", nil},
		{501, "501 Not Implemented", "no PUT", nil},
	} {
		requests := 0
		set, base := answers(t, func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("Location", far.URL+"/SEKRIT")
			w.WriteHeader(c.code)
		})
		err := put(t, set, strings.Replace(base, "://", "://ann:SEKRIT@", 1)+"/x?token=SEKRIT", []byte("text"))
		if err == nil || !strings.Contains(err.Error(), "PUT ") || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("%d: %v, want %q", c.code, err, c.want)
		}
		if store.Retryable(err) || !strings.Contains(store.Hint(err), c.hint) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%d: %v, hint %q, want %v, %q", c.code, err, store.Hint(err), c.kind, c.hint)
		}
		if requests != 1 {
			t.Errorf("%d: %d requests", c.code, requests)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// TestPutAgain: a server that is busy gets the whole body once more.
func TestPutAgain(t *testing.T) {
	requests := 0
	var body []byte
	set, base := answers(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	if err := put(t, set, base, []byte("text")); err != nil || requests != 2 || string(body) != "text" {
		t.Errorf("%v after %d requests, %q", err, requests, body)
	}
}

// TestPutUnwanted: a server that wants no body is not sent a large one.
func TestPutUnwanted(t *testing.T) {
	var sent atomic.Int64
	set, base := answers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	data := make([]byte, 4<<20)
	err := set.Put(t.Context(), base, bytes.NewReader(data), int64(len(data)), store.PutOptions{
		SHA256: sha256.Sum256(data), Progress: func(n int64) { sent.Store(n) },
	})
	if !errors.Is(err, store.ErrDenied) || sent.Load() > 0 {
		t.Errorf("%v after %d bytes", err, sent.Load())
	}
}

// TestStatAnswers: what is no success is no size.
func TestStatAnswers(t *testing.T) {
	code, digest, encoding := 200, "", ""
	set, base := answers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			t.Errorf("a %s", r.Method)
		}
		w.Header().Set("Repr-Digest", digest)
		w.Header().Set("Content-Encoding", encoding)
		w.Header().Set("Content-Length", "7")
		w.Header().Set("ETag", `"v"`)
		w.WriteHeader(code)
	})
	for _, code = range []int{204, 206, 304, 403, 404, 405, 416} {
		if info, err := set.Stat(t.Context(), base); err == nil || store.Retryable(err) {
			t.Errorf("%d: %+v", code, info)
		}
	}
	code = 200
	sum := sha256.Sum256([]byte("x"))
	good := digestOf(sum)
	for _, c := range []struct {
		digest, encoding string
		known            bool
	}{
		{good, "", true}, {"md5=:AAAA:, " + good, "", true}, {good, "gzip", false}, {"", "", false},
		{"sha-256=abc", "", false}, {"sha-256=:AAAA:", "", false}, {strings.Replace(good, "256", "512", 1), "", false},
	} {
		digest, encoding = c.digest, c.encoding
		info, err := set.Stat(t.Context(), base)
		if err != nil || info.Size != 7 || info.Version != `"v"` {
			t.Errorf("%+v: %+v, %v", c, info, err)
		}
		if (info.SHA256 != nil) != c.known || c.known && *info.SHA256 != sum {
			t.Errorf("%+v: SHA-256 %x", c, info.SHA256)
		}
	}
}
