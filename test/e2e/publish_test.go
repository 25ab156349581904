package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// bucketServer is a server that objects are written to and read from.
type bucketServer interface {
	putter
	Get(t testing.TB, bucket, key string) []byte
	Env() []string
}

// TestE2EPublish goes all the way: a directory is packed to a bucket, an event
// tells its manifest's URL, and a watch deploys it. GNU tar and rsync make the
// same tree of the same archive; so it goes with the next version.
func TestE2EPublish(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"rsync", "tar"} {
		testparts.Need(t, tool)
	}
	agent := testparts.Consul(t)
	for scheme, c := range map[string]struct {
		server      bucketServer
		compression string
	}{"s3": {testparts.S3(t), "gzip"}, "gs": {testparts.GCS(t), "zstd"}} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.env = append(m.env, c.server.Env()...)
			c.server.Put(t, "deploys", "there", []byte("already"))
			h := &consulHost{m, agent, "publish-" + scheme, ""}
			w := h.watch("--strict-exit")
			for _, version := range []string{"1", "2"} {
				m.build(version)
				url := m.packBuild(scheme+"://deploys/app/", version, c.compression)
				h.fire(url)
				h.seen(w, `deployed "app" version "`+version+`" to `)
				m.byHand(c.server, scheme, url, "--"+c.compression)
				want := look(t, m.path("build"))
				if got := look(t, m.dest); got != want {
					t.Errorf("version %s: deployed\n%s\npacked\n%s", version, got, want)
				}
				if got := look(t, m.path("by-hand")); got != want {
					t.Errorf("version %s: by hand\n%s\npacked\n%s", version, got, want)
				}
			}
			h.ends(w)
		})
	}
}

// build makes an application, of which a later version has other files.
func (m *machine) build(version string) {
	m.t.Helper()
	for name, text := range map[string]string{"bin/app": "echo " + version, "index.html": "<p>" + version, "empty": "",
		"data/with space": "1", "data/caf\u00e9": "2", "data/" + strings.Repeat("long/", 30) + "x": "3",
		"data/large": noise(700_000) + version, "only-" + version: version} {
		m.write("build/"+name, text)
	}
	_ = os.Remove(m.path("build/only-1"))
	_ = os.Symlink("bin/app", m.path("build/app"))
	if err := os.Chmod(m.path("build/data/large"), 0o640); err != nil {
		m.t.Fatal(err)
	}
	at, _ := time.Parse("2006", "200"+version)
	for _, name := range []string{"build/bin/app", "build/index.html", "build/data/large", "build/only-" + version} {
		_ = os.Chtimes(m.path(name), at, at) // versions differ in time, as rsync wants it
	}
}

// packBuild packs the application to a URL and gives that of the manifest.
func (m *machine) packBuild(to, version, compression string) string {
	m.t.Helper()
	m.write("app.yml", "dest: "+m.dest+"\ncommands: {post: ['test -x "+m.dest+"/bin/app']}\n")
	d := m.start(nil, "pack", m.path("build"), "--to", to, "--name", "app", "--version", version, "--compress",
		compression, "--manifest", m.path("app.yml"))
	_ = d.cmd.Wait() // and not run, since a watch goes on
	d.wants(0, "manifest sent: ")
	return strings.TrimSpace(d.stdout.String())
}

// byHand fetches the archive and makes by-hand what is in it.
func (m *machine) byHand(s bucketServer, scheme, manifest, decompress string) {
	m.t.Helper()
	get := func(raw string) []byte {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != scheme {
			m.t.Fatalf("%q: %v", raw, err)
		}
		return s.Get(m.t, u.Host, strings.TrimPrefix(u.Path, "/"))
	}
	src := regexp.MustCompile(`(?m)^src: (\S+)$`).FindSubmatch(get(manifest))
	if src == nil {
		m.t.Fatalf("no src: %q", get(manifest))
	}
	m.write("archive", string(get(string(src[1]))))
	script := `set -e; rm -rf unpacked; mkdir unpacked; tar -xp "$1" -f archive -C unpacked
rsync -a --delete unpacked/ by-hand/`
	cmd := exec.Command("sh", "-c", script, "sh", decompress)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
}

// look tells what is below a directory: a line for each path.
func look(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, _ := filepath.Rel(dir, name)
		content, _ := os.ReadFile(name)
		target, _ := os.Readlink(name)
		fmt.Fprintf(&b, "%q %v %d %.4x %s\n", path, info.Mode(), info.ModTime().Unix(), sha256.Sum256(content), target)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
