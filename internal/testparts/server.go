package testparts

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is a handler that serves a directory, well and badly:
//
//	/NAME                  the file, with Range and ETag
//	/status/CODE/NAME      an HTML page with that status
//	/flaky/N/NAME          N answers of status 503, then the file
//	/cut/N/NAME            the connection breaks after N bytes, each time
//	/cutonce/N/NAME        it breaks after N bytes, once
//	/norange/N/NAME        the same, and Range is ignored
//	/chunked/NAME          the file, without saying how long it is
//	/announced/N/NAME      a byte, of N that it is said to have
//	/encoded/CODING/NAME   the file, said to be encoded so
//	/slow/NAME             a byte every 50 ms
//	/stall/NAME            a first byte and then none
//	/redirect/NAME         to the URL that is in the file
//	/put/...               a directory that takes PUT, see put
//
// Every request becomes a line of the file requests: method, path and Range.
type Server struct {
	Dir      string // what is served
	requests string
	mu       sync.Mutex
	seen     map[string]int
	done     chan struct{}
}

// NewServer serves the files of dir. requests is the name of the file that
// requests are written to.
func NewServer(dir, requests string) *Server {
	return &Server{Dir: dir, requests: requests, seen: map[string]int{}, done: make(chan struct{})}
}

// Close ends all answers that go on.
func (s *Server) Close() { close(s.done) }

// Serve starts a Server on a port of the loopback interface.
func Serve(dir, requests string) (url string, stop func()) {
	s := NewServer(dir, requests)
	srv := httptest.NewServer(s)
	return srv.URL, func() { s.Close(); srv.CloseClientConnections(); srv.Close() }
}

// note writes the request down and returns how often it came before.
func (s *Server) note(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.requests, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		fmt.Fprintf(f, "%s %s %s %s\n", r.Method, r.URL.Path, r.Header.Get("Range"), r.UserAgent())
		_ = f.Close()
	}
	s.seen[r.URL.Path]++
	return s.seen[r.URL.Path] - 1
}

// ServeHTTP answers as the type's comment says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	before := s.note(r)
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	n := 0
	if len(parts) > 1 {
		n, _ = strconv.Atoi(parts[1])
	}
	name := filepath.Join(s.Dir, filepath.Base(r.URL.Path))
	switch parts[0] {
	case "put":
		s.put(w, r)
	case "status":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(n)
		fmt.Fprintf(w, "<!DOCTYPE html><html><body>status %d</body></html>\n", n)
	case "flaky":
		if before < n {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		s.file(w, r, name)
	case "cut":
		s.file(Cut(w, n), r, name)
	case "cutonce", "norange":
		if parts[0] == "norange" {
			r.Header.Del("Range")
		}
		if before == 0 {
			w = Cut(w, n)
		}
		s.file(w, r, name)
	case "encoded":
		w.Header().Set("Content-Encoding", parts[1])
		s.file(w, r, name)
	case "chunked":
		data, _ := os.ReadFile(name)
		w.(http.Flusher).Flush() // before any length is known
		_, _ = w.Write(data)
	case "announced":
		w.Header().Set("Content-Length", parts[1])
		_, _ = w.Write([]byte("x"))
	case "slow", "stall":
		s.drip(w, r, name, parts[0] == "stall")
	case "redirect":
		to, _ := os.ReadFile(name)
		http.Redirect(w, r, strings.TrimSpace(string(to)), http.StatusFound)
	default:
		s.file(w, r, name)
	}
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) {
	if info, err := os.Stat(name); err == nil {
		w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	}
	http.ServeFile(w, r, name)
}

// drip sends the file a byte at a time, or only its first byte.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, name string, once bool) {
	data, _ := os.ReadFile(name)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	for _, b := range data {
		_, _ = w.Write([]byte{b})
		w.(http.Flusher).Flush()
		pause := 50 * time.Millisecond
		if once {
			pause = time.Hour
		}
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
	}
}

// Cut gives a writer to w that breaks the connection after so many bytes of
// body.
func Cut(w http.ResponseWriter, after int) http.ResponseWriter {
	return &cutter{ResponseWriter: w, left: after}
}

type cutter struct {
	http.ResponseWriter
	left int
}

// Write writes what is left of the bytes, then breaks the connection.
func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	c.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
