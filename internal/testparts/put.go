package testparts

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// put serves what lies below /put/: a directory that takes PUT, and what may
// become of one.
//
//	/put/NAME              the file is written when its body is there
//	/put/status/CODE/NAME  a PUT is answered with that status
//	/put/flaky/N/NAME      the first N PUTs are answered 503
//	/put/cut/N/NAME        the connection of the first PUT breaks after N bytes
//	/put/stall/NAME        a PUT is neither read nor answered
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/put/"), "/")
	name := filepath.Join(s.Dir, filepath.Base(r.URL.Path))
	if r.Method != http.MethodPut {
		s.file(w, r, name)
		return
	}
	n := 0
	if len(parts) > 1 {
		n, _ = strconv.Atoi(parts[1])
	}
	switch {
	case parts[0] == "status":
		w.WriteHeader(n)
	case parts[0] == "flaky" && s.puts(r) <= n:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	case parts[0] == "cut" && s.puts(r) == 1:
		_, _ = io.CopyN(io.Discard, r.Body, int64(n))
		panic(http.ErrAbortHandler)
	case parts[0] == "stall":
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	default:
		w.WriteHeader(receive(name, r.Body))
	}
}

// puts counts the PUTs to a URL.
func (s *Server) puts(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen["PUT "+r.URL.Path]++
	return s.seen["PUT "+r.URL.Path]
}

// receive writes a whole body to a file, and gives the status.
func receive(name string, body io.Reader) int {
	data, err := io.ReadAll(body)
	part := fmt.Sprintf("%s.%d.part", name, os.Getpid())
	if err != nil || os.WriteFile(part, data, 0o644) != nil || os.Rename(part, name) != nil {
		return http.StatusInternalServerError
	}
	return http.StatusCreated
}
