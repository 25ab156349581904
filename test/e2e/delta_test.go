package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// origin serves what is published, and counts.
type origin struct {
	t     *testing.T
	dir   string
	url   string
	bytes atomic.Int64
	lock  sync.Mutex
	asked []string // path and range
	// fault, when set, may answer in place of the files.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, dir: t.TempDir()}
	files := http.FileServer(http.Dir(o.dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.lock.Lock()
		o.asked = append(o.asked, r.URL.Path+" "+r.Header.Get("Range"))
		fault := o.fault
		o.lock.Unlock()
		c := &counting{w, &o.bytes}
		if fault == nil || !fault(c, r) {
			files.ServeHTTP(c, r)
		}
	}))
	t.Cleanup(s.Close)
	o.url = s.URL
	return o
}

// counting counts the bytes of answers.
type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// publish packs a directory, and gives the manifest's URL.
func (o *origin) publish(m *machine, dir, version, strategy string, args ...string) string {
	o.t.Helper()
	m.write("template.yml", "sync_strategy: "+strategy+"\n")
	d := m.run(nil, append([]string{"pack", dir, "--to", "file://" + o.dir + "/", "--public-url", o.url + "/",
		"--name", "app", "--version", version, "--dest", m.dest, "--manifest", m.path("template.yml")}, args...)...).wants(0)
	return strings.TrimSpace(d.stdout.String())
}

// size is that of the archive, and of its index.
func (o *origin) size(version string) (archive, index int64) {
	o.t.Helper()
	names, _ := filepath.Glob(filepath.Join(o.dir, "app-"+version+"-*"))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			o.t.Fatal(err)
		}
		if strings.HasSuffix(name, ".idx") {
			index = info.Size()
		} else {
			archive = info.Size()
		}
	}
	return archive, index
}

// answer lets a function answer in place of the files.
func (o *origin) answer(fault func(w http.ResponseWriter, r *http.Request) bool) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.fault = fault
}

// reset forgets what was asked.
func (o *origin) reset() {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.asked = nil
	o.bytes.Store(0)
}

// random is text that compresses badly.
func random(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// versions are two trees that differ in some of all that a tree may have.
func versions(t *testing.T) (first, second string) {
	t.Helper()
	first, second = t.TempDir(), t.TempDir()
	for i, dir := range []string{first, second} {
		put := func(name, text string, mode fs.FileMode) {
			path := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(text), 0o600))
			must(t, os.Chmod(path, mode))
			must(t, os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000, 0)))
		}
		for k := range 60 {
			put(fmt.Sprintf("d%d/f%d", k%7, k), random(uint64(k), 20_000), 0o644)
		}
		put("large", random(99, 3<<20), 0o644)
		put("large2", random(98, 1<<20)+strings.Repeat("x", i), 0o755)
		put("changed", random(uint64(1000+i), 20_000), 0o640)
		put(fmt.Sprintf("moved%d", i), random(77, 30_000), 0o644)
		put("same/size", fmt.Sprintf("%d-%s", i, random(76, 9000)), 0o644)
		put("empty", "", 0o600)
		put("mode", random(75, 9000), fs.FileMode(0o600+i*0o111))
		put("copies/a", random(74, 9000), 0o644)
		put("copies/b", random(74, 9000), 0o604)
		put(fmt.Sprintf("only%d/f", i), random(uint64(2000+i), 9000), 0o644)
		must(t, os.Symlink(fmt.Sprintf("d%d/f1", i), filepath.Join(dir, "link")))
		must(t, os.Link(filepath.Join(dir, "changed"), filepath.Join(dir, "hard")))
		must(t, os.Chmod(filepath.Join(dir, "d1"), fs.FileMode(0o755-i*0o005)))
		sparse, err := os.Create(filepath.Join(dir, "sparse"))
		must(t, err)
		_, err = sparse.WriteAt([]byte(fmt.Sprint("end", i)), 1<<20)
		must(t, err)
		must(t, sparse.Close())
		must(t, os.Chtimes(filepath.Join(dir, "sparse"), time.Time{}, time.Unix(1_700_000_000, 0)))
		// When it was made must not be what differs: parts hold it.
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000, 0))
			}
			return err
		}))
	}
	return first, second
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// treeOf tells all of a tree that a deployment makes.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %s %d:%d", name, info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %d %q", info.ModTime().Unix(), info.Size(), text[:min(len(text), 99)])
			fmt.Fprintf(&b, " %x", sha256.Sum256(text))
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", to)
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

