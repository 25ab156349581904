package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/cli"
)

// site is a server that says where to go on, and writes down what it is asked
// for.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	location map[string]string // by the path that is redirected from
	status   int               // of redirects
	body     map[string]string // by path
	requests []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{location: map[string]string{}, body: map[string]string{}, status: http.StatusFound}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP answers by what the site has been told.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.URL.EscapedPath())
	if to, ok := s.location[r.URL.Path]; ok {
		w.Header()["Location"] = []string{to}
		w.Header().Set("Refresh", "0; url="+to)
		w.WriteHeader(s.status)
		return
	}
	_, _ = io.WriteString(w, s.body[r.URL.Path])
}

// asked returns what the site has been asked for, and forgets it.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

// leadingAway are redirects to where a list of prefixes does not allow to go,
// from a server that it allows: GOOD and BAD are the hosts with their ports,
// and FILE is the name of what is fetched.
func leadingAway() map[string]string {
	return map[string]string{
		"another host":           "http://BAD/ok/FILE",
		"without a scheme":       "//BAD/ok/FILE",
		"upper case":             "HTTP://BAD/ok/FILE",
		"the host as a user":     "http://GOOD@BAD/ok/FILE",
		"the host as a password": "http://x:GOOD@BAD/ok/FILE",
		"the host in the path":   "http://BAD/http://GOOD/ok/FILE",
		"the host in a query":    "http://BAD/ok/FILE?http://GOOD/ok/",
		"the host in a fragment": "http://BAD/ok/FILE#@GOOD/ok/",
		"a backslash":            `http://BAD\@GOOD/ok/FILE`,
		"a backslash in a path":  `/ok\..\secret/FILE`,
		"another directory":      "/secret/FILE",
		"dots":                   "/ok/../secret/FILE",
		"coded dots":             "/ok/%2e%2e/secret/FILE",
		"dots coded twice":       "/ok/%252e%252e/secret/FILE",
		"a coded slash":          "/ok/..%2fsecret/FILE",
		"a coded backslash":      "/ok/..%5csecret/FILE",
		"a parameter":            "/ok/..;x/secret/FILE",
		"a coded parameter":      "/ok/..%3bx/secret/FILE",
		"a prefix that is text":  "/okay/FILE",
		"a file of this host":    "file://DIR/FILE",
		"a bucket":               "s3://bucket/ok/FILE",
		"two steps":              "/ok/further",
	}
}

// detour is a fetch by redirects from a server that is allowed.
type detour struct {
	fleetDir
	good, bad *site
	config    string // the policy, which allows what is below /ok/ on good
	ran       string // the file that all commands would make
}

func newDetour(t *testing.T) detour {
	t.Helper()
	d := detour{fleetDir: newFleet(t), good: newSite(t), bad: newSite(t)}
	const list = "allow: {manifests: ['http://GOOD/ok/'], sources: ['http://GOOD/ok/']}\n"
	d.config = d.write(t, "policy.yml", d.filled(list))
	d.ran = filepath.Join(d.dir, "ran")
	evil := d.filled("name: x\ncommands: {pre: ['touch DIR/ran']}\nhooks: {x: [{run: 'touch DIR/ran'}]}\n")
	for _, s := range []*site{d.good, d.bad} { // whatever is asked for
		s.body["/ok/app.yml"], s.body["/secret/app.yml"], s.body["/okay/app.yml"] = evil, evil, evil
	}
	d.write(t, "app.yml", evil)
	return d
}

// filled puts the hosts' names and the directory into a text.
func (d detour) filled(text string) string {
	host := func(s *site) string { return strings.TrimPrefix(s.URL, "http://") }
	return strings.NewReplacer("GOOD", host(d.good), "BAD", host(d.bad), "DIR", d.dir).Replace(text)
}

// take runs the program with args, when good leads from /ok/start to a place.
// It returns what was requested of good.
func (d detour) take(t *testing.T, place string, status int, args ...string) (requests []string, exit int) {
	t.Helper()
	d.good.status = status
	d.good.location["/ok/further"] = d.filled("http://BAD/ok/app.yml")
	if place != "" {
		d.good.location["/ok/start"] = d.filled(place)
	}
	exit, stdout, stderr := call(t, append([]string{"--config", d.config}, args...)...)
	if asked := d.bad.asked(); len(asked) > 0 {
		t.Errorf("%q: the other host was asked for %q", args, asked)
	}
	if _, err := os.Lstat(d.ran); err == nil {
		t.Errorf("%q: a command ran", args)
	}
	t.Logf("%q: exit status %d\n%s%s", args, exit, stdout, stderr)
	return d.good.asked(), exit
}

