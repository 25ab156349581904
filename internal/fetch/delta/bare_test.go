package delta

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stretcher/internal/archive/index"
)

// TestIsBare: nothing is here unless a run has left something, or dest holds
// anything at all.
func TestIsBare(t *testing.T) {
	for name, tc := range map[string]struct {
		last  string
		files map[string]string
		none  bool
		want  bool
	}{
		"no tree":         {none: true, want: true},
		"an empty tree":   {files: map[string]string{}, want: true},
		"a file":          {files: map[string]string{"f": ""}},
		"a run":           {last: "sha256", none: true},
		"a run and files": {last: "sha256", files: map[string]string{"f": ""}},
	} {
		h := &Host{Last: tc.last, Tree: func() (Live, error) {
			if tc.none {
				return nil, os.ErrNotExist
			}
			return liveTree{io.NopCloser(nil), treeOf(t, tc.files)}, nil
		}}
		if is := h.IsBare(); is != tc.want {
			t.Errorf("%s: %v", name, is)
		}
	}
}

// single is a shelf for one index.
type single struct {
	t    *testing.T
	data []byte
	put  int
}

func (s *single) Index(string) (*os.File, bool) {
	if s.data == nil {
		return nil, false
	}
	name := filepath.Join(s.t.TempDir(), "index")
	ok(s.t, os.WriteFile(name, s.data, 0o600))
	f, err := os.Open(name)
	return f, err == nil
}

func (s *single) PutIndex(_ string, data []byte) error {
	s.data, s.put = data, s.put+1
	return nil
}

// someIndex is of an archive whose digest is all zeros. Nothing follows.
var someIndex = "stretcher index 1\n" + strings.Repeat("\x00", sha256.Size)

// beside is a host whose mirror answers requests for the index by serve.
func beside(t *testing.T, serve http.HandlerFunc) (h *Host, s *single, unkept *error) {
	t.Helper()
	srv := httptest.NewServer(serve)
	t.Cleanup(srv.Close)
	s, unkept = &single{t: t}, new(error)
	return &Host{
		Wish:     Wish{Mirrors: []string{srv.URL + "/a.tar.gz"}},
		Expected: Expected{Digest: sha256.Sum256([]byte(someIndex)), Archive: &index.Sum{}},
		Shelf:    s, Key: "key", Unkept: func(err error) { *unkept = err },
	}, s, unkept
}

// TestFetchBeside: the index comes while the archive does, unread, or afterwards.
func TestFetchBeside(t *testing.T) {
	for name, bandwidth := range map[string]int64{"meanwhile": 0, "afterwards": 1 << 30} {
		asked := make(chan string, 1)
		h, s, unkept := beside(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.Path
			_, _ = w.Write([]byte(someIndex))
		})
		web := newServer()
		web.Bandwidth = bandwidth
		ok(t, h.FetchBeside(t.Context(), web, func() error {
			if bandwidth == 0 {
				asked <- <-asked // waits for the request
			}
			if len(asked) != 0 && bandwidth > 0 {
				t.Error("asked for the index at once")
			}
			return nil
		}))
		if path := <-asked; path != "/a.tar.gz.idx" || string(s.data) != someIndex || *unkept != nil {
			t.Errorf("%s: asked for %q; %q, %v", name, path, s.data, *unkept)
		}
	}
}

// TestFetchBesideFails: without its archive, an index is not waited for; without
// its index, an archive is one all the same.
func TestFetchBesideFails(t *testing.T) {
	asked := make(chan bool, 1)
	h, s, unkept := beside(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	})
	broken := errors.New("broken")
	if err := h.FetchBeside(t.Context(), newServer(), func() error { <-asked; return broken }); err != broken {
		t.Error(err)
	}
	if s.put > 0 || *unkept != nil {
		t.Errorf("%q, %v", s.data, *unkept)
	}
	h, s, unkept = beside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("another")) })
	ok(t, h.FetchBeside(t.Context(), newServer(), func() error { return nil }))
	if s.put > 0 || !errors.Is(*unkept, ErrIndex) {
		t.Errorf("%q, %v", s.data, *unkept)
	}
	h, s, unkept = beside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(someIndex)) })
	h.Expected.Archive = &index.Sum{1}
	ok(t, h.FetchBeside(t.Context(), newServer(), func() error { return nil }))
	if s.put > 0 || !errors.Is(*unkept, ErrIndex) {
		t.Errorf("that of another archive: %q, %v", s.data, *unkept)
	}
	if h.Expected.Archive = nil; h.FetchBeside(t.Context(), &Server{}, func() error { return broken }) != broken {
		t.Error("no error")
	}
}

// TestFetchBesideLate: an index that does not come, or too slowly, is waited for a
// little while when the archive is here, and is not kept. Nor is it asked for beside
// the archive where one request is made at a time.
func TestFetchBesideLate(t *testing.T) {
	for name, lines := range map[string]int{"silent": 8, "dripping": 8, "one line": 1} {
		over := make(chan bool)
		asked := make(chan bool, 9)
		h, s, unkept := beside(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- true
			for name != "silent" && r.Context().Err() == nil {
				_, _ = io.WriteString(w, "s")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
			<-r.Context().Done()
			close(over)
		})
		web := newServer()
		web.Lines = lines
		h.patience = time.Millisecond
		ok(t, h.FetchBeside(t.Context(), web, func() error {
			if lines > 1 {
				asked <- <-asked
			} else if len(asked) > 0 {
				t.Error("asked for both at a time")
			}
			return nil
		}))
		if lines > 1 { // else its time may be over before the server is asked
			<-over
		}
		if s.put > 0 || !errors.Is(*unkept, errLate) {
			t.Errorf("%s: %q, %v", name, s.data, *unkept)
		}
	}
	if patience(time.Second) != leastPatience || patience(10*time.Minute) != time.Minute {
		t.Error(patience(time.Second), patience(10*time.Minute))
	}
}

// TestFetchBesideHere: an index that is here is fetched again if it is another one.
func TestFetchBesideHere(t *testing.T) {
	for here, want := range map[string]int{someIndex: 0, "another": 1} {
		h, s, unkept := beside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(someIndex)) })
		s.data = []byte(here)
		ok(t, h.FetchBeside(t.Context(), newServer(), func() error { return nil }))
		if s.put != want || string(s.data) != someIndex || *unkept != nil {
			t.Errorf("%q: %d, %q, %v", here, s.put, s.data, *unkept)
		}
	}
}
