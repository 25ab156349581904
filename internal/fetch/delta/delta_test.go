package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
)

// release is a tree, packed.
type release struct {
	dir, archive string
	index        *index.Index
}

func newRelease(t *testing.T, files map[string]string, c pack.Compression) *release {
	t.Helper()
	r := &release{dir: t.TempDir(), archive: filepath.Join(t.TempDir(), "a.tar.x")}
	for path, text := range files {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, path)), 0o755))
		ok(t, os.WriteFile(filepath.Join(r.dir, path), []byte(text), 0o644))
	}
	f, err := os.Create(r.archive)
	ok(t, err)
	defer f.Close()
	when := time.Unix(1_700_000_000, 0)
	res, err := pack.Write(t.Context(), rootOf(t, r.dir), f, pack.Options{Compression: c, Time: &when})
	ok(t, err)
	r.index = res.Index
	return r
}

func rootOf(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	ok(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// files are those of a release; the one with number changed is another.
func files(changed int) map[string]string {
	all := map[string]string{"large": text(500, 2<<20), "copy": text(3, 30_000)}
	for i := range 40 {
		all[fmt.Sprintf("d%d/f%d", i%5, i)] = text(uint64(i), 30_000)
	}
	if changed >= 0 {
		all[fmt.Sprintf("d%d/f%d", changed%5, changed)] = text(uint64(1000+changed), 30_000)
	}
	return all
}

// serverFor serves a directory over HTTP, and counts bytes.
func serverFor(t *testing.T, dir string, count *atomic.Int64) (*Server, string) {
	t.Helper()
	fileServer := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fileServer.ServeHTTP(&counted{w, count}, r)
	}))
	t.Cleanup(srv.Close)
	return newServer(), srv.URL + "/"
}