// TestManifestRedirects: a server that is allowed leads nobody to a manifest
// that is not, whatever the command. What is not allowed is not requested.
func TestManifestRedirects(t *testing.T) {
	d := newDetour(t)
	url := d.filled("http://GOOD/ok/start")
	for name, place := range leadingAway() {
		for i, args := range [][]string{
			{url}, {"check", url}, {"check", "--explain", url}, {"plan", url}, {"hooks", "list", url},
			{"hooks", "run", "x", url}, {"hooks", "install", "--event", "after_install", "--hooks-root", d.dir, url},
		} {
			t.Run(name+"/"+strings.Join(args[:min(2, len(args)-1)], " "), func(t *testing.T) {
				requests, exit := d.take(t, strings.ReplaceAll(place, "FILE", "app.yml"), redirects()[i%5], args...)
				if want := refusedBy(name); exit != want {
					t.Errorf("exit status %d, want %d", exit, want)
				}
				for _, path := range requests {
					if path != "/ok/start" && path != "/ok/further" {
						t.Errorf("%q was requested", path)
					}
				}
			})
		}
	}
	d.good.body["/ok/real"] = "name: x\ncommands: {pre: ['true']}\n"
	requests, exit := d.take(t, "/ok/real", http.StatusFound, url)
	if exit != cli.ExitGood || !slices.Equal(requests, []string{"/ok/start", "/ok/real"}) {
		t.Errorf("a redirect that is allowed: exit status %d, requests %q", exit, requests)
	}
}

// TestArchiveRedirects: nor to an archive.
func TestArchiveRedirects(t *testing.T) {
	d := newDetour(t)
	const text = "src: http://GOOD/ok/start\nchecksum: SUM\ndest: DIR/srv/dest\nsync_strategy: native\n" +
		"commands: {post: ['touch DIR/ran']}\n"
	d.good.body["/ok/m.yml"] = readFile(t, d.write(t, "m.yml", d.filled(text)))
	d.bad.body["/ok/app.tar"] = string(packed(t))
	url := d.filled("http://GOOD/ok/m.yml")
	for name, place := range leadingAway() {
		for i, args := range [][]string{{url}, {"plan", url}, {"plan", "--explain", url}} {
			requests, exit := d.take(t, strings.ReplaceAll(place, "FILE", "app.tar"), redirects()[i], args...)
			if want := refusedBy(name); exit != want {
				t.Errorf("%s, %q: exit status %d, want %d", name, args, exit, want)
			}
			for _, path := range requests {
				if path != "/ok/m.yml" && path != "/ok/start" && path != "/ok/further" {
					t.Errorf("%s, %q: %q was requested", name, args, path)
				}
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(d.dir, "srv/dest")); err == nil {
		t.Error("dest is there")
	}
	d.good.body["/ok/app.tar"] = string(packed(t))
	requests, exit := d.take(t, "/ok/app.tar", http.StatusFound, "plan", url)
	if exit != cli.ExitChanges || !slices.Contains(requests, "/ok/app.tar") {
		t.Errorf("a redirect that is allowed: exit status %d, requests %q", exit, requests)
	}
}

// TestSignatureRedirects: nor to a signature, though it would be a good one.
func TestSignatureRedirects(t *testing.T) {
	d := newDetour(t)
	const list = "allow: {manifests: ['http://GOOD/ok/']}\ntrust: {keys: DIR/keys}\n"
	d.config = d.write(t, "policy.yml", d.filled(list))
	const dated = "name: x\nserial: 1\nexpires: 2200-01-01T00:00:00Z\n"
	m := d.write(t, "app.yml", dated+"commands: {pre: ['touch DIR/ran']}\n# signed")
	d.sign(t, m)
	text, signature := readFile(t, m), readFile(t, m+".minisig")
	for _, s := range []*site{d.good, d.bad} {
		s.body = map[string]string{"/ok/start": text}
		for _, dir := range []string{"/ok", "/secret", "/okay"} {
			s.body[dir+"/sig"], s.body[dir+"/app.yml.minisig"] = signature, signature
		}
	}
	url := d.filled("http://GOOD/ok/start")
	ask := func(place string, i int, args ...string) ([]string, int) {
		d.good.location["/ok/start.minisig"] = d.filled(place)
		return d.take(t, "", redirects()[i%5], args...)
	}
	for name, place := range leadingAway() {
		for i, args := range [][]string{{url}, {"check", "--explain", url}, {"plan", url}} {
			requests, exit := ask(strings.ReplaceAll(place, "FILE", "app.yml.minisig"), i, args...)
			if want := refusedBy(name); exit != want {
				t.Errorf("%s, %q: exit status %d, want %d", name, args, exit, want)
			}
			for _, path := range requests {
				if path != "/ok/start" && path != "/ok/start.minisig" && path != "/ok/further" {
					t.Errorf("%s, %q: %q was requested", name, args, path)
				}
			}
		}
	}
	if requests, exit := ask("/ok/sig", 0, "check", url); exit != cli.ExitGood || !slices.Contains(requests, "/ok/sig") {
		t.Errorf("a redirect that is allowed: exit status %d, requests %q", exit, requests)
	}
}

// redirects are the statuses that lead on.
func redirects() []int {
	return []int{http.StatusFound, http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect}
}

// refusedBy is the exit status of a redirect: a Location that is no URL is a
// server that fails, and leads nowhere.
func refusedBy(name string) int {
	if name == "a backslash" {
		return cli.ExitFailed
	}
	return cli.ExitRefused
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
