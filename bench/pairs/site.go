package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"stretcher/internal/archive/index"
)

// site is a server with archives, and a directory to deploy to.
type site struct {
	program, dir string
	server       *httptest.Server
	sent         atomic.Int64 // bytes of archives and indexes
}

func newSite(program string) (*site, error) {
	dir, err := os.MkdirTemp("", "pairs-")
	if err != nil {
		return nil, err
	}
	s := &site{program: program, dir: dir}
	files := http.FileServer(http.Dir(dir))
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, ".tar.gz") {
			files.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(&counter{w, &s.sent}, r)
	}))
	return s, nil
}

// counter counts what is answered.
type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// close ends the server and removes the directory, in which there may be others
// that nobody may write to.
func (s *site) close() {
	s.server.Close()
	_ = filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(s.dir)
}

// pack offers a directory under a name.
func (s *site) pack(dir, name string) (*index.Index, error) {
	archive := filepath.Join(s.dir, name+".tar.gz")
	x, err := packInto(dir, archive)
	if err != nil {
		return nil, err
	}
	text := manifest(s.server.URL+"/"+name+".tar.gz", filepath.Join(s.dir, "dest"), x)
	return x, os.WriteFile(filepath.Join(s.dir, name+".yml"), []byte(text), 0o600)
}

// deploy deploys what has a name, and tells how many bytes were sent.
func (s *site) deploy(name string) (sent int64, err error) {
	before := s.sent.Load()
	cmd := exec.Command(s.program, s.server.URL+"/"+name+".yml")
	cmd.Env = append(os.Environ(), "STRETCHER_STATE_DIR="+filepath.Join(s.dir, "state"))
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return s.sent.Load() - before, err
}
