package delta

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/archive/pack"
)

// answer is how a server answers for a part of an archive, from first to last.
type answer func(w http.ResponseWriter, archive []byte, first, last int)

// partOf answers as it should, with these bytes instead.
func partOf(w http.ResponseWriter, archive, body []byte, first, last int) {
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(archive)))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(body)
}

// answers are those of servers that do not do what they are asked for.
func answers() map[string]answer {
	return map[string]answer{
		"the whole archive": func(w http.ResponseWriter, archive []byte, _, _ int) { _, _ = w.Write(archive) },
		"other bytes": func(w http.ResponseWriter, archive []byte, first, last int) {
			partOf(w, archive, bytes.Repeat([]byte("x"), last-first+1), first, last)
		},
		"bytes from elsewhere": func(w http.ResponseWriter, archive []byte, first, last int) {
			partOf(w, archive, archive[:last-first+1], first, last)
		},
		"another range": func(w http.ResponseWriter, archive []byte, first, last int) {
			partOf(w, archive, archive[:last-first+1], 0, last-first)
		},
		"a range of another archive": func(w http.ResponseWriter, archive []byte, first, last int) {
			partOf(w, append(archive, 'x'), archive[first:last+1], first, last)
		},
		"fewer bytes": func(w http.ResponseWriter, archive []byte, first, last int) {
			partOf(w, archive, archive[first:first+1], first, last)
		},
		"one byte less than it says": func(w http.ResponseWriter, archive []byte, first, last int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(archive)))
			w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(archive[first:last])
		},
		"no range at all": func(w http.ResponseWriter, _ []byte, _, _ int) { w.WriteHeader(http.StatusPartialContent) },
		"an empty page":   func(http.ResponseWriter, []byte, int, int) {},
		"an HTML page": func(w http.ResponseWriter, _ []byte, _, _ int) {
			_, _ = w.Write([]byte("<html>please log in</html>"))
		},
		"several parts": func(w http.ResponseWriter, archive []byte, first, last int) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=X")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprintf(w, "--X\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n--X--\r\n", first, last, len(archive),
				archive[first:last+1])
		},
		"an error of the server": func(w http.ResponseWriter, _ []byte, _, _ int) {
			http.Error(w, "broken", http.StatusInternalServerError)
		},
		"range not satisfiable": func(w http.ResponseWriter, _ []byte, _, _ int) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
		"precondition failed": func(w http.ResponseWriter, _ []byte, _, _ int) {
			w.WriteHeader(http.StatusPreconditionFailed)
		},
		"forbidden": func(w http.ResponseWriter, _ []byte, _, _ int) { w.WriteHeader(http.StatusForbidden) },
	}
}

// TestServers deploys from servers that answer wrongly for ranges, and rightly
// for the whole archive: it is fetched, one line says why, and the tree is right.
func TestServers(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	want := look(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for name, answer := range answers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, h := newOrigin(t), newHost(t, "native")
			if status, log := h.deploy(o.publish("older", h.dest(), "native", first)); status != 0 {
				t.Fatalf("exit status %d\n%s", status, log)
			}
			asked := 0
			o.answer(func(w http.ResponseWriter, r *http.Request) {
				var from, to int
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
					_, _ = w.Write(second.archive)
					return
				}
				o.mu.Lock()
				asked++
				o.mu.Unlock()
				answer(w, second.archive, from, min(to, len(second.archive)-1))
			})
			status, log := h.deploy(o.publish("newer", h.dest(), "native", second))
			if got := look(t, h.live()); status != 0 || got != want {
				t.Errorf("exit status %d\n%s\n%s", status, log, difference(got, want))
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if n := strings.Count(log, "fetching the whole archive: "); n != 1 || asked == 0 {
				t.Errorf("%d lines say why, %d ranges were asked for:\n%s", n, asked, log)
			}
		})
	}
}