func newServer() *Server {
	set := store.NewSet(store.Options{}, stores.List())
	return &Server{
		Opener:   func(string) transfer.Opener { return set },
		Transfer: transfer.Options{Retries: 1, Wait: time.Millisecond},
		Lines:    8, Log: slog.New(slog.DiscardHandler),
	}
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func (r *release) wish(t *testing.T, mirror string) Wish {
	t.Helper()
	return Wish{Mirrors: []string{mirror}, Index: r.index,
		Unnamed: func(int64) (*os.File, error) { return os.CreateTemp(t.TempDir(), "parts") }}
}

// stream is what the archive is, decompressed.
func (r *release) stream(t *testing.T, in archive.Input) string {
	t.Helper()
	s, err := in.Open()
	ok(t, err)
	defer s.Close()
	b, err := io.ReadAll(s)
	ok(t, err)
	return string(b)
}

func plain(t *testing.T, r *release) string {
	t.Helper()
	f, err := os.Open(r.archive)
	ok(t, err)
	t.Cleanup(func() { _ = f.Close() })
	spots := map[int]spot{}
	for i := range r.index.Members {
		spots[i] = spot{file: f, at: r.index.Members[i].Offset}
	}
	m := newMembers(r.index, spots, nil, nil)
	defer m.close()
	var b bytes.Buffer
	for i := range r.index.Members {
		p, err := m.content(i)
		ok(t, err)
		b.Write(p)
	}
	return b.String()
}

// TestBring: over HTTP and from files, in both compressions, the stream is that
// of the archive, and little is fetched; the archive itself comes together again.
func TestBring(t *testing.T) {
	for name, c := range map[string]pack.Compression{"gzip": pack.Gzip, "zstd": pack.Zstd} {
		before, after := newRelease(t, files(-1), c), newRelease(t, files(7), c)
		var n atomic.Int64
		web, url := serverFor(t, filepath.Dir(after.archive), &n)
		for kind, from := range map[string]string{"http": url + "a.tar.x", "file": "file://" + after.archive} {
			t.Run(name+" "+kind, func(t *testing.T) {
				n.Store(0)
				w := after.wish(t, from)
				w.Live = rootOf(t, before.dir)
				kept, err := os.Open(before.archive)
				ok(t, err)
				w.Kept, w.Complete, w.Holds = &Kept{kept, before.index}, true, []io.Closer{kept}
				made := false
				w.Begun = func(b *Rebuilt) {
					b.Compose(t.Context(), Whereto{
						Create: func(int64) (*os.File, error) { return os.CreateTemp(t.TempDir(), "whole") },
						Sum:    sha256.New(), Want: after.index.Archive[:], Done: func(*os.File) { made = true },
					})
				}
				b, _, err := Bring(t.Context(), web, w)
				ok(t, err)
				defer b.Close()
				if b.Bytes == 0 || b.Bytes > after.index.Size/5 || kind == "http" && n.Load() != b.Bytes {
					t.Errorf("%d bytes fetched, %d said, of %d", n.Load(), b.Bytes, after.index.Size)
				}
				want := plain(t, after)
				for range 2 { // it may be read again
					if after.stream(t, b) != want {
						t.Error("another stream")
					}
				}
				f, err := b.Composed()
				ok(t, err)
				got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
				ok(t, err)
				if whole, err := os.ReadFile(after.archive); err != nil || !made || !bytes.Equal(got, whole) {
					t.Error("another archive", err)
				}
			})
		}
	}
}

// TestBringIsDear: what is missing for the most part is not fetched in parts.
func TestBringIsDear(t *testing.T) {
	r := newRelease(t, files(-1), pack.Gzip)
	var n atomic.Int64
	web, url := serverFor(t, filepath.Dir(r.archive), &n)
	_, _, err := Bring(t.Context(), web, r.wish(t, url+"a.tar.x"))
	if !errors.Is(err, ErrDear) || n.Load() != 0 {
		t.Errorf("%d bytes fetched, %v", n.Load(), err)
	}
}

// TestNothingIsHere: an archive that holds contents many times over is fetched as
// a whole where nothing of it is here, and in parts where something is.
func TestNothingIsHere(t *testing.T) {
	all := map[string]string{"other": text(9, 90_000)}
	for i := range 20 {
		all[fmt.Sprintf("copy%d", i)] = text(1, 90_000)
	}
	r := newRelease(t, all, pack.Gzip)
	for name, tc := range map[string]struct {
		live map[string]string
		dear bool
	}{
		"no tree":           {nil, true},
		"an empty tree":     {map[string]string{}, true},
		"a tree of others":  {map[string]string{"copy1": text(2, 90_000)}, true},
		"one of the copies": {map[string]string{"copy7": text(1, 90_000)}, false},
		"the other":         {map[string]string{"other": text(9, 90_000)}, false},
	} {
		var n atomic.Int64
		web, url := serverFor(t, filepath.Dir(r.archive), &n)
		w := r.wish(t, url+"a.tar.x")
		if tc.live != nil {
			w.Live = treeOf(t, tc.live)
		}
		b, _, err := Bring(t.Context(), web, w)
		if is := errors.Is(err, ErrDear); is != tc.dear || is && n.Load() != 0 || !is && err != nil {
			t.Errorf("%s: %d bytes fetched, %v", name, n.Load(), err)
		}
		ok(t, b.Close())
	}
}

// TestBringAll: where all of the archive is wanted, it comes by its parts, however
// many of them the host's contents would spare; without an archive before, they
// are more than the whole.
func TestBringAll(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	half := *before.index // of which the host has half
	half.Members = half.Members[:len(half.Members)/2]
	bring := func(kept *index.Index) (*Rebuilt, error) {
		w := after.wish(t, "file://"+after.archive)
		w.Live, w.Before, w.All = rootOf(t, before.dir), before.index, true
		if kept != nil {
			f, err := os.Open(before.archive)
			ok(t, err)
			w.Kept, w.Holds = &Kept{f, kept}, []io.Closer{f}
		}
		b, _, err := Bring(t.Context(), newServer(), w)
		return b, err
	}
	b, err := bring(&half)
	ok(t, err)
	defer b.Close()
	if b.Bytes < after.index.Size/4 || !b.complete {
		t.Errorf("%d of %d bytes fetched, complete: %v", b.Bytes, after.index.Size, b.complete)
	}
	if _, err := bring(nil); !errors.Is(err, ErrDear) {
		t.Errorf("err = %v", err)
	}
}

// TestLies: an index that says of a file what is not in the archive is found out
// when what it speaks of is fetched; it gives no other tree.
func TestLies(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	old := map[string]index.File{}
	for _, f := range before.index.Files {
		old[f.Path] = f
	}
	for name, lie := range map[string]func(x *index.Index){
		"an old digest": func(x *index.Index) { x.Files[at(x, "d2/f7")].Sum = old["d2/f7"].Sum },
		"of another":    func(x *index.Index) { x.Files[at(x, "d2/f7")].Sum = old["d1/f1"].Sum },
		"of nothing":    func(x *index.Index) { x.Files[at(x, "d2/f7")].Sum[0] ^= 1 },
		"another member": func(x *index.Index) {
			x.Members[len(x.Members)/2].Sum[0] ^= 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := index.Decode(after.index.Encode())
			ok(t, err)
			lie(x)
			w := after.wish(t, "file://"+after.archive)
			w.Index, w.Live = x, rootOf(t, before.dir)
			kept, err := os.Open(before.archive)
			ok(t, err)
			w.Kept, w.Complete, w.Holds = &Kept{kept, before.index}, true, []io.Closer{kept}
			b, _, err := Bring(t.Context(), newServer(), w)
			if err != nil {
				return
			}
			defer b.Close()
			in, err := b.Open()
			ok(t, err)
			defer in.Close()
			if _, err = io.ReadAll(in); err == nil || !b.IsLost(err) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func at(x *index.Index, path string) int {
	for i := range x.Files {
		if x.Files[i].Path == path {
			return i
		}
	}
	return -1
}

// TestMeanwhile: a file of the live tree that is changed between is missed.
func TestMeanwhile(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	for name, change := range map[string]func(path string) error{
		"removed": os.Remove,
		"longer":  func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) },
		"as long": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 30_000)), 0o644) },
		"a link":  func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
	} {
		w := after.wish(t, "file://"+after.archive)
		w.Live = rootOf(t, before.dir)
		b, _, err := Bring(t.Context(), newServer(), w)
		ok(t, err)
		path := filepath.Join(before.dir, "d3/f8")
		was, err := os.ReadFile(path)
		ok(t, err)
		ok(t, change(path))
		in, err := b.Open()
		ok(t, err)
		_, err = io.ReadAll(in)
		if err == nil || !b.IsLost(err) {
			t.Errorf("%s: %v", name, err)
		}
		ok(t, errors.Join(in.Close(), b.Close()))
		_ = os.Remove(path)
		ok(t, os.WriteFile(path, was, 0o644))
	}
}

