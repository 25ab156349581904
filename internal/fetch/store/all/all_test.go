package all

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
)

func newSet(opts store.Options) *store.Set { return store.NewSet(opts, List()) }

func TestCheck(t *testing.T) {
	for _, c := range []struct{ url, want string }{ // want: part of the error; "" for none
		{"file:///srv/app.tar", ""},
		{"file://localhost/srv/app%20x.tar", ""},
		{"http://host/app.tar?x=1", ""},
		{"https://user:SEKRIT@host:8443/app.tar", ""},
		{"HTTP://host/app.tar", ""},
		{"http://[::1]:80/", ""},
		{"s3://bucket/dir/app.tar?versionId=1", ""},
		{"gs://bucket/app.tar", ""},
		{"s3://bucket//app.tar", ""},
		{"s3://bucket/it's", ""},
		{"s3://bucket/'quoted'", ""},
		{"s3://bucket//", "no key"},

		{"file://host/srv/app.tar", `host "host"`},
		{"file:app.tar", "no absolute path"},
		{"file:///", "no absolute path"},
		{"http:///app.tar", "no host"},
		{"http://:80/app.tar", "no host"},
		{"http://host:0/", `port "0"`},
		{"http://host:65536/", `port "65536"`},
		{"s3://bucket", "no key"},
		{"s3://bucket/", "no key"},
		{"s3:///key", "no bucket"},
		{"s3:bucket/key", "no bucket"},
		{"gs://bucket:80/key", "port"},
		{"gs://id:SEKRIT@bucket/key", "credentials"},
		{"s3://bucket/a#b", "%23"},
		{"ftp://u:SEKRIT@host/app.tar", `unsupported URL scheme "ftp"`},
		{"/srv/app.tar", "no URL scheme"},
		{"app.tar", "no URL scheme"},
		{"", "no URL scheme"},
		{"http://u:SEKRIT@[::1/", "malformed URL"},
		{"http://host/%zz?k=SEKRIT", "malformed URL"},
		{" file:///srv/app.tar", `URL "file:///srv/app.tar": spaces, quotes or brackets stand around it`},
		{"\"https://u:SEKRIT@host/app.tar\"", `URL "https://xxxxx@host/app.tar": spaces, quotes or brackets`},
		{"<s3://bucket/key?k=SEKRIT>", "spaces, quotes or brackets"},
		{"'file:///srv/app.tar'", "spaces, quotes or brackets"},
	} {
		err := List().Check(c.url)
		if c.want == "" {
			if err != nil {
				t.Errorf("List().Check(%q): %v", c.url, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SEKRIT") ||
			store.Retryable(err) {
			t.Errorf("List().Check(%q): %v, want %q, permanent, without the password", c.url, err, c.want)
		}
		_, oerr := newSet(store.Options{}).Open(t.Context(), c.url, store.Position{})
		if oerr == nil || oerr.Error() != err.Error() {
			t.Errorf("Open(%q): %v, Check says %v", c.url, oerr, err)
		}
	}
}

func TestSchemeHints(t *testing.T) {
	for _, c := range []struct{ url, hint string }{
		{"ftp://host/x", "known schemes: file, gs, http, https, s3"},
		{"/srv/app.tar", "write file:///srv/app.tar"},
		{"app.tar", "file:///absolute/path"},
	} {
		err := List().Check(c.url)
		if !errors.Is(err, store.ErrScheme) || !strings.Contains(store.Hint(err), c.hint) {
			t.Errorf("List().Check(%q): %v, hint %q, want %q", c.url, err, store.Hint(err), c.hint)
		}
	}
	if got := store.Hint(errors.New("x")); got != "" {
		t.Errorf("hint of a stranger's error: %q", got)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"file:///a", "s3://b/k", "http://u:p@h:1/x?y#z", "gs:", "//", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		err := List().Check(raw)
		var e *store.Error
		if err != nil && (!errors.As(err, &e) || e.Retryable) {
			t.Errorf("%q: %v", raw, err)
		}
		u, _ := url.Parse(raw)
		if err == nil && (u.Scheme == "s3" || u.Scheme == "gs") && (u.Host == "" || store.Key(u) == "") {
			t.Errorf("%q: bucket %q, key %q accepted", raw, u.Host, store.Key(u))
		}
	})
}

// TestConformanceOfAll: each scheme is held to the contract.
func TestConformanceOfAll(t *testing.T) {
	source, err := os.ReadFile("all.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(\w+)\.Definition\(\)`).FindAllSubmatch(source, -1)
	if len(lines) != len(List()) {
		t.Errorf("%d lines for %d stores", len(lines), len(List()))
	}
	for _, line := range lines {
		tests, _ := filepath.Glob(filepath.Join("..", string(line[1]), "*_test.go"))
		if !slices.ContainsFunc(tests, func(name string) bool {
			text, err := os.ReadFile(name)
			return err == nil && bytes.Contains(text, []byte("storetest.Run("))
		}) {
			t.Errorf("package %s has no test that calls storetest.Run", line[1])
		}
	}
}
