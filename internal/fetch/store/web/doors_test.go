package web

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
)

// TestAccess: what a server gets goes to it, and is asked for again at each
// redirect; nothing of it is taken along.
func TestAccess(t *testing.T) {
	var seen []string
	note := func(name string, r *http.Request) {
		seen = append(seen, name+r.URL.Path+" "+r.Header.Get("X-Token")+" "+r.Header.Get("Authorization"))
	}
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { note("far", r) }))
	defer far.Close()
	var near *httptest.Server
	near = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("near", r)
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, far.URL+"/x", http.StatusFound)
		case "/in":
			http.Redirect(w, r, near.URL+"/out", http.StatusFound)
		}
	}))
	defer near.Close()
	var ways []store.Way
	set := newSet(store.Options{Access: func(u *url.URL, way store.Way) (store.Access, error) {
		ways = append(ways, way)
		switch {
		case u.Path == "/refused":
			return store.Access{}, errors.New("no such file")
		case strings.HasPrefix(near.URL, "http://"+u.Host) && u.Path != "/out":
			return store.Access{Header: http.Header{"X-Token": {"t"}, "Authorization": {"a"}}}, nil
		}
		return store.Access{}, nil
	}})
	defer set.Close()
	for _, tc := range []struct {
		path, want string
		ways       []store.Way
	}{
		{"/plain", "near/plain t a", []store.Way{{}}},
		{"/away", "near/away t a,far/x  ", []store.Way{{}, {Strange: true}}},
		{"/in", "near/in t a,near/out  ", []store.Way{{}, {}}},
	} {
		seen, ways = nil, nil
		obj, err := set.Open(t.Context(), near.URL+tc.path, store.Position{})
		if err != nil {
			t.Fatal(err)
		}
		obj.Body.Close()
		if got := strings.Join(seen, ","); got != tc.want || !equalWays(ways, tc.ways) {
			t.Errorf("%s: %q by %+v, want %q by %+v", tc.path, got, ways, tc.want, tc.ways)
		}
	}
	seen = nil
	_, err := set.Open(t.Context(), near.URL+"/refused", store.Position{})
	if err == nil || store.Retryable(err) || len(seen) > 0 || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v, requests %q", err, seen)
	}
	ways = nil
	byUser := strings.Replace(near.URL, "//", "//u:p@", 1)
	if obj, err := set.Open(t.Context(), byUser+"/out", store.Position{}); err == nil {
		obj.Body.Close()
	}
	if !equalWays(ways, []store.Way{{User: true}}) {
		t.Errorf("a user in the URL: %+v", ways)
	}
}

// TestAccessAfterDetour: what another server has led to stays strange, also on the
// server that led there: it is the other one that chose the path.
func TestAccessAfterDetour(t *testing.T) {
	var near, far *httptest.Server
	lead := func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/a": far.URL + "/b", "/b": near.URL + "/c", "/c": near.URL + "/d",
			"/far": far.URL + "/on", "/on": far.URL + "/d"}
		if at := to[r.URL.Path]; at != "" {
			http.Redirect(w, r, at, http.StatusFound)
		}
	}
	near, far = httptest.NewServer(http.HandlerFunc(lead)), httptest.NewServer(http.HandlerFunc(lead))
	defer near.Close()
	defer far.Close()
	var ways []store.Way
	set := newSet(store.Options{Access: func(_ *url.URL, way store.Way) (store.Access, error) {
		ways = append(ways, way)
		return store.Access{}, nil
	}})
	defer set.Close()
	strange := store.Way{Strange: true}
	for path, want := range map[string][]store.Way{"/a": {{}, strange, strange, strange}, "/far": {{}, strange, strange}} {
		ways = nil
		storetest.Open(t, set, near.URL+path, store.Position{})
		if !equalWays(ways, want) {
			t.Errorf("%s: %+v, want %+v", path, ways, want)
		}
	}
}

func equalWays(a, b []store.Way) bool {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// TestAccessByConnection: a connection with the certificate of one configuration
// is not used for what has none.
func TestAccessByConnection(t *testing.T) {
	var shown []bool
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, len(r.TLS.PeerCertificates) > 0)
		_, _ = io.WriteString(w, "x")
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	own := &tls.Config{RootCAs: roots, Certificates: srv.TLS.Certificates}
	ofPath := func(u *url.URL, _ store.Way) (store.Access, error) {
		if u.Path == "/own" {
			return store.Access{TLS: own}, nil
		}
		return store.Access{}, nil
	}
	set := newSet(store.Options{TLS: &tls.Config{RootCAs: roots}, Access: ofPath})
	defer set.Close()
	for _, path := range []string{"/own", "/other", "/own", "/other"} {
		obj, err := set.Open(t.Context(), srv.URL+path, store.Position{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, obj.Body)
		obj.Body.Close()
	}
	if len(shown) != 4 || !shown[0] || shown[1] || !shown[2] || shown[3] {
		t.Errorf("the certificate was shown: %v", shown)
	}
}

// TestOwnConnections: large ranges come on connections of their own, also from a
// server that speaks HTTP/2; small ones share one.
func TestOwnConnections(t *testing.T) {
	data := storetest.Noise(1, 3*largePart)
	var mu sync.Mutex
	peers := map[int]map[string]bool{1: {}, 2: {}}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		peers[r.ProtoMajor][r.RemoteAddr] = true
		mu.Unlock()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	set := newSet(store.Options{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig})
	defer set.Close()
	for _, c := range []struct{ length, connections int64 }{{100, 1}, {largePart, 3}} {
		var open []*store.Object
		for i := range c.connections {
			pos := store.Position{Offset: i * c.length, Length: c.length}
			open = append(open, storetest.Open(t, set, srv.URL, pos))
		}
		for i, obj := range open {
			got, err := io.ReadAll(obj.Body)
			if from := int64(i) * c.length; err != nil || !bytes.Equal(got, data[from:from+c.length]) {
				t.Errorf("range %d of %d: %d bytes, %v", i, c.length, len(got), err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(peers[1]) != 3 || len(peers[2]) != 1 {
		t.Errorf("%d connections by HTTP/1.1, %d by HTTP/2; want 3, 1", len(peers[1]), len(peers[2]))
	}
}

// TestConnect: requests go over connections that were made before, if there is no TLS
// and no refusal.
func TestConnect(t *testing.T) {
	const n = 3
	met, made := make(chan struct{}, 9), make(chan struct{}, 9)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		met <- struct{}{}
		for len(met) < n { // all of them at a time
			time.Sleep(time.Millisecond)
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	set := newSet(store.Options{})
	defer set.Close()
	set.Asking(func(string) error { return errors.New("no") }).Connect(t.Context(), srv.URL, 1)
	set.Connect(t.Context(), "https"+strings.TrimPrefix(srv.URL, "http"), 1)
	set.Asking(func(string) error { return nil }).Connect(t.Context(), srv.URL+"/x", n)
	for range n {
		<-made
	}
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			obj, err := set.Open(t.Context(), srv.URL, store.Position{})
			if err != nil {
				t.Error(err)
				return
			}
			_ = obj.Body.Close()
		})
	}
	wait.Wait()
	if len(made) != 0 {
		t.Errorf("%d connections more", len(made))
	}
}
