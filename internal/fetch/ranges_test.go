package fetch

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stretcher/internal/fetch/checksum"
)

// liar serves bytes as they are, and wrong ones where a range is asked for. The first
// answer breaks off where it is said to, or gives an eighth and goes on when more than
// that is there: then some of it came in ranges. Whoever fetches tells progress.
func liar(t *testing.T, data []byte, cut int) (url string, whole *atomic.Int32, progress func(done, size int64)) {
	t.Helper()
	whole = new(atomic.Int32)
	brought, once := make(chan struct{}), new(sync.Once)
	progress = func(done, _ int64) {
		if done > int64(len(data)/8) {
			once.Do(func() { close(brought) })
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		from, to := 0, len(data)-1
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
			w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(make([]byte, to+1-from))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		first, rest := whole.Add(1) == 1, data
		if first && cut > 0 {
			_, _ = w.Write(data[:cut])
			panic(http.ErrAbortHandler)
		}
		if first {
			_, _ = w.Write(data[:len(data)/8])
			select {
			case <-brought:
			case <-r.Context().Done():
			}
			rest = data[len(data)/8:]
		}
		_, _ = w.Write(rest)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/app", whole, progress
}

// What came in ranges and is wrong is fetched once more in one piece, and once only.
func TestWrongRanges(t *testing.T) {
	large := bytes.Repeat([]byte("content "), 33<<17)
	for _, c := range []struct {
		name        string
		data        []byte
		cut         int
		connections int
		spoilt      bool // the archive is another one
	}{
		{"several connections", large, 0, 4, false},
		{"several connections, another archive", large, 0, 4, true},
		{"a break", large[:100000], 50000, 1, false},
		{"a break, another archive", large[:100000], 50000, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, whole, progress := liar(t, c.data, c.cut)
			b := newBench(t)
			b.Transfer.Connections, b.Transfer.Progress = c.connections, progress
			sum := sha256.Sum256(c.data)
			want := checksum.Checksum{Algorithm: "sha256", Digest: sum[:]}
			if c.spoilt {
				want = sumOf("something else")
			}
			a, err := b.Archive(t.Context(), []string{url}, want, 0)
			if n := whole.Load(); n != 2 || (err != nil) != c.spoilt || err != nil && !isRefused(err) {
				t.Fatalf("%d whole answers, error %v", n, err)
			}
			if n := strings.Count(b.log.String(), "fetching it once more, in one piece"); n != 1 {
				t.Errorf("log:\n%s", b.log.String())
			}
			if err == nil {
				defer a.Close()
				if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, c.data) {
					t.Errorf("other bytes, %v", err)
				}
			}
		})
	}
}
