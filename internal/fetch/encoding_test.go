package fetch

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
)

func gzipped(t *testing.T, texts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, text := range texts {
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// encoded answers everything with body, said to be encoded.
func encoded(t *testing.T, encoding string, body []byte) (url string, requests *int) {
	t.Helper()
	requests = new(int)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("asked for encoding %q", got)
		}
		w.Header().Set("Content-Encoding", encoding)
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, requests
}

// TestEncodedDocument: a document that arrives compressed by gzip is taken, within its
// limit on both sides.
func TestEncodedDocument(t *testing.T) {
	const limit = 1000
	broken := gzipped(t, strings.Repeat("x", 100))
	broken[len(broken)-8] ^= 1
	noDeflate := append(gzipped(t, "")[:10], 0xff, 0xff, 0xff) // behind the header a block of no kind
	for _, tc := range []struct {
		name, encoding string
		body           []byte
		want, fails    string
	}{
		{"gzip", "gzip", gzipped(t, "hello"), "hello", ""},
		{"members", "x-gzip", gzipped(t, "hel", "", "lo"), "hello", ""},
		{"said of an upload", "aws-chunked", []byte("hello"), "hello", ""},
		{"upload and gzip", "gzip, aws-chunked", gzipped(t, "hello"), "hello", ""},
		{"only said", "gzip", []byte("hello"), "hello", ""},
		{"only said of a byte", "GZIP", []byte("h"), "h", ""},
		{"nothing", "gzip", nil, "", ""},
		{"as large as allowed", "gzip", gzipped(t, strings.Repeat("x", limit)), strings.Repeat("x", limit), ""},
		{"bomb", "gzip", gzipped(t, strings.Repeat("x", 1<<20)), "", "too large"},
		{"endless members", "gzip", bytes.Repeat(gzipped(t, ""), 10_000), "", "too large as it is sent"},
		{"damaged", "gzip", broken, "", "Content-Encoding gzip: gzip: invalid checksum"},
		{"no deflate data", "gzip", noDeflate, "", "Content-Encoding gzip: flate: corrupt input"},
		{"no header of the next member", "gzip", append(gzipped(t, "hello"), "\x1f\x8b\xff and what is none"...), "",
			"Content-Encoding gzip: gzip: invalid header"},
		{"unknown", "br", []byte("hello"), "", `is sent with Content-Encoding "br"`},
		{"two", "gzip, br", []byte("hello"), "", `is sent with Content-Encoding "gzip, br"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, requests := encoded(t, tc.encoding, tc.body)
			b := newBench(t)
			b.Transfer.Retries = 2 // there is no use in them
			got, err := b.Document(t.Context(), url, limit, func(string) error { return nil })
			if string(got) != tc.want || (err == nil) != (tc.fails == "") ||
				err != nil && !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("%d bytes, %v; want %q", len(got), err, tc.fails)
			}
			if tc.fails == "too large" && !errors.Is(err, transfer.ErrTooLarge) {
				t.Errorf("%v is another error", err)
			}
			if *requests != 1 {
				t.Errorf("%d requests", *requests)
			}
		})
	}
}

// TestEncodedArchive: an archive is never decoded; a wrong checksum tells why.
func TestEncodedArchive(t *testing.T) {
	packed := gzipped(t, "hello")
	url, _ := encoded(t, "gzip", packed)
	a, err := newBench(t).Archive(t.Context(), []string{url}, sumOf(string(packed)), 0)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	_, err = newBench(t).Archive(t.Context(), []string{url}, sumOf("hello"), 0)
	const note = `; it was sent with Content-Encoding "gzip", which nobody asked for`
	if !errors.Is(err, failure.ErrRefused) || !strings.HasSuffix(err.Error(), note) {
		t.Errorf("got %v", err)
	}
	plain, _ := encoded(t, "identity", packed)
	_, err = newBench(t).Archive(t.Context(), []string{plain}, sumOf("hello"), 0)
	if err == nil || strings.Contains(err.Error(), "Encoding") {
		t.Errorf("got %v", err)
	}
}
