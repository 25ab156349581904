package store

import (
	"errors"
	"strings"
	"testing"
)

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
		err := Check(c.url)
		if c.want == "" {
			if err != nil {
				t.Errorf("Check(%q): %v", c.url, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SEKRIT") || Retryable(err) {
			t.Errorf("Check(%q): %v, want %q, permanent, without the password", c.url, err, c.want)
		}
		if _, oerr := NewSet(Options{}).Open(t.Context(), c.url, Position{}); oerr == nil || oerr.Error() != err.Error() {
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
		err := Check(c.url)
		if !errors.Is(err, ErrScheme) || !strings.Contains(Hint(err), c.hint) {
			t.Errorf("Check(%q): %v, hint %q, want %q", c.url, err, Hint(err), c.hint)
		}
	}
	if got := Hint(errors.New("x")); got != "" {
		t.Errorf("hint of a stranger's error: %q", got)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"file:///a", "s3://b/k", "http://u:p@h:1/x?y#z", "gs:", "//", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, _, err := parse(raw)
		if err == nil && (u.Scheme == "s3" || u.Scheme == "gs") && (u.Host == "" || key(u) == "") {
			t.Errorf("%q: bucket %q, key %q accepted", raw, u.Host, key(u))
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Retryable || u != nil) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
