package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
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
		obj, err := o.Open(t.Context(), near+tc.path, store.Position{})
		if err == nil {
			obj.Body.Close()
		}
		if errors.Is(err, errNo) != tc.refused || (err != nil) != tc.refused || err != nil && store.Retryable(err) {
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
	if _, err := asking.Open(t.Context(), base+"/away", store.Position{}); err == nil {
		t.Error("a redirect was not asked about")
	}
	storetest.Open(t, set, base+"/away", store.Position{})
}
