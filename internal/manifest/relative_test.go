package manifest

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// TestResolve: RFC 3986, section 5.2, for what stays on the manifest's host.
func TestResolve(t *testing.T) {
	for _, tc := range []struct{ at, src, want string }{
		{"https://h/a/b.yml", "x.tar", "https://h/a/x.tar"},
		{"https://h/a/b.yml?sig=s#f", "x.tar", "https://h/a/x.tar"},
		{"https://u:p@h:8443/a/b.yml", "x.tar", "https://u:p@h:8443/a/x.tar"},
		{"https://h", "x.tar", "https://h/x.tar"},
		{"https://h/a/b.yml", "./x.tar", "https://h/a/x.tar"},
		{"https://h/a/b.yml", "../x.tar", "https://h/x.tar"},
		{"https://h/a/b.yml", "../../../x.tar", "https://h/x.tar"},
		{"https://h/a/b.yml", "c/./d/../x.tar", "https://h/a/c/x.tar"},
		{"https://h/a/b.yml", "/x.tar?v=1", "https://h/x.tar?v=1"},
		{"https://h/a/b.yml", "x y.tar", "https://h/a/x%20y.tar"},
		{"https://h/a/b.yml", "./a:b.tar", "https://h/a/a:b.tar"},
		{"https://h/a/b.yml", "x%2Fy.tar", "https://h/a/x%2Fy.tar"},
		{"s3://bucket/a/b.yml?versionId=1", "x.tar", "s3://bucket/a/x.tar"},
		{"s3://bucket/a//c/b.yml", "x%23.tar", "s3://bucket/a//c/x%23.tar"},
		{"gs://bucket/b.yml", "../../x.tar", "gs://bucket/x.tar"},
		{"file:///a%20b/b.yml", "x.tar", "file:///a%20b/x.tar"},
		{"file:///a/b.yml", "/srv/x.tar", "file:///srv/x.tar"},
		{"file:/a/b.yml", "x.tar", "file:///a/x.tar"},
		{"az://account/c/b.yml", "x.tar", "az://account/c/x.tar"},
		{"https://h/a/b.yml", "s3://other/x.tar", "s3://other/x.tar"},
		{"https://h/a/b.yml", " x.tar", " x.tar"},       // for the check of the URL to refuse
		{"file:///dev/stdin", "file:///x", "file:///x"}, // nothing is relative
		{"", "x.tar", "x.tar"}, {"", "https://h", "https://h"}, // not published yet
	} {
		got, err := baseOf(tc.at).resolve(tc.src)
		if got != tc.want || err != nil {
			t.Errorf("%q at %q: %q, %v, want %q", tc.src, tc.at, got, err, tc.want)
		}
	}
}

