package all

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

func TestNoSuchRange(t *testing.T) {
	for _, r := range []store.Position{{Offset: -1}, {Length: -1}, {Offset: 2, Length: 1<<63 - 1}} {
		if _, err := newSet(store.Options{}).Open(t.Context(), "file:///dev/null", r); err == nil || store.Retryable(err) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// rangeServer is one for all schemes that answers as it is told.
func rangeServer(t *testing.T, h http.HandlerFunc) (*store.Set, []string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	testparts.NoAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
	t.Setenv("STORAGE_EMULATOR_HOST", srv.URL)
	set := newSet(store.Options{})
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
		for _, r := range []store.Position{{Length: 3}, {Offset: 2, Length: 3}} {
			obj, got := storetest.ReadAll(t, set, u, r)
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
			obj, err := set.Open(t.Context(), u, store.Position{Offset: 2, Length: 3})
			if err == nil {
				got, err = io.ReadAll(obj.Body)
				obj.Body.Close()
			}
			if (err != nil) != c.broken || errors.Is(err, store.ErrChanged) != c.changed || err == nil && string(got) != "234" {
				t.Errorf("%s: %s: %q, %v", u, c.name, got, err)
			}
		}
	}
}

// TestStoresRetryAfter: every server may ask for a pause.
func TestStoresRetryAfter(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	testparts.NoAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
	t.Setenv("STORAGE_EMULATOR_HOST", srv.URL)
	set := newSet(store.Options{})
	defer set.Close()
	for _, url := range []string{srv.URL + "/x", "s3://bucket/key", "gs://bucket/key"} {
		_, err := set.Open(t.Context(), url, store.Position{})
		if store.RetryAfter(err) != 7*time.Second || !store.Retryable(err) {
			t.Errorf("%s: %v asks for %s", url, err, store.RetryAfter(err))
		}
	}
}
