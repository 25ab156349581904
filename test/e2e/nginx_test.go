package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// site is a machine with an nginx that serves its directory www.
type site struct {
	*machine
	base string
}

// newSite adds conf to nginx's server block. Its access log is the file access.
func newSite(t *testing.T, conf string) *site {
	t.Helper()
	testparts.Need(t, "rsync")
	m := newMachine(t)
	m.write("www/index.html", "<!DOCTYPE html>\n<html><body>welcome</body></html>\n")
	return &site{m, testparts.Nginx(t, m.path("www"), "access_log "+m.path("access")+";\n"+conf)}
}

// publish puts an archive and its manifest on the site.
func (s *site) publish(src string, files map[string]string, rest ...string) (manifest string) {
	s.t.Helper()
	app := pack(s.t, files)
	s.write("www/app.tgz", string(app))
	s.write("www/app.yml", s.manifest(src, app, rest...))
	return s.base + "/app.yml"
}

// requests counts the access log's lines with that text.
func (s *site) requests(text string) int { return strings.Count(s.read("access"), text) }

const failureCommand = "commands: {failure: ['cat > failed'], success: ['touch succeeded']}"

// failedWell looks at what a deployment that failed in its fetch leaves.
func (s *site) failedWell(line string) {
	s.t.Helper()
	s.has(map[string]string{"file": "old"})
	if !strings.Contains(s.read("failed"), line) {
		s.t.Errorf("the failure command got %q, want %q in it", s.read("failed"), line)
	}
	if _, err := os.Stat(s.path("succeeded")); err == nil {
		s.t.Error("the success command ran")
	}
}

func TestE2ENginx(t *testing.T) {
	t.Parallel()
	// Compression that a client did not ask for would break checksum and Range.
	s := newSite(t, "gzip on; gzip_types *; gzip_min_length 1;")
	files := map[string]string{"file": "hello", "dir/sub/file": strings.Repeat("hello ", 50_000)}
	url := s.publish(s.base+"/app.tgz?token=archive-secret", files)
	user := strings.Replace(url, "http://", "http://user:password-secret@", 1)
	s.run(nil, user+"?token=manifest-secret").wants(0, `fetched ".*/app.tgz`, `deployed "dest"`).
		lacks("archive-secret", "manifest-secret", "password-secret")
	s.has(files)
	if n := s.requests(`" "Stretcher/`); n != 2 || s.requests("archive-secret") != 1 {
		t.Errorf("%d requests of Stretcher, want 2 with their queries:\n%s", n, s.read("access"))
	}
}

// TestE2ENginxStatus: what comes with a bad status is neither manifest nor archive.
func TestE2ENginxStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, `location /broken/ { default_type text/html; return 500 "<html>oops</html>"; }
		location /moved/ { rewrite ^/moved/(.*) /$1 redirect; }
		location /loop/ { rewrite ^ /loop/ redirect; }`)
	url := s.publish(s.base+"/moved/app.tgz", map[string]string{"file": "old"})
	s.run(nil, s.base+"/moved/app.yml").wants(0)
	for _, tt := range []struct {
		url, message string
		requests     int
	}{
		{"/none.yml", `404 Not Found`, 1},
		{"/broken/app.yml", `500 Internal Server Error \(after 3 attempts\)`, 3},
		{"/loop/", `.*redirects.*`, -1},
	} {
		before := s.requests("GET " + tt.url)
		s.run(nil, "--retry", "2", "--retry-wait", "0.01", s.base+tt.url).
			fails(1, `manifest: GET "`+s.base+tt.url+`": `+tt.message)
		if n := s.requests("GET "+tt.url) - before; n != tt.requests && tt.requests > 0 {
			t.Errorf("%d requests for %s, want %d", n, tt.url, tt.requests)
		}
	}
	s.run(nil, s.base+"/index.html").wants(3, "hint: this looks like an HTML page")

	for src, message := range map[string]string{
		"/none.tgz": "404 Not Found", "/broken/app.tgz": "500 Internal Server Error",
	} {
		s.publish(s.base+src, map[string]string{"file": "new"}, failureCommand)
		s.run(nil, url).fails(1, `fetch: GET "`+s.base+src+`": `+message)
		s.failedWell(`GET "` + s.base + src)
	}
	s.publish(s.base+"/index.html", map[string]string{"file": "new"}, failureCommand)
	s.run(nil, url).fails(4, `fetch: ".*/index.html" has checksum sha256:[0-9a-f]+, the manifest says sha256:[0-9a-f]+`)
	s.failedWell("has checksum")
}

// TestE2ENginxRecovers: the server is mended while the program retries.
func TestE2ENginxRecovers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.write("down", "")
	base := testparts.Nginx(t, s.path("www"),
		"access_log "+s.path("access")+"; if (-f "+s.path("down")+") { return 503; }")
	s.publish(base+"/app.tgz", map[string]string{"file": "hello"})
	d := s.start(nil, "-retry", "1000", "-retry-wait", "0.01", base+"/app.yml")
	s.waitFor("access", `" 503 `)
	if err := os.Remove(s.path("down")); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	d.wants(0, "fetch broke off at byte 0", `deployed "dest"`)
	s.has(map[string]string{"file": "hello"})
	s.clean()
}

