package delta

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
	"stretcher/internal/testparts"
)

// TestMain removes the program that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// release is an archive with its index.
type release struct {
	archive []byte
	index   []byte
	sum     string // the index's digest in the manifest; that of index when it is ""
}

// packed packs a directory.
func packed(tb testing.TB, dir string, c pack.Compression) release {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	check(tb, err)
	defer root.Close()
	var b bytes.Buffer
	res, err := pack.Write(tb.Context(), root, &b, pack.Options{Compression: c, Cores: 1})
	check(tb, err)
	return release{archive: b.Bytes(), index: res.Index.Encode()}
}

// decoded is a copy of the release's index, to be changed.
func (r release) decoded(tb testing.TB) *index.Index {
	tb.Helper()
	x, err := index.Decode(r.index)
	check(tb, err)
	return x
}

// origin is a server of releases, which counts.
type origin struct {
	url string

	mu      sync.Mutex
	files   map[string][]byte
	sent    map[string]int64 // bytes by path
	parts   int              // answers with a part of an archive
	whole   int              // answers with all of it
	instead http.HandlerFunc // answers for archives when it is set
}

func newOrigin(tb testing.TB) *origin {
	tb.Helper()
	o := &origin{files: map[string][]byte{}, sent: map[string]int64{}}
	s := httptest.NewServer(o)
	tb.Cleanup(s.Close)
	o.url = s.URL
	return o
}

// ServeHTTP gives files and parts of them.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	data, ok := o.files[r.URL.Path]
	instead := o.instead
	o.mu.Unlock()
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case instead != nil && strings.HasSuffix(r.URL.Path, ".tar"):
		instead(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
	http.ServeContent(&counter{w, o, r.URL.Path}, r, "", time.Time{}, bytes.NewReader(data))
}

// answer lets a function answer for archives.
func (o *origin) answer(instead http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.instead = instead
}

// count counts bytes of a path.
func (o *origin) count(path string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[path] += int64(n)
}

// bytesOf tells how many bytes of a path have been sent.
func (o *origin) bytesOf(path string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent[path]
}

// answered tells how many parts of archives have been sent.
func (o *origin) answered() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.parts
}

// edit changes a file.
func (o *origin) edit(path string, change func(string) string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[path] = []byte(change(string(o.files[path])))
}

// counter counts what is answered, before who has asked can have it.
type counter struct {
	http.ResponseWriter
	o    *origin
	path string
}

// WriteHeader counts the answer.
func (c *counter) WriteHeader(status int) {
	if strings.HasSuffix(c.path, ".tar") {
		c.o.mu.Lock()
		if status == http.StatusPartialContent {
			c.o.parts++
		} else {
			c.o.whole++
		}
		c.o.mu.Unlock()
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (c *counter) Write(p []byte) (int, error) {
	c.o.count(c.path, len(p))
	n, err := c.ResponseWriter.Write(p)
	c.o.count(c.path, n-len(p))
	return n, err
}

// publish offers a release under a name, with a manifest whose URL it gives.
func (o *origin) publish(name, dest, strategy string, r release) (url string) {
	if r.sum == "" {
		r.sum = fmt.Sprintf("%x", sha256.Sum256(r.index))
	}
	manifest := fmt.Sprintf("src: %s/%s.tar\nchecksum: sha256:%x\nindex: sha256:%s\ndest: %s\nsync_strategy: %s\n",
		o.url, name, sha256.Sum256(r.archive), r.sum, dest, strategy)
	o.mu.Lock()
	defer o.mu.Unlock()
	for suffix, data := range map[string][]byte{".tar": r.archive, ".tar.idx": r.index, ".yml": []byte(manifest)} {
		o.files["/"+name+suffix] = data
	}
	return o.url + "/" + name + ".yml"
}

// host is what is deployed to.
type host struct {
	tb       testing.TB
	bin, dir string
	strategy string
}

func newHost(tb testing.TB, strategy string) *host {
	tb.Helper()
	if strategy == "rsync" {
		testparts.Need(tb, "rsync")
	}
	h := &host{tb: tb, bin: testparts.Shipped(tb), dir: tb.TempDir(), strategy: strategy}
	for _, name := range []string{"tmp", "home"} {
		check(tb, os.Mkdir(h.path(name), 0o700))
	}
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) dest() string { return h.path("dest") }

// live is the directory with the deployed tree.
func (h *host) live() string {
	if h.strategy != "releases" {
		return h.dest()
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(h.dest(), "current"))
	check(h.tb, err)
	return dir
}

// command is a call of the program.
func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.bin, args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + h.path("tmp"), "HOME=" + h.path("home"),
		"STRETCHER_STATE_DIR=" + h.path("state"), "STRETCHER_RETRY=1", testparts.NoExitSleep}
	return cmd
}

// deploy runs the program to its end.
func (h *host) deploy(args ...string) (status int, log string) {
	h.tb.Helper()
	out, err := h.command(args...).CombinedOutput()
	if left, _ := filepath.Glob(h.path("tmp/*")); len(left) > 0 {
		h.tb.Errorf("left behind: %q", left)
	}
	return testparts.ExitStatus(err), string(out)
}
