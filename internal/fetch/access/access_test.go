package access

import (
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// ring is a keyring of one grant, for https://h, with what it has told.
type ring struct {
	*Keyring
	dir     string
	secrets []string
	told    []string
}

func newRing(t *testing.T, grant Grant) *ring {
	t.Helper()
	r := &ring{dir: t.TempDir()}
	r.Keyring = &Keyring{
		Of: func(u string) (Grant, bool) {
			grant.URL = "https://h"
			return grant, strings.HasPrefix(u, "https://h/")
		},
		Secret: func(_, value string) { r.secrets = append(r.secrets, value) },
		Info:   func(text string) { r.told = append(r.told, text) },
		Warn:   func(text string) { r.told = append(r.told, "warning: "+text) },
	}
	return r
}

func (r *ring) file(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *ring) ask(t *testing.T, raw string, way store.Way) (store.Access, error) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r.For(u, way)
}

// TestHeaders: a file is read each time, masked, and goes to its server alone.
func TestHeaders(t *testing.T) {
	grant := Grant{HeaderFiles: map[string]string{}}
	r := newRing(t, grant)
	file := r.file(t, "token", "Bearer first-token\r\n", 0o600)
	grant.HeaderFiles["authorization"] = file
	for _, want := range []string{"Bearer first-token", "Bearer second-token"} {
		r.file(t, "token", want+"\n", 0o600)
		a, err := r.ask(t, "https://h/x", store.Way{User: true})
		if err != nil || a.Header.Get("Authorization") != want || a.TLS != nil {
			t.Errorf("%v, %v, want %q", a, err, want)
		}
	}
	if got := strings.Join(r.secrets, ","); got != "Bearer first-token,first-token,Bearer second-token,second-token" {
		t.Errorf("masked are %q", got)
	}
	if len(r.told) != 1 || strings.Contains(r.told[0], "token-") || !strings.Contains(r.told[0], "header Authorization") {
		t.Errorf("told: %q", r.told)
	}
	for _, raw := range []string{"https://other/x", "http://h/x"} {
		if a, err := r.ask(t, raw, store.Way{}); err != nil || len(a.Header) > 0 {
			t.Errorf("%s gets %v, %v", raw, a, err)
		}
	}
	if a, err := r.ask(t, "https://h/x", store.Way{Strange: true}); err != nil || len(a.Header) > 0 {
		t.Errorf("another server leads there and takes %v along, %v", a, err)
	}
}

// TestBadFiles: a file that can't be believed, or holds no value, is an error that
// does not say what is in it.
func TestBadFiles(t *testing.T) {
	r := newRing(t, Grant{})
	for text, want := range map[string]string{
		"a\nsecret: b": "second line", "": "is empty", " \n": "is empty", "a\x00b": "no header can",
		strings.Repeat("x", maxFile+1): "larger than",
	} {
		if value, err := readValue(r.file(t, "f", text, 0o600)); value != "" || err == nil ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %q, %v, want %q", text, value, err, want)
		}
	}
	grant := Grant{HeaderFiles: map[string]string{"A": r.file(t, "f", "x", 0o666)}}
	if _, err := newRing(t, grant).ask(t, "https://h/", store.Way{}); !errors.Is(err, failure.ErrRefused) {
		t.Errorf("a file that everybody may write: %v", err)
	}
	junk := r.file(t, "f", "x", 0o600)
	for _, grant := range []Grant{{CA: junk}, {ClientCert: junk}, {CA: "/none"}} {
		if a, err := newRing(t, grant).ask(t, "https://h/", store.Way{}); err == nil || a.TLS != nil {
			t.Errorf("%+v: %v", grant, err)
		}
	}
}