// TestLeft: a file that is as it was left is not read before it is wanted. What is
// in it is found out then.
func TestLeft(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	changed := filepath.Join(before.dir, "d3/f8")
	ok(t, os.WriteFile(changed, []byte(strings.Repeat("x", 30_000)), 0o644))
	for name, c := range map[string]struct {
		left   Left
		before *index.Index
		lost   bool
	}{
		"all are":                         {func(*unix.Stat_t) bool { return true }, before.index, true},
		"none is":                         {func(*unix.Stat_t) bool { return false }, before.index, false},
		"nothing is known":                {nil, before.index, false},
		"what was deployed is not known":  {func(*unix.Stat_t) bool { return true }, nil, false},
		"only those that nobody has seen": {func(st *unix.Stat_t) bool { return st.Size != 30_000 }, before.index, false},
	} {
		w := after.wish(t, "file://"+after.archive)
		w.Live, w.Before, w.Left = rootOf(t, before.dir), c.before, c.left
		b, _, err := Bring(t.Context(), newServer(), w)
		ok(t, err)
		in, err := b.Open()
		ok(t, err)
		if _, err = io.ReadAll(in); (err != nil) != c.lost || c.lost && !b.IsLost(err) {
			t.Errorf("%s: %v", name, err)
		}
		ok(t, errors.Join(in.Close(), b.Close()))
	}
}

// TestComposeOfNothing: who puts the archive together meanwhile ends when its parts
// can't be had.
func TestComposeOfNothing(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	w := after.wish(t, "file://"+before.archive)
	kept, err := os.Open(before.archive)
	ok(t, err)
	w.Live, w.Complete = rootOf(t, before.dir), true
	w.Kept, w.Holds = &Kept{kept, before.index}, []io.Closer{kept}
	var begun *Rebuilt
	w.Begun = func(b *Rebuilt) {
		begun = b
		b.Compose(t.Context(), Whereto{
			Create: func(int64) (*os.File, error) { return os.CreateTemp(t.TempDir(), "whole") },
			Sum:    sha256.New(), Want: after.index.Archive[:], Done: func(*os.File) { t.Error("it is whole") },
		})
	}
	if _, _, err := Bring(t.Context(), newServer(), w); err == nil || begun == nil {
		t.Fatalf("err = %v, begun: %v", err, begun != nil)
	}
	if f, err := begun.Composed(); f != nil || !errors.Is(err, ErrIncomplete) {
		t.Errorf("err = %v", err)
	}
}

// TestEnded: an end of the context is no reason to fetch more.
func TestEnded(t *testing.T) {
	r := newRelease(t, files(-1), pack.Gzip)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	w := r.wish(t, "file://"+r.archive)
	w.Live = rootOf(t, r.dir)
	if _, _, err := Bring(ctx, newServer(), w); !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
}

func TestIndexURL(t *testing.T) {
	for archive, want := range map[string]string{
		"https://h/a.tar.gz":          "https://h/a.tar.gz.idx",
		"https://h/a.tar.gz?sig=x#f":  "https://h/a.tar.gz.idx?sig=x#f",
		"s3://bucket/dir/a%20b.tgz":   "s3://bucket/dir/a%20b.tgz.idx",
		"file:///srv/a.tar":           "file:///srv/a.tar.idx",
		"https://h/":                  "",
		"https://h":                   "",
		"https://h/dir/?name=a.tar":   "",
		"mailto:somebody@example.com": "",
	} {
		if got, err := IndexURL(archive); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", archive, got, err)
		}
	}
}

// TestPlanOf: what lies close together comes by one request, and no more than a
// quarter of what is wanted in vain.
func TestPlanOf(t *testing.T) {
	x := newRelease(t, files(-1), pack.Gzip).index
	n := len(x.Members)
	spans, bytes := planOf(x, []int{0, 2, n - 1}, Link{20 * time.Millisecond, 50_000_000})
	needed := int64(x.Members[0].Length + x.Members[2].Length + x.Members[n-1].Length)
	if len(spans) < 2 || bytes > needed+needed/4+least || bytes < needed {
		t.Errorf("%d bytes in %d spans for %d", bytes, len(spans), needed)
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	if spans, bytes = planOf(x, all, Link{}.orDefault()); bytes != x.Size || len(spans) > int(x.Size/largest)+1 {
		t.Errorf("%d bytes in %d spans for all", bytes, len(spans))
	}
}

// treeOf writes files into a directory, and opens it.
func treeOf(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return rootOf(t, dir)
}
