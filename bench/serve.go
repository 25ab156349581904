package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// serveDir serves the files of a directory over HTTP, with ETags. It prints the
// address that it listens at, and does not end.
func serveDir(listen, dir string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, tagged(dir))
}

// tagged serves a directory. A file's tag changes with its size and time.
func tagged(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(r.URL.Path))); err == nil {
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		}
		files.ServeHTTP(w, r)
	})
}