// TestE2ENginxMirrors: the second source has what the first has not.
func TestE2ENginxMirrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	mirrors := fmt.Sprintf("[%q, %q, %q]", "http://127.0.0.1:1/app.tgz", s.base+"/none.tgz", s.base+"/app.tgz")
	url := s.publish(mirrors, map[string]string{"file": "hello"})
	s.run(nil, url).wants(0, "connection refused; trying the next mirror", "404 Not Found; trying the next mirror")
	s.has(map[string]string{"file": "hello"})
}

// TestE2ENginxCut: what becomes of a broken-off body when the archive can't
// simply be resumed, or is cut again and again.
func TestE2ENginxCut(t *testing.T) {
	t.Parallel()
	old, changed := map[string]string{"file": noise(300_000)}, map[string]string{"file": noise(350_000)}
	for _, tt := range []struct {
		name, conf  string
		after, cuts int
		change      bool
		answers     string
		code        int
		message     string
	}{
		{name: "whole", answers: "200"},
		{name: "twice", after: 100_000, cuts: 2, answers: "200, 206 bytes=100000-, 206 bytes=200000-"},
		{name: "no ranges", conf: "max_ranges 0;", after: 100_000, cuts: 1, answers: "200, 200 bytes=100000-"},
		{name: "no etag", conf: "etag off;", after: 100_000, cuts: 1, answers: "200, 200"},
		{name: "changed", after: 100_000, cuts: 1, change: true, answers: "200, 200 bytes=100000-"},
		{name: "without end", after: 10, cuts: 1000, answers: "200, 206 bytes=10-, 206 bytes=20-, 206 bytes=30-",
			code: 1, message: `fetch: read ".*/app.tgz" at byte 40: unexpected EOF \(after 4 attempts\)`},
		{name: "at once", after: 0, cuts: 1000, answers: "200", code: 1, message: `fetch: .*EOF`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.conf)
			proxy := newBreaker(t, s.base, false)
			url := s.publish(proxy.URL+"/app.tgz", old, failureCommand)
			want := old
			if tt.change { // the manifest is for what is there in the end
				want = changed
				s.publish(proxy.URL+"/app.tgz", changed, failureCommand)
				archive := s.read("www/app.tgz")
				s.write("www/app.tgz", string(pack(t, old)))
				proxy.before = func() { s.write("www/app.tgz", archive) }
			}
			s.write("dest/file", "old")
			proxy.cut("app.tgz", tt.after, tt.cuts)
			d := s.run(nil, "--retry-wait", "0.01", url).wants(tt.code)
			if tt.code != 0 {
				d.fails(tt.code, tt.message)
				s.failedWell("EOF")
			} else {
				s.has(want)
			}
			if got := proxy.answers(); got != tt.answers {
				t.Errorf("the server was asked %q, want %q", got, tt.answers)
			}
		})
	}
}

// TestE2ENginxSlow: a slow server is waited for, within --timeout and until a
// signal comes.
func TestE2ENginxSlow(t *testing.T) {
	t.Parallel()
	files := map[string]string{"file": noise(30_000)}
	large := map[string]string{"file": noise(300_000)} // takes 5 minutes
	t.Run("waits", func(t *testing.T) {
		s := newSite(t, "limit_rate 20k;")
		s.run(nil, "--timeout", "1m", s.publish(s.base+"/app.tgz", files)).wants(0)
		s.has(files)
	})
	crawl := "location /app.tgz { limit_rate 1k; }"
	t.Run("timeout", func(t *testing.T) {
		s := newSite(t, crawl)
		s.write("dest/file", "old")
		s.run(nil, "--timeout", "3", s.publish(s.base+"/app.tgz", large, failureCommand)).
			fails(1, `fetch: ".*/app.tgz": .*not done after --timeout 3s`)
		s.failedWell("not done after --timeout 3s")
	})
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newSite(t, crawl)
			s.write("dest/file", "old")
			d := s.start(nil, s.publish(s.base+"/app.tgz", large, failureCommand))
			testparts.WaitFor(t, "the archive to arrive", func() bool { return arriving(d.cmd.Process.Pid) })
			if err := d.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = d.cmd.Wait()
			d.fails(code, `fetch: .*interrupted by signal `+sig.String()+`.*`)
			s.failedWell("interrupted by signal " + sig.String())
			s.clean()
		})
	}
}

// arriving tells whether a process has an archive on its way: a file without
// a name that is not empty.
func arriving(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		name, _ := os.Readlink(dir + f.Name())
		info, err := os.Stat(dir + f.Name())
		if err == nil && strings.HasSuffix(name, " (deleted)") && info.Mode().IsRegular() && info.Size() > 0 {
			return true
		}
	}
	return false
}