// TestResolveRefuses: a path that leads to another host, or that not everybody
// reads alike, is none.
func TestResolveRefuses(t *testing.T) {
	for _, tc := range []struct{ at, src, want string }{
		{"https://h/a/b.yml", "//evil/x.tar", "names a host"},
		{"https://h/a/b.yml", "///evil/x.tar", "names a host"},
		{"https://h/a/b.yml", "//u:p@evil", "names a host"},
		{"file:///a/b.yml", "//evil/x.tar", "names a host"},
		{"s3://bucket/b.yml", "//evil/x.tar", "names a host"},
		{"", "//evil/x.tar", "names a host"},
		{"https://h/a/b.yml", `\\evil\x.tar`, `has a \`},
		{"https://h/a/b.yml", `/\evil/x.tar`, `has a \`},
		{"https://h/a/b.yml", "%2e%2E/x.tar", "as %2e"},
		{"https://h/a/b.yml", "c/.%2e/x.tar", "as %2e"},
		{"https://h/a/b.yml", "?v=1", "the manifest itself"},
		{"https://h/a/b.yml", "#x", "the manifest itself"},
		{"file:///dev/stdin", "x.tar", "by a pipe"},
		{"file:///proc/self/fd/3", "x.tar", "by a pipe"},
		{"mailto:somebody", "x.tar", "has no path"},
	} {
		got, err := baseOf(tc.at).resolve(tc.src)
		if got != "" || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q at %q: %q, %v, want %q", tc.src, tc.at, got, err, tc.want)
		}
	}
}

// TestRelativeIsJudged: the checks and the policy see the URL that a path leads
// to.
func TestRelativeIsJudged(t *testing.T) {
	doc := "src: [x.tar, ../y.tar]\nchecksum: " + sha256Hex + "\ndest: /srv/app\n"
	l, _, _, _ := loader(served{"https://h/a/b.yml": doc}, &policy.Policy{}, nil)
	var checked []string
	l.Rules.Src = func(src string) error { checked = append(checked, src); return nil }
	m, err := l.Load(t.Context(), "https://h/a/b.yml")
	if err != nil || strings.Join(checked, " ") != "https://h/a/x.tar https://h/y.tar" {
		t.Fatalf("checked %q, %v", checked, err)
	}
	host := allowing(t, "sources", []string{"https://h/a/"})
	err = policy.Refusal(m.Rulings(host))
	if !errors.Is(err, policy.ErrRefused) || !strings.Contains(err.Error(), "https://h/y.tar") {
		t.Errorf("the policy says %v", err)
	}
	doc = strings.Replace(doc, "../y.tar", "//evil/y", 1)
	l, _, _, _ = loader(served{"https://h/a/b.yml": doc}, &policy.Policy{}, nil)
	if _, err := l.Load(t.Context(), "https://h/a/b.yml"); !errors.Is(err, failure.ErrMalformed) ||
		!strings.Contains(err.Error(), `line 1: src[1]: "//evil/y" names a host`) {
		t.Error(err)
	}
}

// TestRelativeOfKept: bytes that were kept lead to where they led, without the
// secrets that were not kept.
func TestRelativeOfKept(t *testing.T) {
	doc := "src: x.tar\nchecksum: " + sha256Hex + "\ndest: /srv/app\n"
	for _, at := range []string{"https://user:pw@h/a/b.yml?sig=s", "s3://bucket/a:b@c/b.yml", "https://h/a/b.yml"} {
		l, _, _, _ := loader(served{at: doc}, &policy.Policy{}, nil)
		first, err := l.Load(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		again, err := l.Parse(first.Raw, nil, first.URL, first.Base)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := url.Parse(first.Src[0])
		if want.User = nil; again.Src[0] != want.String() || again.Base != first.Base {
			t.Errorf("%q: kept %q, which leads to %q, want %q", at, first.Base, again.Src[0], want)
		}
		if strings.Contains(first.Base, "pw") || strings.Contains(first.Base, "sig") {
			t.Errorf("%q: %q holds secrets", at, first.Base)
		}
		old, err := l.Parse(first.Raw, nil, "https://xxxxx@h/a/b.yml?xxxxx", "")
		if err != nil || old.Src[0] != "https://h/a/x.tar" {
			t.Errorf("an entry without a base: %v, %v", old.Src, err)
		}
	}
}

// TestRelativeUnpublished: who signs a manifest need not know where it will be.
func TestRelativeUnpublished(t *testing.T) {
	doc := "src: x.tar\nchecksum: " + sha256Hex + "\ndest: /srv/app\nname: a\nserial: 1\nexpires: 2100-01-01T00:00:00Z\n"
	if err := Unfit([]byte(doc), rules(), time.Now()); err != nil {
		t.Error(err)
	}
	if err := Unfit([]byte(strings.Replace(doc, "x.tar", "//h/x.tar", 1)), rules(), time.Now()); err == nil {
		t.Error("a path with a host is fit")
	}
}

// FuzzResolve: no path leads to another host or scheme, or above the bucket.
func FuzzResolve(f *testing.F) {
	for _, src := range []string{"x", "//h/x", "/..//h/x", `\\h`, "%2e%2e/x", "a:b", "./a:b", "?x", "/%2f/h", ".//@h/x"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if _, ok := relative(src); !ok {
			return
		}
		for _, at := range []string{"https://u:p@h:1/a/b.yml?q", "s3://bucket/a/b.yml", "file:///a/b.yml"} {
			got, err := baseOf(at).resolve(src)
			if err != nil {
				continue
			}
			from, _ := url.Parse(at)
			to, err := url.Parse(got)
			if err != nil || to.Scheme != from.Scheme || to.Host != from.Host || to.User.String() != from.User.String() {
				t.Errorf("%q at %q leads to %q, %v", src, at, got, err)
			}
		}
	})
}
