package policy

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"stretcher/internal/fetch/store/all"
	"stretcher/internal/text/redact"
)

func TestAllowedURLs(t *testing.T) {
	p := parsed(t, `allow: {manifests: ["s3://deploys/", "https://h.example/apps"]}`)
	for raw, want := range map[string]bool{
		"s3://deploys/a.yml":                true,
		"s3://deploys/x/y.yml":              true,
		"s3://deploys":                      true,
		"s3://deploys-evil/a.yml":           false,
		"s3://other/a.yml":                  false,
		"https://h.example/apps/a.yml":      true,
		"https://H.example/apps/a.yml":      true,
		"https://u:p@h.example/apps/a.yml":  true,
		"https://h.example/apps":            true,
		"https://h.example/apps2/a.yml":     false,
		"https://h.example/apps/../b.yml":   false,
		"https://h.example/apps/%2e%2e/b":   false,
		"https://h.example.evil/apps/a.yml": false,
		"https://h.example@evil/apps/a.yml": false,
		"http://h.example/apps/a.yml":       false,
		"https://h.example:8443/apps/a.yml": false,
		"s3://DEPLOYS/a.yml":                false,
		"s3://Deploys/a.yml":                false,
		"file:///etc/x":                     false,
		":":                                 false,
	} {
		if err := p.Manifest(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
		if err := p.Source(raw); err != nil {
			t.Errorf("%q: no list of sources, but %v", raw, err)
		}
	}
}

// TestAmbiguousPaths: what one server decodes, and another one does not, is in
// no place. Names of objects and files are decoded once and stand for
// themselves.
func TestAmbiguousPaths(t *testing.T) {
	p := parsed(t, `
allow: {manifests: ["http://h/deploys/", "https://h/", "s3://b/web", "gs://b/web", "file:///srv/deploys"]}
`)
	for raw, want := range map[string]bool{
		"http://h/deploys%2Fevil.yml":         false,
		"http://h/deploys/a%2fb.yml":          false,
		"http://h/deploys/..%5cx":             false,
		"http://h/deploys/..\\x":              false,
		"http://h/deploys/a\\..\\..\\x":       false,
		"http://h/deploys/..;/x":              false,
		"http://h/deploys/..;a=b/x":           false,
		"http://h/deploys/.;/../x":            false,
		"http://h/deploys/..%3b/x":            false,
		"http://h/deploys/%252e%252e/x":       false,
		"http://h/deploys/%2e%2e/x":           false,
		"http://h/deploys/.%2E/x":             false,
		"http://h/deploys/x%00.yml":           false,
		"https://h/%2e%2e%2fx":                false,
		"https://h/a%20b.yml":                 true,
		"http://h/deploys/v1;x=y/app.yml":     false,
		"http://h/deploys/b%C3%BCro/app.yml":  true,
		"http://h/deploys/app.yml?q=%2f..%2f": true,
		"s3://b/web%2fapp.yml":                true,
		"s3://b//web/app.yml":                 true,
		"s3://b///web/app.yml":                true,
		"s3://b/web/100%25.yml":               true,
		"s3://b//secret/app.yml":              false,
		"s3://b/web/..%2fsecret":              false,
		"gs://B/web/app.yml":                  false,
		"gs://b//web/app.yml":                 true,
		"file:///srv/deploys/100%25.yml":      true,
		"file:///srv/deploys/..%2f..%2fetc/x": false,
	} {
		if err := p.Manifest(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestHosts: a host is the one that is asked, whatever its URL looks like.
func TestHosts(t *testing.T) {
	p := parsed(t, `
allow:
  manifests:
  - https://h.example/apps/
  - "http://b\u00fccher.example:8080/"
  - https://[2001:db8::1]/
  - https://10.0.0.1/
`)
	for raw, want := range map[string]bool{
		"https://h.example:443/apps/a":            true,
		"https://h.example:/apps/a":               true,
		"https://H.EXAMPLE/apps/a":                true,
		"HTTPS://h.example/apps/a":                true,
		"https://h.example:80/apps/a":             false,
		"https://h.example:0443/apps/a":           false,
		"https://h.example./apps/a":               false,
		"https://h.example.:443/apps/a":           false,
		"https://h\u3002example/apps/a":           false,
		"https://\uff48.example/apps/a":           false,
		"https://h\u2024example/apps/a":           false,
		"https://h.ex\u00adample/apps/a":          false,
		"https://h\u0456.example/apps/a":          false,
		"https://h.example\u3002/apps/a":          false,
		"http://b\u00fccher.example:8080/a":       true,
		"http://xn--bcher-kva.example:8080/a":     true,
		"http://B\u00dcCHER.example:8080/a":       false,
		"http://bucher.example:8080/a":            false,
		"http://b\u00fccher.example/a":            false,
		"http://b%C3%BCcher.example:8080/a":       true,
		"https://[2001:db8::1]:443/a":             true,
		"https://[2001:DB8::1]/a":                 true,
		"https://[2001:db8:0::1]/a":               false,
		"https://10.0.0.1/a":                      true,
		"https://10.1/a":                          false,
		"https://167772161/a":                     false,
		"https://0x0a000001/a":                    false,
		"https://h.example@evil.example/apps/a":   false,
		"https://h.example:443@evil/apps/a":       false,
		"https://h.example%2fapps%2f@evil/a":      false,
		"https://evil.example\\@h.example/apps/a": false,
		"https://evil.example#@h.example/apps/a":  false,
		"https://evil.example?@h.example/apps/a":  false,
		"https://evil.example/@h.example/apps/a":  false,
		"https://evil@h.example@evil/apps/a":      false,
		"https:h.example/apps/a":                  false,
		"https:/h.example/apps/a":                 false,
		"https:///h.example/apps/a":               false,
		"https:\\\\h.example/apps/a":              false,
		"https://\th.example/apps/a":              false,
		" https://h.example/apps/a":               false,
		"https://h.example\n/apps/a":              false,
		"https://h.example%00.evil/apps/a":        false,
		"https://h.example%2eevil/apps/a":         false,
		"https://*/apps/a":                        false,
		"//h.example/apps/a":                      false,
		"h.example/apps/a":                        false,
		"":                                        false,
	} {
		if err := p.Manifest(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestPaths: what is not below a prefix, or might not be for some server, is
// not allowed.
func TestPaths(t *testing.T) {
	p := parsed(t, `
allow: {sources: ["https://h/apps", "s3://b/web/", "gs://b/", "file:///srv/d", "file://localhost/opt"]}
`)
	for raw, want := range map[string]bool{
		"https://h/apps/a?x=/../":                true,
		"https://h/apps/a#/../x":                 true,
		"https://h/apps/%61":                     false,
		"https://h/%61pps/a":                     false,
		"https://h/apps/a.b..c/..d":              true,
		"https://h/apps/%7Ea/%5B%3A%5D%20%C3%BC": true,
		"https://h/apps/%20%39":                  false,
		"https://h/apps/%5A":                     false,
		"https://h/apps/":                        true,
		"https://h/apps//a":                      true,
		"https://h//apps/a":                      false,
		"https://h/apps/...":                     false,
		"https://h/apps/.%20./x":                 false,
		"https://h/apps/..%20/x":                 false,
		"https://h/apps/.. /x":                   false,
		"https://h/apps/..%09/x":                 false,
		"https://h/apps/..%0d%0a/x":              false,
		"https://h/apps/..%7f/x":                 false,
		"https://h/apps/a;b":                     false,
		"https://h/apps;/a":                      false,
		"https://h/apps/%c0%ae%c0%ae":            false,
		"https://h/apps/%c0%afx":                 false,
		"https://h/apps/%ff":                     false,
		"https://h/apps/%uff0e":                  false,
		"https://h/apps/\uff0e\uff0e/":           false,
		"https://h/apps/..\uff0fx":               false,
		"https://h/apps/\u2025/x":                false,
		"https://h/apps/a\u2215..":               false,
		"https://h/apps/a\uff3cx":                false,
		"https://h/apps/%ef%bc%85":               false,
		"https://h/apps/\u00fc":                  true,
		"https://h/apps/a+b":                     true,
		"https://h/APPS/a":                       false,
		"https://h/apps%20/a":                    false,
		"https://h":                              false,
		"https://h/":                             false,
		"https://h/app":                          false,
		"s3://b/web/%252e%252e/x":                false,
		"s3://b/web/..%252Fx":                    false,
		"s3://b/web/a%255Cb":                     false,
		"s3://b/web/a%5Cb":                       false,
		"s3://b/web/..%00/x":                     false,
		"gs://b/a\\..\\b":                        false,
		"s3://b/web/100%25;a.yml":                true,
		"s3://b/web/b%C3%BCro/%E2%80%A5":         true,
		"s3://b/web/a b":                         true,
		"s3://b/web":                             true,
		"s3://b/Web/a":                           false,
		"s3://b/webx":                            false,
		"s3://b":                                 false,
		"s3://b//":                               false,
		"s3://b/x//web/a":                        false,
		"s3://b/web/../x":                        false,
		"s3://b/./web/a":                         false,
		"s3://b/%2e%2e/web/a":                    false,
		"s3://u@b/web/a":                         false,
		"s3://b:80/web/a":                        false,
		"s3://b./web/a":                          false,
		"s3:b/web/a":                             false,
		"s3:///b/web/a":                          false,
		"gs://b/any/thing":                       true,
		"gs://b2/any":                            false,
		"file:///srv/d/x":                        true,
		"file:/srv/d/x":                          true,
		"file://localhost/srv/d/x":               true,
		"file:///opt/x":                          true,
		"file:///srv//d/x":                       true,
		"file:///srv/d/../e":                     false,
		"file:///srv/d/./e":                      false,
		"file:///srv/dx":                         false,
		"file://h/srv/d/x":                       false,
		"file:srv/d/x":                           false,
		"ftp://h/apps/a":                         false,
	} {
		if err := p.Source(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestBadPrefixes: an entry that could allow nothing, or other things than it
// seems to, is an error.
func TestBadPrefixes(t *testing.T) {
	for entry, want := range map[string]string{
		"https://":           "is never allowed: a URL without a host",
		"https:///apps":      "is never allowed: a URL without a host",
		"s3://":              "is never allowed: a URL without a host",
		"s3:deploys":         "is not the beginning of a URL",
		"https://*.example/": "has a * in its host",
		"https://h/a/../b":   "is never allowed: a path with dot segments",
		"https://h/a%2fb":    "is never allowed: a path with",
		"https://h/a;b":      "is never allowed: a path with",
		"https://h/get?ns=a": "has more than scheme, host and path",
		"https://h/get?":     "has more than scheme, host and path",
		"https://h/#a":       "has more than scheme, host and path",
		"https://me:pw@h/":   `"https://xxxxx@h/" has more than scheme, host and path`,
		"s3://b/a//b":        "has an empty name in its path",
		"s3://b//a":          "has an empty name in its path",
		"https://h//a":       "has an empty name in its path",
		"file:///srv/../etc": "is never allowed: a path with dot segments",
		"file://srv/x/":      `is never allowed: a file has no host; write file:///srv/x/`,
		"file://h:80/x":      "is never allowed: a file has no host",
		"htps://h/": "is never allowed: nothing is fetched by htps, " +
			"but by az, consul, file, gs, http, https, oci, s3",
		"gcs://b/x":             "is never allowed: nothing is fetched by gcs",
		"oci:r/x":               "is not the beginning of a URL",
		"oci://r/x?ns=a":        "has more than scheme, host and path",
		"oci://r/te%61m":        "is never allowed: what is no name of a repository",
		"oci://r/a b":           "is never allowed: what is no name of a repository",
		"oci://r:99999/":        `is never allowed: the port "99999"`,
		"az://a:80/x":           `is never allowed: the port "80"`,
		"oci://r:5000/team":     "",
		"az://account1/web/":    "",
		"S3://b/x":              "",
		"https://h:99999/":      `is never allowed: the port "99999"`,
		"https://h:0/":          `is never allowed: the port "0"`,
		"https://h:0443/":       `is never allowed: the port "0443"`,
		"s3://b:443/x":          `is never allowed: the port "443"`,
		"gs://b:443/":           `is never allowed: the port "443"`,
		"https://h/a/*":         "has a *, which stands for itself",
		"s3://b/*.yml":          "has a *, which stands for itself",
		"file:///srv/*/m":       "has a *, which stands for itself",
		"s3://b/a%2A":           "",
		"file://localhost/srv":  "",
		"https://h:/a":          "",
		"https://h/ok/":         "",
		"file:///":              "",
		"s3://b/web/":           "",
		"https://h.example:80/": "",
	} {
		err := checkPrefix(entry)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", entry, err, want)
		}
	}
}

// TestSchemes: what an entry may begin with is what can be fetched.
func TestSchemes(t *testing.T) {
	if got, want := Schemes(), all.List().Names(); !slices.Equal(got, want) {
		t.Errorf("%q, and by %q is fetched", got, want)
	}
}

// TestRedirect: what was asked for by https does not come by http under a
// list, though both are allowed.
func TestRedirect(t *testing.T) {
	both, none := parsed(t, `allow: {sources: ["https://h/", "http://h/", "s3://b/"]}`), parsed(t, "extract: strict")
	for _, tc := range []struct {
		first, next    string
		both, withNone bool
	}{
		{"https://h/a", "https://h/a", true, true},
		{"https://h/a", "https://h/b", true, true},
		{"https://h/a", "http://h/a", false, true},
		{"HTTPS://h/a", "http://h/a", false, true},
		{"https://h/a", "HTTPS://h/a", true, true},
		{"https://h/a", "s3://b/a", false, true},
		{"http://h/a", "https://h/a", true, true},
		{"http://h/a", "http://h/b", true, true},
		{"http://h/a", "http://i/b", false, true},
	} {
		for p, want := range map[*Policy]bool{both: tc.both, none: tc.withNone} {
			if err := p.Redirect(tc.first, tc.next); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s, then %s: %v", tc.first, tc.next, err)
			}
		}
	}
}

// FuzzURL: where a URL is allowed by a prefix, its request goes to the host of
// the prefix, and no server that reads the path in a way of its own finds it
// anywhere but below the prefix.
func FuzzURL(f *testing.F) {
	for _, raw := range []string{
		"https://h.example/apps/a", "https://h.example:443/apps/..;/x", "https://h\u3002example/apps/%2e%2e/x",
		"https://u:p@H.example/apps/a%20b?c=d#e", "https://h.example/apps/\uff0e\uff0e/x", "HTTPS://h.example/apps",
		"https://h.example/apps/a\\..\\x", "https://h.example/apps/%252e", "https:h.example/apps/", "https://[::1]/apps",
	} {
		f.Add(raw)
	}
	p, err := Parse("policy.yml", []byte(`allow: {sources: ["https://h.example/apps"]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		err := p.Source(raw)
		if err != nil {
			if !errors.Is(err, ErrRefused) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		req, err := http.NewRequest(http.MethodGet, u.String(), nil)
		if err != nil {
			return // it is never sent
		}
		asked, err := hostOf(req.URL)
		if err != nil || asked != "h.example" || req.URL.Scheme != "https" {
			t.Errorf("%q asks %q by %s", raw, asked, req.URL.Scheme)
		}
		for _, read := range readings(req.URL.EscapedPath()) {
			if !belowPath(read, "/apps") {
				t.Errorf("%q is %q for some server", raw, read)
			}
		}
		if p.Source(redact.URL(raw)) != nil && !strings.Contains(raw, "@") {
			t.Errorf("%q is allowed, and not as %q", raw, redact.URL(raw))
		}
	})
}

// readings are the paths that servers may take the path of a request for.
func readings(sent string) []string {
	unescaped := func(s string) string {
		if once, err := url.PathUnescape(s); err == nil {
			return once
		}
		return s
	}
	cutParameters := func(s string) string {
		elements := strings.Split(s, "/")
		for i := range elements {
			elements[i], _, _ = strings.Cut(elements[i], ";")
		}
		return strings.Join(elements, "/")
	}
	trimmed := func(s string) string {
		elements := strings.Split(s, "/")
		for i, e := range elements {
			if elements[i] = strings.TrimRight(e, " "); strings.Trim(e, ". ") == "" && e != "" {
				elements[i] = strings.ReplaceAll(elements[i], " ", "")
			}
		}
		return strings.Join(elements, "/")
	}
	steps := []func(string) string{
		unescaped, cutParameters, trimmed, norm.NFKC.String,
		func(s string) string { return strings.ReplaceAll(s, "\\", "/") },
		func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s },
		func(s string) string { return path.Join("/", s) },
	}
	all := []string{sent}
	for range 2 {
		for _, s := range all {
			for _, step := range steps {
				all = append(all, step(s))
			}
		}
	}
	for i := range all {
		all[i] = path.Join("/", unescaped(all[i]))
	}
	return all
}

// TestOneName: of a host that is allowed the client makes one name, wherever it
// says it: to the resolver, to a proxy and in the Host header.
func TestOneName(t *testing.T) {
	p := parsed(t, "allow: {sources: [\"http://deploys.example/web/\", \"http://b\u00fccher.example/web/\", "+
		"\"http://127.0.0.1/web/\", \"http://xn--r8jz45g.example/web/\"]}")
	for host, want := range map[string]bool{
		"deploys.example":                  true,
		"DEPLOYS.example":                  true,
		"deploys\u3002example":             false,
		"deploys\uff0eexample":             false,
		"deploys%E3%80%82example":          false,
		"deploys.\uff45xample":             false,
		"deploys.%EF%BD%85xample":          false,
		"deploys.example\u3002":            false,
		"deploy\u017f.example":             false, // a long s
		"deploys.ex\u00adample":            false,
		"deploys.exam\u200dple":            false,
		"deploys.\u2147xample":             false,
		"\u24d3eploys.example":             false,
		"b\u00fccher.example":              true,
		"b%C3%BCcher.example":              true,
		"B\u00fccHer.Example":              true,
		"xn--bcher-kva.example":            true,
		"b\u00dccher.example":              false,
		"bu\u0308cher.example":             false,
		"b\u00fc\u200dcher.example":        false,
		"b\u00fccher\u3002example":         false,
		"b\u00fccher.example:80":           true,
		"b\u00fccher.example:\uff18\uff10": false,
		"127.0.0.1":                        true,
		"\uff11\uff12\uff17.0.0.1":         false,
		"127\u30020.0.1":                   false,
		"\u4f8b\u3048.example":             true,
	} {
		raw := "http://" + host + "/web/a"
		if err := p.Source(raw); (err == nil) != want {
			t.Errorf("%q: %v", raw, err)
		} else if want {
			if told := toProxy(t, raw); told != "deploys.example" && told != "127.0.0.1" && !strings.HasPrefix(told, "xn--") {
				t.Errorf("%q is %q for a proxy", raw, told)
			}
		}
	}
}

// toProxy is the host that a proxy is asked for, by the request line and the
// Host header.
func toProxy(t *testing.T, raw string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	if err := req.WriteProxy(&sent); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&sent))
	if err != nil {
		t.Fatal(err)
	}
	host, err := oneName(got.URL.Hostname())
	if header := strings.TrimSuffix(strings.ToLower(got.Host), ":80"); err != nil || header != host {
		t.Errorf("%q asks for %q, with %q in its header (%v)", raw, host, header, err)
	}
	return host
}