// TestConfig: connections with the same files share a configuration, and a server
// that another one has led to is not shown the certificate.
func TestConfig(t *testing.T) {
	r := newRing(t, Grant{})
	_, _, stop, err := testparts.ServeGuarded(r.dir, r.dir, filepath.Join(r.dir, "requests"))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	grant := Grant{CA: filepath.Join(r.dir, "ca.pem"), ClientCert: filepath.Join(r.dir, "client.pem"),
		ClientKey: filepath.Join(r.dir, "client.key")}
	r = newRing(t, grant)
	one, err1 := r.ask(t, "https://h/a", store.Way{})
	two, err2 := r.ask(t, "https://h/b", store.Way{})
	led, err3 := r.ask(t, "https://h/b", store.Way{Strange: true})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if one.TLS != two.TLS || len(one.TLS.Certificates) != 1 || one.TLS.RootCAs == nil {
		t.Error("there are two configurations, or what is in them is missing")
	}
	if led.TLS == nil || led.TLS.RootCAs == nil || len(led.TLS.Certificates) > 0 {
		t.Error("the certificate is shown to where another server leads")
	}
}

// TestOwnNetrc: what the caller has counts where nothing else says who asks.
func TestOwnNetrc(t *testing.T) {
	grant := Grant{HeaderFiles: map[string]string{}}
	r := newRing(t, grant)
	r.Netrc = r.file(t, "netrc", "machine h login u password long-password\ndefault login all password all\n", 0o600)
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:long-password"))
	for raw, want := range map[string]string{"https://h/x": pair, "http://H:8080/x": pair, "https://other/": ""} {
		if a, err := r.ask(t, raw, store.Way{}); err != nil || a.Header.Get("Authorization") != want {
			t.Errorf("%s gets %v, %v, want %q", raw, a.Header, err, want)
		}
	}
	for _, way := range []store.Way{{User: true}, {Strange: true}} {
		if a, err := r.ask(t, "https://h/x", way); err != nil || len(a.Header) > 0 {
			t.Errorf("%+v: %v, %v", way, a.Header, err)
		}
	}
	grant.HeaderFiles["Authorization"] = r.file(t, "token", "Token x", 0o600)
	if a, err := r.ask(t, "https://h/x", store.Way{}); err != nil || a.Header.Get("Authorization") != "Token x" {
		t.Errorf("the policy's header does not count: %v, %v", a, err)
	}
	delete(grant.HeaderFiles, "Authorization")
	r.file(t, "netrc", "machine h login u password long-password", 0o666)
	r.told = nil
	for range 2 {
		if a, err := r.ask(t, "https://h/x", store.Way{}); err != nil || len(a.Header) > 0 {
			t.Errorf("a netrc that everybody may write counts: %v, %v", a, err)
		}
	}
	if len(r.told) != 1 || !strings.HasPrefix(r.told[0], "warning: ") {
		t.Errorf("told: %q", r.told)
	}
	told, masked := strings.Join(r.told, " "), strings.Join(r.secrets, " ")
	if strings.Contains(told, "long-password") || !strings.Contains(masked, pair[6:]) {
		t.Errorf("told %q, masked %q", r.told, r.secrets)
	}
}

// TestNoNetrc: nobody is told of a netrc that is not there, though others could
// make one.
func TestNoNetrc(t *testing.T) {
	r := newRing(t, Grant{})
	if err := os.Chmod(r.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	r.Netrc = filepath.Join(r.dir, "none")
	if a, err := r.ask(t, "https://other/", store.Way{}); err != nil || len(a.Header) > 0 || len(r.told) > 0 {
		t.Errorf("%v, %v, told %q", a, err, r.told)
	}
}

func TestOwnNetrcName(t *testing.T) {
	for _, tc := range [][3]string{
		{"", "/root", "/root/.netrc"}, {"/n", "/root", "/n"}, {"", "", ""}, {"/dev/null", "/root", ""}, {"n", "", "n"},
	} {
		env := map[string]string{"NETRC": tc[0], "HOME": tc[1]}
		if got := OwnNetrc(func(name string) (string, bool) { v, ok := env[name]; return v, ok }); got != tc[2] {
			t.Errorf("%q: %q", tc, got)
		}
	}
}