// equal compares what is live on two machines.
func equal(t *testing.T, a, b string) {
	t.Helper()
	x, y := strings.Split(treeOf(t, a), "\n"), strings.Split(treeOf(t, b), "\n")
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i] != y[i] {
			t.Fatalf("line %d:\n%.300q, want\n%.300q", i, at(x, i), at(y, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// TestDelta: with an index, less is fetched, and the tree is that of a full
// deployment, whatever the strategy.
func TestDelta(t *testing.T) {
	for _, tc := range []struct {
		strategy, live string
		compress       string
	}{{"native", "", "gzip"}, {"native", "", "zstd"}, {"releases", "current/", "gzip"}, {"rsync", "", "zstd"}} {
		t.Run(tc.strategy+" "+tc.compress, func(t *testing.T) {
			o, m, other := newOrigin(t), newMachine(t), newMachine(t)
			v1, v2 := versions(t)
			args := []string{"--compress", tc.compress, "--owners"}
			m.run(nil, o.publish(m, v1, "1", tc.strategy, args...)).wants(0)
			url := o.publish(m, v2, "2", tc.strategy, args...)
			o.reset()
			m.run(nil, url).wants(0, "fetched .* ranges")
			archive, index := o.size("2")
			if got := o.bytes.Load(); got > index+archive/2 || got < index {
				t.Errorf("%d bytes fetched, of an archive of %d and an index of %d: %q", got, archive, index, o.asked)
			}
			other.run(nil, o.publish(other, v2, "2b", tc.strategy, args...)).wants(0)
			equal(t, filepath.Join(m.dest, tc.live)+"/.", filepath.Join(other.dest, tc.live)+"/.")
		})
	}
}

// TestDeltaFalls: whatever is wrong at the server or on the host, the tree is
// the right one, and the log says why all of the archive was fetched.
func TestDeltaFalls(t *testing.T) {
	v1, v2 := versions(t)
	ranged := func(r *http.Request) bool { return r.Header.Get("Range") != "" }
	isIndex := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".idx") }
	var once atomic.Bool
	for name, tc := range map[string]struct {
		fault  func(w http.ResponseWriter, r *http.Request) bool
		host   func(t *testing.T, m *machine)
		log    string
		within int64 // bytes beyond archive and index
	}{
		"no ranges": {func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Range")
			return false
		}, nil, "fetching the whole archive: the server sends no ranges", 1000},
		"no index": {func(w http.ResponseWriter, r *http.Request) bool {
			if isIndex(r) {
				http.NotFound(w, r)
			}
			return isIndex(r)
		}, nil, "the index can't be used: GET .*404", 1000},
		"another index": {func(w http.ResponseWriter, r *http.Request) bool {
			if isIndex(r) {
				fmt.Fprint(w, "stretcher index 1\n")
			}
			return isIndex(r)
		}, nil, "the index can't be used: its digest is", 1000},
		"other parts": {func(w http.ResponseWriter, r *http.Request) bool {
			if !ranged(r) {
				return false
			}
			w = &bent{w}
			http.ServeFile(w, r, filepath.Join(r.Header.Get("Test-Dir"), r.URL.Path))
			return true
		}, nil, "part [0-9]+ of the archive is not what the index says", 1 << 30},
		"replaced meanwhile": {func(w http.ResponseWriter, r *http.Request) bool {
			if ranged(r) && once.Swap(true) {
				w.WriteHeader(http.StatusPreconditionFailed)
				return true
			}
			return false
		}, nil, "fetching the whole archive", 1 << 30},
		"no parts": {func(w http.ResponseWriter, r *http.Request) bool {
			if ranged(r) {
				w.WriteHeader(http.StatusForbidden)
			}
			return ranged(r)
		}, nil, "fetching the whole archive: .*403", 1000},
		"dest changed in a pre command": {nil, func(t *testing.T, m *machine) {
			changeInPre(m)
			forgetArchives(t, m)
		}, "the whole archive.*content is not here", 1 << 30},
		"dest changed where the archive is kept": {nil, func(_ *testing.T, m *machine) {
			changeInPre(m)
		}, `fetched [0-9]+ of [0-9]+ bytes`, -1},
	} {
		t.Run(name, func(t *testing.T) {
			once.Store(false)
			o, m := newOrigin(t), newMachine(t)
			m.write("pre", "#!/bin/sh\n")
			more := "native\ncommands: {pre: [" + m.path("pre") + "]}"
			m.run(nil, o.publish(m, v1, "1", more)).wants(0)
			url := o.publish(m, v2, "2", more)
			if tc.host != nil {
				tc.host(t, m)
			}
			o.reset()
			if tc.fault != nil {
				o.answer(func(w http.ResponseWriter, r *http.Request) bool {
					if strings.HasSuffix(r.URL.Path, ".yml") {
						return false
					}
					r.Header.Set("Test-Dir", o.dir)
					return tc.fault(w, r)
				})
			}
			d := m.run(nil, url).wants(0, tc.log)
			archive, index := o.size("2")
			if got := o.bytes.Load(); got > archive+index+tc.within {
				t.Errorf("%d bytes fetched, of an archive of %d and an index of %d: %q\n%s", got, archive, index, o.asked,
					d.stderr.String())
			}
			equal(t, m.dest+"/.", v2+"/.")
		})
	}
}

// bent answers with other bytes.
type bent struct{ http.ResponseWriter }

func (b *bent) Write(p []byte) (int, error) {
	q := bytes.Clone(p)
	q[len(q)/2] ^= 1
	return b.ResponseWriter.Write(q)
}

// changeInPre has the pre command change dest.
func changeInPre(m *machine) {
	m.write("pre", "#!/bin/sh\ntouch "+m.dest+"/d2/f2; rm "+m.dest+"/large; echo x > "+m.dest+"/d3/f3\n")
}

// forgetArchives removes those that are kept, and leaves their indexes.
func forgetArchives(t *testing.T, m *machine) {
	t.Helper()
	for _, pattern := range []string{"state/archives/sha256-*[0-9a-f]", "state/cache/*/archive"} {
		kept, err := filepath.Glob(m.path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range kept {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
