package store

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAsking: no request is made that has not been asked about, and none that
// was refused.
func TestAsking(t *testing.T) {
	errNo := errors.New("not there")
	var requests []string
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests = append(requests, "far"+r.URL.Path)
	}))
	defer far.Close()
	set, near := answers(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, "near"+r.URL.Path)
		switch r.URL.Path {
		case "/far":
			http.Redirect(w, r, far.URL+"/end", http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/end?k=SEKRIT", http.StatusMovedPermanently)
		case "/there-and-back":
			http.Redirect(w, r, "/far", http.StatusTemporaryRedirect)
		}
	})
	for _, tc := range []struct {
		path, forbidden string // what begins so is refused
		want            []string
		refused         bool
	}{
		{path: "/end", want: []string{"near/end"}},
		{path: "/far", want: []string{"near/far", "far/end"}},
		{path: "/near", want: []string{"near/near", "near/end"}},
		{path: "/end", forbidden: near, refused: true},
		{path: "/far", forbidden: far.URL, want: []string{"near/far"}, refused: true},
		{path: "/there-and-back", forbidden: far.URL, want: []string{"near/there-and-back", "near/far"}, refused: true},
		{path: "/near", forbidden: near + "/end", want: []string{"near/near"}, refused: true},
		{path: "/near", forbidden: far.URL, want: []string{"near/near", "near/end"}},
	} {
		requests = nil
		var asked []string
		o := set.Asking(func(url string) error {
			asked = append(asked, url)
			if tc.forbidden != "" && strings.HasPrefix(url, tc.forbidden) {
				return errNo
			}
			return nil
		})
		obj, err := o.Open(t.Context(), near+tc.path, Position{})
		if err == nil {
			obj.Body.Close()
		}
		if errors.Is(err, errNo) != tc.refused || (err != nil) != tc.refused || err != nil && Retryable(err) {
			t.Errorf("%s without %s: err = %v, which must be refused for good: %v", tc.path, tc.forbidden, err, tc.refused)
		}
		if !slices.Equal(requests, tc.want) || asked[0] != near+tc.path {
			t.Errorf("%s without %s: requests %q, asked %q", tc.path, tc.forbidden, requests, asked)
		}
		if err != nil && strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("the error names a query: %v", err)
		}
	}
}

// TestAskingIsOfOneFetch: who asks nothing is not asked for, though the client
// is the same.
func TestAskingIsOfOneFetch(t *testing.T) {
	set, base := answers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	})
	asking := set.Asking(func(url string) error {
		if strings.HasSuffix(url, "/end") {
			return errors.New("no")
		}
		return nil
	})
	if _, err := asking.Open(t.Context(), base+"/away", Position{}); err == nil {
		t.Error("a redirect was not asked about")
	}
	open(t, set, base+"/away", Position{})
}

// TestAskingAboutFiles: where symlinks lead elsewhere than the name says, the
// file that is open is asked about as well.
func TestAskingAboutFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	errNo := errors.New("not there")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "in/deep"), 0o755), os.Mkdir(filepath.Join(dir, "out"), 0o755),
		os.WriteFile(filepath.Join(dir, "in/a #b"), []byte("a"), 0o600),
		os.WriteFile(filepath.Join(dir, "out/b"), []byte("b"), 0o600),
		os.Symlink("../out/b", filepath.Join(dir, "in/leads-out")),
		os.Symlink(filepath.Join(dir, "out"), filepath.Join(dir, "in/deep/out")),
		os.Symlink("a #b", filepath.Join(dir, "in/leads-beside")),
	); err != nil {
		t.Fatal(err)
	}
	for name, real := range map[string]string{
		"in/a #b": "", "in//deep/../a #b": "", "in/leads-beside": "in/a #b",
		"in/leads-out": "out/b", "in/deep/out/b": "out/b",
	} {
		given := (&url.URL{Scheme: "file", Path: dir + "/" + name}).String()
		var asked []string
		obj, err := NewSet(Options{}).Asking(func(next string) error {
			asked = append(asked, next)
			if strings.Contains(next, "/out/b") && !strings.Contains(next, "/in/") {
				return errNo
			}
			return nil
		}).Open(t.Context(), given, Position{})
		if err == nil {
			obj.Body.Close()
		}
		want := []string{given}
		if real != "" {
			want = append(want, (&url.URL{Scheme: "file", Path: filepath.Join(dir, real)}).String())
		}
		if refused := real == "out/b"; !slices.Equal(asked, want) || errors.Is(err, errNo) != refused ||
			(err != nil) != refused || err != nil && Retryable(err) {
			t.Errorf("%s: asked %q, want %q: %v", name, asked, want, err)
		}
	}
}
