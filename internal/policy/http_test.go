package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestAccess: a URL gets what the longest prefix has that it is below.
func TestAccess(t *testing.T) {
	host, err := Parse("policy.yml", []byte(`
http:
  - {url: "https://h/", ca: /host}
  - {url: "https://h/team/", ca: /team}
  - {url: "https://h/team/a", ca: /a}
  - {url: "http://h:8080/x", netrc: /plain}
`))
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"https://h/": "/host", "https://h": "/host", "https://H:443/x?q": "/host", "https://u:p@h/x": "/host",
		"https://h/team": "/team", "https://h/team/b": "/team", "https://h/teams": "/host", "https://h/team/a": "/a",
		"https://h/team/a/b": "/a", "https://h/team/ab": "/team", "http://h:8080/x/y": "/plain",
		// Of a host it does not matter how paths are taken, below one it does.
		"https://h/api/group%2Fproject": "/host", "https://h/team/%2e%2e/x": "/host", "https://h/team/a/..;/b": "/host",
		// Other origins.
		"http://h/": "", "https://h:8443/": "", "https://h.example/": "", "https://x.h/": "", "https://h@evil/": "",
		"http://h:8080/": "", "http://h:8080/xy": "", "http://h:8080/x%2fy": "", "s3://h/": "", "//h/": "", "": "",
		"https:h/": "", "https://h\\@evil/": "", "https://evil/https://h/": "", "https://h./": "",
	} {
		h, ok := host.Access(url)
		if got := string(h.CA + h.Netrc); got != want || ok != (want != "") {
			t.Errorf("%q gets %q, want %q", url, got, want)
		}
	}
	if _, ok := (&Policy{}).Access("https://h/"); ok {
		t.Error("no policy has something")
	}
}

// TestAccessInLayers: layers add entries, and none changes another's.
func TestAccessInLayers(t *testing.T) {
	p := &Policy{}
	for i, text := range []string{
		`http: [{url: "https://a/", ca: /a}]`, `http: [{url: "https://b/", ca: /b}]`,
		`http: [{url: "https://b/c", ca: /bc}]`,
	} {
		if err := p.add(fmt.Sprintf("%d.yml", i), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for url, want := range map[string]Text{"https://a/": "/a", "https://b/": "/b", "https://b/c/d": "/bc"} {
		if h, _ := p.Access(url); h.CA != want {
			t.Errorf("%q gets %q, want %q", url, h.CA, want)
		}
	}
	err := p.add("4.yml", []byte(`http: [{url: "https://B:443", ca: /other}]`))
	if err == nil || !strings.Contains(err.Error(), `is set on line 1 of "1.yml", too`) {
		t.Error(err)
	}
}

// TestCredentialsAreReserved: nothing is deployed to where they are.
func TestCredentialsAreReserved(t *testing.T) {
	host, err := Parse("policy.yml", []byte(
		`http: [{url: "https://a/", ca: /c/ca, client_cert: /c/cert, netrc: /c/n, header_files: {A: /c/a}}]`))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, o := range host.Reserved(true) {
		if o.What == "the credentials" {
			found = append(found, o.Path)
		}
	}
	if got := strings.Join(found, " "); got != "/c/ca /c/cert /c/a /c/n" {
		t.Errorf("reserved are %q", got)
	}
}
