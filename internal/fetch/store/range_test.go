package store

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// conformRanges: a range is exactly what was asked for, of the version asked
// for, or ErrChanged.
func conformRanges(t *testing.T, w world) {
	data := noise(5, 5000)
	u := w.put(t, "ranges", data)
	whole, _ := readAll(t, w.set, u, Position{})
	for _, version := range []string{"", whole.Version} {
		for _, r := range []Position{
			{Offset: 0, Length: 1}, {Offset: 0, Length: 5000}, {Offset: 1000, Length: 2000},
			{Offset: 4999, Length: 1}, {Offset: 1, Length: 4999},
		} {
			r.Version = version
			obj, got := readAll(t, w.set, u, r)
			if !obj.Part || obj.Offset != r.Offset || obj.Size != 5000 || obj.Version != whole.Version {
				t.Errorf("%+v: part %v from %d of %d, version %q", r, obj.Part, obj.Offset, obj.Size, obj.Version)
			}
			if !bytes.Equal(got, data[r.Offset:r.end()]) {
				t.Errorf("%+v: %d bytes, or others", r, len(got))
			}
		}
		for _, r := range []Position{
			{Offset: 0, Length: 5001}, {Offset: 4999, Length: 2}, {Offset: 5000, Length: 1}, {Offset: 1 << 40, Length: 7},
		} {
			r.Version = version
			wantChanged(t, w, u, r)
		}
	}
	wantChanged(t, w, w.put(t, "nothing", nil), Position{Length: 1})
	w.put(t, "ranges", noise(6, 6000))
	wantChanged(t, w, u, Position{Offset: 10, Length: 10, Version: whole.Version})
	wantChanged(t, w, u, Position{Length: 10, Version: whole.Version})
}

func wantChanged(t *testing.T, w world, u string, from Position) {
	t.Helper()
	obj, err := w.set.Open(t.Context(), u, from)
	if err == nil {
		obj.Body.Close()
	}
	if !errors.Is(err, ErrChanged) || Retryable(err) {
		t.Errorf("%+v: error %v, want ErrChanged, permanent", from, err)
	}
}

func TestNoSuchRange(t *testing.T) {
	for _, r := range []Position{{Offset: -1}, {Length: -1}, {Offset: 2, Length: 1<<63 - 1}} {
		if _, err := NewSet(Options{}).Open(t.Context(), "file:///dev/null", r); err == nil || Retryable(err) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// rangeServer is one for all schemes that answers as it is told.
func rangeServer(t *testing.T, h http.HandlerFunc) (*Set, []string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	noAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
	t.Setenv("STORAGE_EMULATOR_HOST", srv.URL)
	set := NewSet(Options{})
	t.Cleanup(set.Close)
	return set, []string{srv.URL + "/bucket/key", "s3://bucket/key", "gs://bucket/key"}
}

// TestRangeIgnored: the whole object comes from a server that knows no ranges.
func TestRangeIgnored(t *testing.T) {
	set, urls := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"7"`)
		w.Header().Set("X-Goog-Generation", "7")
		io.WriteString(w, "0123456789")
	})
	for _, u := range urls {
		for _, r := range []Position{{Length: 3}, {Offset: 2, Length: 3}} {
			obj, got := readAll(t, set, u, r)
			if obj.Part || obj.Offset != 0 || obj.Size != 10 || string(got) != "0123456789" {
				t.Errorf("%s %+v: part %v, %q from %d of %d", u, r, obj.Part, got, obj.Offset, obj.Size)
			}
		}
	}
}

// TestRangeAnswers has servers answer with other bytes than were asked for.
func TestRangeAnswers(t *testing.T) {
	for _, c := range []struct {
		name, header, body string
		broken, changed    bool
	}{
		{"the range", "bytes 2-4/10", "234", false, false},
		{"too far on", "bytes 3-5/10", "345", true, false},
		{"longer", "bytes 2-5/10", "2345", true, false},
		{"the end of the object", "bytes 2-3/4", "23", true, true},
		{"a longer body", "bytes 2-4/10", "2345", true, false},
		{"a shorter body", "bytes 2-4/10", "23", true, false},
		{"no header", "", "234", true, false},
	} {
		set, urls := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.header != "" {
				w.Header().Set("Content-Range", c.header)
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(c.body)))
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, c.body)
		})
		for _, u := range urls {
			var got []byte
			obj, err := set.Open(t.Context(), u, Position{Offset: 2, Length: 3})
			if err == nil {
				got, err = io.ReadAll(obj.Body)
				obj.Body.Close()
			}
			if (err != nil) != c.broken || errors.Is(err, ErrChanged) != c.changed || err == nil && string(got) != "234" {
				t.Errorf("%s: %s: %q, %v", u, c.name, got, err)
			}
		}
	}
}
