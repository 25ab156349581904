package delta

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/archive/pack"
)

// changedFiles are those of a release where several are others.
func changedFiles(numbers ...int) map[string]string {
	all := files(-1)
	for _, i := range numbers {
		all[fmt.Sprintf("d%d/f%d", i%5, i)] = text(uint64(1000+i), 30_000)
	}
	return all
}

// TestMirrors: where one fails, the next is asked.
func TestMirrors(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	w := after.wish(t, "file:///none/at/all")
	w.Mirrors = append(w.Mirrors, "file://"+before.archive, "file://"+after.archive)
	w.Live = rootOf(t, before.dir)
	b, _, err := Bring(t.Context(), newServer(), w)
	ok(t, err)
	defer b.Close()
	if after.stream(t, b) != plain(t, after) || b.Mirror != "file://"+after.archive {
		t.Errorf("from %q", b.Mirror)
	}
}

// TestMirrorSpoils: the next mirror is asked for what is not right yet, and for
// nothing else, so that what has been verified stays as it is.
func TestMirrorSpoils(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	var n atomic.Int64
	web, good := serverFor(t, filepath.Dir(after.archive), &n)
	asked := 0
	files := http.FileServer(http.Dir(filepath.Dir(after.archive)))
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 2 {
			files.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(spoiling{w}, r)
	}))
	defer bad.Close()
	w := after.wish(t, bad.URL+"/a.tar.x")
	w.Mirrors, w.Live = append(w.Mirrors, good+"a.tar.x"), rootOf(t, before.dir)
	web.Lines, web.Link = 1, Link{RTT: time.Nanosecond, Rate: 1 << 30}
	b, _, err := Bring(t.Context(), web, w)
	ok(t, err)
	defer b.Close()
	if asked != 2 || n.Load() == 0 || n.Load() >= b.Bytes || b.Mirror != good+"a.tar.x" {
		t.Errorf("%d requests before, %d of %d bytes from %q", asked, n.Load(), b.Bytes, b.Mirror)
	}
	if after.stream(t, b) != plain(t, after) {
		t.Error("another stream")
	}
}

// spoiling writes something else.
type spoiling struct{ http.ResponseWriter }

func (s spoiling) Write(p []byte) (int, error) { return s.ResponseWriter.Write(make([]byte, len(p))) }
