package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

// answers starts a server with one handler and a Set for it.
func answers(t *testing.T, h http.HandlerFunc) (*store.Set, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	set := newSet(store.Options{UserAgent: "Stretcher/1.2.3"})
	t.Cleanup(set.Close)
	return set, srv.URL
}

func TestHTTPRequest(t *testing.T) {
	var got http.Header
	var uri string
	set, base := answers(t, func(_ http.ResponseWriter, r *http.Request) { got, uri = r.Header.Clone(), r.RequestURI })
	u := strings.Replace(base, "://", "://ann:p%40ss@", 1) + "/a%2Fb%20c?q=1#frag"
	storetest.Open(t, set, u, store.Position{})
	want := map[string]string{
		"User-Agent": "Stretcher/1.2.3", "Authorization": "Basic YW5uOnBAc3M=", "Accept-Encoding": "identity",
		"Range": "", "If-Range": "",
	}
	for k, v := range want {
		if got.Get(k) != v {
			t.Errorf("%s: %q, want %q", k, got.Get(k), v)
		}
	}
	if uri != "/a%2Fb%20c?q=1" {
		t.Errorf("request for %q", uri)
	}
	storetest.Open(t, set, base, store.Position{Offset: 7, Version: `"v"`})
	if got.Get("Range") != "bytes=7-" || got.Get("If-Range") != `"v"` {
		t.Errorf("range %q if %q", got.Get("Range"), got.Get("If-Range"))
	}
	storetest.Open(t, set, base, store.Position{Offset: 7})
	if got.Get("Range") != "" {
		t.Errorf("range %q without a validator", got.Get("Range"))
	}
}

func TestHTTPPasswordStaysWithItsServer(t *testing.T) {
	var got http.Header
	loops := 0
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	defer target.Close()
	set, base := answers(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away": // the same host name, another port
			http.Redirect(w, r, target.URL, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/end", http.StatusMovedPermanently)
		case "/loop":
			loops++
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			got = r.Header.Clone()
		}
	})
	secret := strings.Replace(base, "://", "://ann:SEKRIT@", 1)
	storetest.Open(t, set, secret+"/away?token=SEKRIT", store.Position{})
	if got.Get("Authorization") != "" || got.Get("Referer") != "" {
		t.Errorf("another server was told %q, %q", got.Get("Authorization"), got.Get("Referer"))
	}
	storetest.Open(t, set, secret+"/here", store.Position{})
	if got.Get("Authorization") == "" {
		t.Error("the password is lost on the way to the same server")
	}
	_, err := set.Open(t.Context(), secret+"/loop", store.Position{})
	if err == nil || !strings.Contains(err.Error(), "10 redirects") || store.Retryable(err) {
		t.Errorf("error %v, want 10 redirects, permanent", err)
	}
	if loops != 11 {
		t.Errorf("%d requests, not one and 10 redirects", loops)
	}
}

// TestBadLocation: what a server wants a client to ask next may hold a
// password, and be no URL.
func TestBadLocation(t *testing.T) {
	for _, location := range []string{
		"http://h:SEKRIT/x", "http://a b:SEKRIT@h/", "//u:SEKRIT@h:bad/", "http://[::1:SEKRIT@/", "http://u:SEKRIT@h/%zz",
		"ftp://u:SEKRIT@h/x", "http://h/x?k=SEKRIT\x7f", "//u:SEKRIT@h/\x7f", "http:\\u:SEKRIT@h",
		"http://u:SEK\tRIT@h/", "http://u:SEKRIT@127.0.0.1:1/x", "/x?token=SEKRIT", "http://%SEKRIT@h/",
	} {
		set, base := answers(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusFound)
		})
		_, err := set.Open(t.Context(), base+"/", store.Position{})
		if err == nil || strings.Contains(err.Error(), "SEK") || strings.Contains(err.Error(), "RIT") {
			t.Errorf("%q: %v", location, err)
		}
	}
}

func TestRedirectRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		keep     bool
	}{
		{"https://h/a", "https://h/b", true},
		{"http://h/a", "https://h/b", true},
		{"https://h/a", "http://h/b", false},
		{"https://h/a", "https://sub.h/b", false},
		{"https://h/a", "https://h:444/b", false},
	} {
		first, _ := http.NewRequest(http.MethodGet, c.from, nil)
		next, _ := http.NewRequest(http.MethodGet, c.to, nil)
		next.Header.Set("Authorization", "x")
		next.Header.Set("Referer", "x")
		if err := checkRedirect(next, []*http.Request{first}); err != nil {
			t.Fatal(err)
		}
		if kept := next.Header.Get("Authorization") != ""; kept != c.keep || next.Header.Get("Referer") != "" {
			t.Errorf("%s to %s: kept %v, referer %q", c.from, c.to, kept, next.Header.Get("Referer"))
		}
	}
}

func TestHTTPResumeAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   int
		header map[string]string
		want   string // part of the error; "" for an object
		offset int64
		size   int64
	}{
		{"continued", 206, map[string]string{"Content-Range": "bytes 4-9/10"}, "", 4, 10},
		{"continued, size unknown", 206, map[string]string{"Content-Range": "bytes 4-9/*"}, "", 4, -1},
		{"from the start", 200, nil, "", 0, 6},
		{"elsewhere", 206, map[string]string{"Content-Range": "bytes 5-10/11"}, "asked for bytes from 4", 0, 0},
		{"other bytes", 206, map[string]string{"Content-Range": "bytes 4-9/10", "ETag": `"w"`}, "changed", 0, 0},
		{"no range told", 206, nil, "Content-Range", 0, 0},
		{"past the end", 416, nil, "416", 0, 0},
		{"precondition", 412, nil, "412", 0, 0},
		{"no content", 204, nil, "unexpected status 204", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, base := answers(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				if c.code != http.StatusNoContent {
					w.Header().Set("Content-Length", "6")
				}
				w.WriteHeader(c.code)
				if c.code != http.StatusNoContent {
					io.WriteString(w, "456789")
				}
			})
			obj, err := set.Open(t.Context(), base, store.Position{Offset: 4, Version: `"v"`})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || store.Retryable(err) {
					t.Errorf("error %v, want %q, permanent", err, c.want)
				}
				if changed := c.code/100 == 4 || c.want == "changed"; errors.Is(err, store.ErrChanged) != changed {
					t.Errorf("error %v, want ErrChanged: %v", err, changed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer obj.Body.Close()
			if obj.Offset != c.offset || obj.Size != c.size {
				t.Errorf("offset %d size %d, want %d, %d", obj.Offset, obj.Size, c.offset, c.size)
			}
		})
	}
}

func TestHTTPUnasked206(t *testing.T) {
	set, base := answers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-0/10")
		w.WriteHeader(http.StatusPartialContent)
	})
	if _, err := set.Open(t.Context(), base, store.Position{}); err == nil {
		t.Error("a part was taken for the whole")
	}
}

func TestNginxStatuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.tar.gz"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := ""
	for _, code := range []int{401, 403, 429, 500, 503} {
		conf += fmt.Sprintf("location /%d { return %d '<html>SEKRIT</html>'; }\n", code, code)
	}
	conf += "location /gz/ { alias \"" + dir + "/\"; add_header Content-Encoding gzip; }\n"
	base := testparts.Nginx(t, dir, conf)
	set := newSet(store.Options{})
	defer set.Close()
	for code, retry := range map[int]bool{401: false, 403: false, 404: false, 429: true, 500: true, 503: true} {
		_, err := set.Open(t.Context(), fmt.Sprintf("%s/%d", base, code), store.Position{})
		want := fmt.Sprintf(`GET "%s/%d": %d %s`, base, code, code, http.StatusText(code))
		if err == nil || err.Error() != want || store.Retryable(err) != retry {
			t.Errorf("%v, retryable %v; want %s, %v", err, store.Retryable(err), want, retry)
		}
	}
	if _, got := storetest.ReadAll(t, set, base+"/gz/x.tar.gz", store.Position{}); string(got) != "x" {
		t.Errorf("body %q, want the bytes as stored", got)
	}
}
