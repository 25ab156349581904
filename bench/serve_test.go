package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTagged(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.tar")
	if err := os.WriteFile(name, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	ask := func(rang, tag string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/a.tar", nil)
		req.Header.Set("Range", rang)
		req.Header.Set("If-Range", tag)
		w := httptest.NewRecorder()
		tagged(dir).ServeHTTP(w, req)
		return w
	}
	tag := ask("", "").Header().Get("ETag")
	if w := ask("bytes=2-4", tag); w.Code != http.StatusPartialContent || w.Body.String() != "234" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if err := os.Chtimes(name, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if w := ask("bytes=2-4", tag); w.Code != http.StatusOK || w.Body.Len() != 10 {
		t.Errorf("another version: %d %q", w.Code, w.Body)
	}
}
