package redact

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"https://host/p", "https://host/p"},
		{"https://host:8443/@scope/pkg@1.2/a.tgz", "https://host:8443/@scope/pkg@1.2/a.tgz"},
		{"https://user:SEKRIT@host/p", "https://xxxxx@host/p"},
		{"https://SEKRIT@host/p", "https://xxxxx@host/p"},
		{"https://host/p?X-Amz-Signature=SEKRIT", "https://host/p?xxxxx"},
		{"https://host/p#SEKRIT", "https://host/p#xxxxx"},
		{"s3://bucket/a b%20c", "s3://bucket/a%20b%20c"},
		{"oci://host:5000/team/app@sha256:a1", "oci://host:5000/team/app@sha256:a1"},
		{"oci://host:5000/team/app:v1", "oci://host:5000/team/app:v1"},
		{"oci://user:SEKRIT@host:5000/team/app@sha256:a1", "oci://xxxxx@host:5000/team/app@sha256:a1"},
		{"az://account/container/a b", "az://account/container/a%20b"},
		{"file:///srv/app.tar.gz", "file:///srv/app.tar.gz"},
		{"/srv/app.tar.gz", "/srv/app.tar.gz"},
		{"", ""},
		{"{", "{"}, {"a b", "a b"}, {"{\"a|b\" <c>}", "{\"a|b\" <c>}"}, {"{\"a\": \"SEKRIT\"}", "xxxxx"},
		{"a b?SEKRIT", "a b?xxxxx"}, {"é %zz", "é %zz"},
		{"/srv/a b%20c", "/srv/a b%20c"}, {"x#SEKRIT?y", "x#xxxxx"}, {"x?SEKRIT#y", "x?xxxxx#xxxxx"},
		{"//u:SEKRIT@h/a b", "//xxxxx@h/a%20b"}, {"a/u:SEKRIT@h", "xxxxx@h"},
		// Input that net/url refuses, or takes for something else.
		{"https://user:SEKRIT/x@host/p", "https://xxxxx@host/p"},
		{"https://user:SEKRIT?x@host/p", "https://xxxxx"},
		{"https://user:123?SEKRIT@host/p", "https://xxxxx"},
		{"https://host/%zz?k=a@SEKRIT", "https://xxxxx"},
		{"https://user:SEKRIT#", "https://xxxxx#xxxxx"},
		{"https://user:SEKRIT/p", "https://xxxxx/p"},
		{"https://user:SEK RIT@host/p?q=1", "https://xxxxx@host/p?xxxxx"},
		{"https:/user:SEKRIT@host/p", "https:xxxxx@host/p"},
		{"user:SEKRIT@host/p", "user:xxxxx@host/p"},
		{"1:SEKRIT", "xxxxx"},
		{"https://host/%zz?SEKRIT", "https://host/%zz?xxxxx"},
	} {
		if got := URL(c.in); got != c.want {
			t.Errorf("URL(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	in := `dial https://u:SEKRIT@h/a?b="SEKRIT then s3://b/k and "http://h/?q=\"SEKRIT\"" end`
	want := `dial https://xxxxx@h/a?xxxxx"SEKRIT then s3://b/k and "http://h/?xxxxx" end`
	if got := Text(in); got != want {
		t.Errorf("Text:\n got %s\nwant %s", got, want)
	}
}

// TestTextQuoted: a URL in quotes goes to the second one.
func TestTextQuoted(t *testing.T) {
	for in, want := range map[string]string{
		`header "http://a b:SEKRIT@h/": bad`:            `header "http://xxxxx@h/": bad`,
		`"http://u:SEK RIT@h/p" and "http://h/?SEKRIT"`: `"http://xxxxx@h/p" and "http://h/?xxxxx"`,
		`"http://u:SEK \"RIT@h/p" no`:                   `"http://xxxxx@h/p" no`,
		`"http://h/p?SEKRIT and no end`:                 `"http://h/p?xxxxx and no end`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}

// TestTextOfCommands: what surrounds the URLs of a command stays as it is.
func TestTextOfCommands(t *testing.T) {
	for in, want := range map[string]string{
		`curl "https://h/p?SEKRIT" && echo "a b" | sh -c "x"`: `curl "https://h/p?xxxxx" && echo "a b" | sh -c "x"`,
		`curl 'https://u:SEK RIT@h/p' -H 'a b' && echo $x`:    `curl 'https://xxxxx@h/p' -H 'a b' && echo $x`,
		`curl 'https://h/p?SEK"RIT' "a b"`:                    `curl 'https://h/p?xxxxx' "a b"`,
		"x=`https://h/a?SEK RIT` b":                           "x=`https://h/a?xxxxx` b",
		`for u in https://h/a https://u:SEKRIT@h/b; do curl "$u"; done`: `for u in https://h/a ` +
			`https://xxxxx@h/b; do curl "$u"; done`,
		`curl https://h/${APP}/{a,b}|tar x`:            `curl https://h/${APP}/{a,b}|tar x`,
		`(curl https://h/a^b) & (cd "x y")`:            `(curl https://h/a^b) & (cd "x y")`,
		`curl https://h/a%zz && b "c d"`:               `curl https://h/a%zz && b "c d"`,
		`curl https://u:SEKRIT@h/a\ b "c d"`:           `curl https://xxxxx@h/a\ b "c d"`,
		`see https://h/p.`:                             `see https://h/p.`,
		`see (https://h/p), https://h/q; and <s3://b>`: `see (https://h/p), https://h/q; and <s3://b>`,
		`it isn't https://h/p, isn't it`:               `it isn't https://h/p, isn't it`,
		`"https://h/a b" and "c d"`:                    `"https://h/a b" and "c d"`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
		for range 3 { // as an error says it, and the error of that
			in, want = strconv.Quote(in), strconv.Quote(want)
			if got := Text("error: " + in + ": end"); got != "error: "+want+": end" {
				t.Errorf("%s:\n got %s\nwant %s", in, got, want)
			}
		}
	}
}

func TestErrorKeepsCauseAndDropsSecret(t *testing.T) {
	cause := errors.New("connection refused, see http://h/?k=SEKRIT")
	err := fmt.Errorf("fetch: %w", &url.Error{Op: "Get", URL: `https://u:SEKRIT@h/p?a="SEKRIT b`, Err: cause})
	got := Error(err)
	if want := `fetch: Get "https://xxxxx@h/p?xxxxx": connection refused, see http://h/?xxxxx`; got.Error() != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if !errors.Is(got, cause) {
		t.Error("the cause is lost")
	}
	if Error(nil) != nil {
		t.Error("Error(nil) is not nil")
	}
}

func TestErrorHidesWhatTheParserQuotes(t *testing.T) {
	for _, raw := range []string{"https://user:SEKRIT", "https://u:%SEKRIT@h/", "https://u:SEK RIT@h/"} {
		_, err := url.Parse(raw)
		if err == nil {
			t.Fatalf("%q parses", raw)
		}
		got := Error(fmt.Errorf("manifest: %w", err)).Error()
		if strings.Contains(got, "SEK") || !strings.Contains(got, "malformed URL") {
			t.Errorf("%q: %s", raw, got)
		}
	}
}

// FuzzSecret puts a secret where secrets stand, rubbish around it, and looks
// for it in what comes out.
func FuzzSecret(f *testing.F) {
	f.Add("https", "user", "", "host", "/p")
	f.Add("https", "", "?#", "host:80", "//x")
	f.Add("", "a:b", "/", "[::1", "")
	f.Add("s3", "%zz", "\x00", "h\n", "?")
	const secret = "SEKRIT"
	f.Fuzz(func(t *testing.T, scheme, user, junk, host, path string) {
		if strings.Contains(scheme+user+junk+host+path, secret) || strings.ContainsAny(user, "/?#@") ||
			strings.ContainsAny(host, "/?#@") || !isScheme(scheme) {
			t.Skip()
		}
		proper := &url.URL{Scheme: scheme, User: url.UserPassword(user, secret+junk), Host: host, Path: path,
			RawQuery: url.Values{"k": {secret + junk}}.Encode()}
		for _, raw := range []string{
			proper.String(),
			scheme + "://" + user + ":" + secret + junk + "@" + host + "/p",
			scheme + "://" + host + "/p?k=" + secret + junk,
			scheme + "://" + host + "/p?k=" + junk + secret,
		} {
			if got := URL(raw); strings.Contains(got, secret) {
				t.Errorf("URL(%q) = %q", raw, got)
			}
			err := &url.Error{Op: "Get", URL: raw, Err: errors.New("x")}
			if got := Error(err).Error(); strings.Contains(got, secret) {
				t.Errorf("Error of %q = %q", raw, got)
			}
		}
	})
}
