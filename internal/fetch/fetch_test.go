package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
)

// bench is a Fetcher and what it has said and made.
type bench struct {
	Fetcher
	log   bytes.Buffer
	sizes []int64
	files []*os.File
	tried []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	dir := t.TempDir()
	set := store.NewSet(store.Options{}, all.List())
	t.Cleanup(set.Close)
	b.Fetcher = Fetcher{
		Store: set, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
		Transfer: transfer.Options{Wait: time.Millisecond},
		Trying:   func(source string) { b.tried = append(b.tried, source) },
		Unnamed: func(size int64) (*os.File, error) {
			f, err := os.CreateTemp(dir, "")
			b.sizes, b.files = append(b.sizes, size), append(b.files, f)
			return f, err
		},
	}
	return b
}

// closed fails unless all files but the last kept ones are closed.
func (b *bench) closed(t *testing.T, kept int) {
	t.Helper()
	for i, f := range b.files {
		_, err := f.Stat()
		if open := err == nil; open != (i >= len(b.files)-kept) {
			t.Errorf("file %d of %d is open: %v", i, len(b.files), open)
		}
	}
}

func sumOf(text string) checksum.Checksum {
	sum := sha256.Sum256([]byte(text))
	return checksum.Checksum{Algorithm: "sha256", Digest: sum[:]}
}

// serve answers /TEXT with the text, /500 with that status, /unknown without a
// size and /to?URL with a redirect.
func serve(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := strings.TrimPrefix(r.URL.Path, "/"); name {
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "unknown":
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "unknown")
		case "to":
			http.Redirect(w, r, r.URL.RawQuery, http.StatusFound)
		case "hang":
			<-r.Context().Done()
		case "empty":
		default:
			fmt.Fprint(w, name)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestArchive(t *testing.T) {
	url := serve(t)
	for _, c := range []struct {
		name, text string
		src        []string
		limit      int64
		sizes      string
		log        string
	}{
		{"one mirror", "good", []string{"/good"}, 0, "[4]", "is right"},
		{"of the largest size", "good", []string{"/good"}, 4, "[4]", "is right"},
		{"without a size", "unknown", []string{"/unknown"}, 7, "[-1]", "is right"},
		{"empty", "", []string{"/empty"}, 0, "[0]", "is right"},
		{"the second", "good", []string{"/500", "/good", "/other"}, 0, "[4]",
			"500 Internal Server Error; trying the next mirror"},
		{"after other bytes", "good", []string{"/evil", "/good"}, 0, "[4 4]", "has checksum sha256:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			for i := range c.src {
				c.src[i] = url + c.src[i]
			}
			a, err := b.Archive(t.Context(), c.src, sumOf(c.text), c.limit)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			got, err := io.ReadAll(a)
			if err != nil || string(got) != c.text || a.Size != int64(len(c.text)) {
				t.Errorf("it holds %q of %d, %v", got, a.Size, err)
			}
			if last := b.tried[len(b.tried)-1]; a.Source != last || fmt.Sprint(b.sizes) != c.sizes {
				t.Errorf("from %q, sizes %v", a.Source, b.sizes)
			}
			if !strings.Contains(b.log.String(), c.log) {
				t.Errorf("log: %s", b.log.String())
			}
			b.closed(t, 1)
		})
	}
}

func TestArchiveFails(t *testing.T) {
	url := serve(t)
	for _, c := range []struct {
		name    string
		src     []string
		refused bool
		want    string
	}{
		{"other bytes", []string{"/evil"}, true, `/evil" has checksum sha256:`},
		{"nowhere", []string{"/500", "/500"}, false, "none of 2 mirrors could be used: GET"},
		{"other bytes weigh more", []string{"/evil", "/500"}, true, `none of 2 mirrors could be used: "http`},
		{"forbidden weighs more", []string{"/forbidden", "/500"}, false, "not allowed"},
		{"forbidden weighs more, before or after", []string{"/500", "/forbidden"}, false, "not allowed"},
		{"too large weighs more", []string{"/toolarge", "/500"}, false, `none of 2 mirrors could be used: "http:`},
		{"other bytes and forbidden", []string{"/evil", "/forbidden", "/500"}, false, "none of 3 mirrors could be used: "},
		{"too large", []string{"/toolarge"}, false, "too large"},
		{"no mirror", nil, false, "no mirror"},
	} {
		b := newBench(t)
		for i := range c.src {
			c.src[i] = url + c.src[i]
		}
		b.AllowSource = func(_, next string) error {
			if strings.HasSuffix(next, "/forbidden") {
				return errors.New("not allowed")
			}
			return nil
		}
		_, err := b.Archive(t.Context(), c.src, sumOf("good"), 5)
		if err == nil || errors.Is(err, failure.ErrRefused) != c.refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		b.closed(t, 0)
	}
}

