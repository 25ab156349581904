package gs

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
)

// TestPutAnswers has a server say what fake-gcs-server can't be made to say.
func TestPutAnswers(t *testing.T) {
	for code, kind := range map[int]error{401: store.ErrDenied, 403: store.ErrDenied, 404: store.ErrNotFound, 400: nil} {
		var asked []string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			w.WriteHeader(code)
		}))
		t.Setenv("STORAGE_EMULATOR_HOST", srv.Listener.Addr().String())
		set := newSet(store.Options{})
		err := set.Put(t.Context(), "gs://bucket/key", strings.NewReader("x"), 1,
			store.PutOptions{SHA256: sha256.Sum256([]byte("x"))})
		if err == nil || kind != nil && !errors.Is(err, kind) || store.Retryable(err) ||
			!strings.HasPrefix(err.Error(), `put "gs://bucket/key": `) {
			t.Errorf("%d: %v, want %v", code, err, kind)
		}
		if len(asked) != 1 || !strings.HasPrefix(asked[0], "POST /upload/storage/v1/b/bucket/o") {
			t.Errorf("%d: asked for %q", code, asked)
		}
		set.Close()
		srv.Close()
	}
	err := newSet(store.Options{}).Put(t.Context(), "gs://bucket/key?generation=1", strings.NewReader(""), 0,
		store.PutOptions{SHA256: sha256.Sum256(nil)})
	if err == nil || !strings.Contains(err.Error(), "names a generation") {
		t.Errorf("a generation was written: %v", err)
	}
}
