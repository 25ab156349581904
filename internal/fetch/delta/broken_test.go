package delta

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/archive/pack"
)

// halving breaks an answer off in its middle.
type halving struct {
	http.ResponseWriter
	come int64
}

// Write writes what belongs to the first half.
func (h *halving) Write(p []byte) (int, error) {
	all, err := strconv.ParseInt(h.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		return 0, err
	}
	half := min(int64(len(p)), all/2-h.come)
	h.come += half
	if n, err := h.ResponseWriter.Write(p[:half]); err != nil || half == int64(len(p)) {
		return n, err
	}
	panic(http.ErrAbortHandler)
}

// TestBrokenOff: where as many answers break off as parts come, and more, no more are asked
// for; where most come, all do.
func TestBrokenOff(t *testing.T) {
	old, now := map[string]string{}, map[string]string{}
	for i := range 1200 {
		name := fmt.Sprintf("d%02d/f%04d", i/100, i)
		old[name] = text(uint64(i), 8_000)
		if now[name] = old[name]; i%50 == 0 {
			now[name] = text(uint64(5000+i), 8_000)
		}
	}
	before, after := newRelease(t, old, pack.Gzip), newRelease(t, now, pack.Gzip)
	for every, lines := range map[int64]int{1: 1, 3: 1, 5: 4} {
		var asked atomic.Int64
		dir := http.FileServer(http.Dir(filepath.Dir(after.archive)))
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1)%every == 0 {
				w = &halving{ResponseWriter: w}
			}
			dir.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		s, w := newServer(), after.wish(t, srv.URL+"/a.tar.x")
		w.Live = rootOf(t, before.dir)
		s.Lines, s.Transfer.Retries, s.Link = lines, 20, Link{RTT: time.Nanosecond, Rate: 1 << 30}
		b, whole, err := Bring(t.Context(), s, w)
		whole.Close()
		if every == 1 {
			if err == nil || !strings.Contains(err.Error(), "of its answers broke off, and ") || asked.Load() > 2*mostBroken {
				t.Errorf("every %d: %d requests, %v", every, asked.Load(), err)
			}
			continue
		}
		ok(t, err)
		if after.stream(t, b) != plain(t, after) || asked.Load() < 3*mostBroken {
			t.Errorf("every %d: another stream, by %d requests", every, asked.Load())
		}
		ok(t, b.Close())
	}
}