// TestArchiveNoPlace: the file can't be made, for a size that is known and one
// that is not.
func TestArchiveNoPlace(t *testing.T) {
	url := serve(t)
	full := errors.New("full")
	for _, name := range []string{"/good", "/unknown", "/empty"} {
		b := newBench(t)
		b.Unnamed = func(int64) (*os.File, error) { return nil, full }
		if _, err := b.Archive(t.Context(), []string{url + name}, sumOf(""), 0); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestArchiveResumes: what a broken connection has brought is not lost, and
// what has changed meanwhile is fetched anew.
func TestArchiveResumes(t *testing.T) {
	text := strings.Repeat("0123456789", 20_000)
	for _, changed := range []bool{false, true} {
		requests := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			tag := `"1"`
			if changed && requests > 1 {
				tag = `"2"`
			}
			w.Header().Set("ETag", tag)
			if requests == 1 {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				fmt.Fprint(w, strings.Repeat("x", 10)+text[10:150_000])
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		}))
		defer srv.Close()
		want := text
		if !changed {
			want = strings.Repeat("x", 10) + text[10:]
		}
		b := newBench(t)
		a, err := b.Archive(t.Context(), []string{srv.URL}, sumOf(want), 0)
		if err != nil {
			t.Fatalf("changed: %v: %v", changed, err)
		}
		if got, err := io.ReadAll(a); err != nil || string(got) != want {
			t.Errorf("changed: %v: it holds %d bytes, %v", changed, len(got), err)
		}
		_ = a.Close()
	}
}

func TestTimeout(t *testing.T) {
	b := newBench(t)
	b.Timeout = 50 * time.Millisecond
	url := serve(t) + "/hang"
	_, err := b.Archive(t.Context(), []string{url, url}, sumOf(""), 0)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not done after --timeout 50ms") {
		t.Errorf("err = %v", err)
	}
	if len(b.tried) != 1 {
		t.Errorf("tried %v", b.tried)
	}
	if _, err := b.Document(t.Context(), url, 9, allowAll); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("document: %v", err)
	}
}

func allowAll(string) error { return nil }

// TestAllow: each request is asked about, those of redirects included.
func TestAllow(t *testing.T) {
	url := serve(t)
	var asked []string
	no := errors.New("not allowed")
	allow := func(next string) error {
		asked = append(asked, strings.TrimPrefix(next, url))
		if next == url+"/evil" {
			return no
		}
		return nil
	}
	b := newBench(t)
	b.AllowSource = func(first, next string) error {
		if !strings.HasPrefix(first, url+"/to") {
			t.Errorf("first is %q", first)
		}
		return allow(next)
	}
	if _, err := b.Archive(t.Context(), []string{url + "/to?/evil"}, sumOf("evil"), 0); !errors.Is(err, no) {
		t.Errorf("archive: %v", err)
	}
	if _, err := b.Document(t.Context(), url+"/to?/evil", 9, allow); !errors.Is(err, no) {
		t.Errorf("document: %v", err)
	}
	if fmt.Sprint(asked) != "[/to?/evil /evil /to?/evil /evil]" {
		t.Errorf("asked %v", asked)
	}
}

// TestParts: what fetches parts makes connections ahead, counted or not, and one
// request at a time where there may be one connection.
func TestParts(t *testing.T) {
	f := &Fetcher{Store: store.NewSet(store.Options{}, nil)}
	for connections, want := range map[int]int{0: lines, 1: 1, 2: 2 * lines, 16: 16 * lines} {
		f.Fetched = new(atomic.Int64)
		s := f.Parts(connections)
		if _, ok := s.Opener("http://x/a").(interface {
			Connect(ctx context.Context, url string, n int)
		}); !ok || s.Lines != want || s.Files <= 0 {
			t.Errorf("%d connections: %d lines, %v", connections, s.Lines, ok)
		}
	}
}

func TestDocument(t *testing.T) {
	url := serve(t)
	b := newBench(t)
	if got, err := b.Document(t.Context(), url+"/text", 4, allowAll); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.Document(t.Context(), url+"/text5", 4, allowAll); !errors.Is(err, transfer.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := b.Document(t.Context(), "no URL", 4, allowAll); !errors.Is(err, failure.ErrMalformed) ||
		failure.Hint(err) == "" {
		t.Errorf("no URL: %v, %q", err, failure.Hint(err))
	}
}

func TestVerify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 { // from wherever it is
		if err := Verify(t.Context(), f, sumOf("good")); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(f); err != nil || string(got) != "good" {
			t.Errorf("left at %q, %v", got, err)
		}
	}
	if err := Verify(t.Context(), f, sumOf("evil")); err == nil ||
		!strings.Contains(err.Error(), "its checksum is sha256:") {
		t.Errorf("err = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Verify(ctx, f, sumOf("good")); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}
