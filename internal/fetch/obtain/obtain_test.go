package obtain_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/archive/pack"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/obtain"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/testparts"
	"stretcher/internal/text/progress"
)

func TestMain(m *testing.M) { testparts.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// release is a packed archive with its index.
type release struct{ archive, index []byte }

// releases are two versions of a tree, one of whose files differs.
func releases(t *testing.T) (list [2]release) {
	t.Helper()
	dir, random := t.TempDir(), rand.NewChaCha8([32]byte{1})
	for i := range list {
		for _, name := range []string{"a", "b", "c", "d"} {
			if i > 0 && name != "c" {
				continue
			}
			content := make([]byte, 200_000)
			_, _ = random.Read(content)
			must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
		root, err := os.OpenRoot(dir)
		must(t, err)
		var b bytes.Buffer
		res, err := pack.Write(t.Context(), root, &b, pack.Options{})
		must(t, err)
		must(t, root.Close())
		list[i] = release{b.Bytes(), res.Index.Encode()}
	}
	return list
}

// site is a server of files that counts what it has sent.
type site struct {
	mu    sync.Mutex
	files map[string][]byte
	asked []string
	sent  int
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	data, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	count := &counter{ResponseWriter: w}
	http.ServeContent(count, r, "", time.Time{}, bytes.NewReader(data))
	s.sent += count.n
}

type counter struct {
	http.ResponseWriter
	n int
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.ResponseWriter.Write(b)
}

// took is what has been asked for since it was asked last.
func (s *site) took() (asked string, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, sent = strings.Join(s.asked, " "), s.sent
	s.asked, s.sent = nil, 0
	return asked, sent
}

// bench are ways, a server, and what the ways have said and made.
type bench struct {
	*testing.T
	obtain.Ways
	site
	url   string
	said  bytes.Buffer
	made  map[string]int // places by their names
	tmp   string
	reads [2]release
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, made: map[string]int{}, tmp: t.TempDir(), reads: releases(t)}
	b.files = map[string][]byte{
		"/1": b.reads[0].archive, "/1.idx": b.reads[0].index, "/2": b.reads[1].archive, "/2.idx": b.reads[1].index,
	}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL
	set := store.NewSet(store.Options{}, all.List())
	t.Cleanup(set.Close)
	log := slog.New(slog.NewTextHandler(&b.said, nil))
	c, err := cache.Open(filepath.Join(b.tmp, "cache"))
	must(t, err)
	pool, err := cache.OpenPool(filepath.Join(b.tmp, "pool"), 10<<20)
	must(t, err)
	c.Use(pool)
	t.Cleanup(func() { _ = c.Close() })
	screen := progress.New(io.Discard, progress.Terminal{})
	b.Ways = obtain.Ways{Cache: c, Log: log, Screen: screen, Fetcher: &fetch.Fetcher{
		Store: set, Log: log, Screen: screen, Transfer: transfer.Options{Wait: time.Millisecond},
	}}
	return b
}

func (b *bench) place(name string) func(int64) (*os.File, error) {
	return func(int64) (*os.File, error) {
		b.made[name]++
		return os.CreateTemp(b.tmp, name)
	}
}

// wants is a version as a run wants it that has deployed another one: 0 = none.
func (b *bench) wants(version, last int, indexed bool) obtain.Wanted {
	digest := func(data []byte) checksum.Checksum {
		sum := sha256.Sum256(data)
		return checksum.Checksum{Algorithm: "sha256", Digest: sum[:]}
	}
	r := b.reads[version-1]
	w := obtain.Wanted{
		Src: []string{b.url + "/" + string(rune('0'+version))}, Checksum: digest(r.archive), Connections: 1, Pools: true,
		Places: obtain.Places{Staying: b.place("staying"), Composing: b.place("composing"), Passing: b.place("passing")},
	}
	w.Tree = func() (delta.Live, error) { return nil, errors.New("nothing is deployed") }
	if indexed {
		w.Index = digest(r.index)
	}
	if last > 0 {
		w.Last = fetch.KeyOf(nil, digest(b.reads[last-1].archive))
	}
	return w
}

// holds wants an archive to be a version, however it came.
func (b *bench) holds(a obtain.Archive, version int) {
	b.Helper()
	defer a.Close()
	if a.File == nil {
		b.Fatalf("there is no file: %+v", a)
	}
	got, err := io.ReadAll(io.NewSectionReader(a.File, 0, 1<<20))
	if err != nil || !bytes.Equal(got, b.reads[version-1].archive) {
		b.Errorf("it is not version %d: %d bytes, %v", version, len(got), err)
	}
}

// TestWhole: an archive without an index is fetched from the first mirror that has it, to
// where it stays; then it is here, and nobody is asked.
func TestWhole(t *testing.T) {
	b := newBench(t)
	w := b.wants(1, 0, false)
	if a, err := b.Here(t.Context(), w); err != nil || a.File != nil || a.Input != nil {
		t.Fatalf("before it came: %+v, %v", a, err)
	}
	w.Src = []string{b.url + "/gone", w.Src[0]}
	a, err := b.Archive(t.Context(), w)
	must(t, err)
	if a.Source != w.Src[1] || b.made["staying"] == 0 || b.made["passing"]+b.made["composing"] > 0 {
		t.Errorf("from %q, made %v", a.Source, b.made)
	}
	b.holds(a, 1)
	if asked, _ := b.took(); asked != "/gone /1" {
		t.Errorf("asked for %s", asked)
	}
	a, err = b.Archive(t.Context(), w)
	must(t, err)
	if asked, _ := b.took(); asked != "" || a.Source != w.Src[0] || a.IsCurrent() {
		t.Errorf("the second time: asked for %q, from %q", asked, a.Source)
	}
	b.holds(a, 1)
	w.Limit = int64(len(b.reads[0].archive)) - 1
	if a, err := b.Here(t.Context(), w); a.File != nil || err != nil {
		t.Errorf("of one that is too large: %+v, %v", a, err)
	}
}

// TestPassing: who looks has the archive for the run alone, and leaves it to nobody where
// that is not wanted.
func TestPassing(t *testing.T) {
	b := newBench(t)
	w := b.wants(1, 0, true)
	w.Pools = false
	for range 2 {
		a, err := b.Passing(t.Context(), w)
		must(t, err)
		b.holds(a, 1)
		if asked, _ := b.took(); asked != "/1" || b.made["staying"] > 0 {
			t.Errorf("asked for %q, made %v", asked, b.made)
		}
	}
}

// TestParts: what the archive before does not have comes by the index, and what is read
// is the same as all of it would be.
func TestParts(t *testing.T) {
	b := newBench(t)
	must(t, b.Pooled(t.Context(), b.wants(1, 0, true)))
	b.took()
	w := b.wants(2, 1, true)
	w.Complete = true
	a, err := b.Archive(t.Context(), w)
	must(t, err)
	asked, sent := b.took()
	if a.Parts == nil || sent == 0 || sent > len(b.reads[1].archive)/2 || !strings.HasPrefix(asked, "/2.idx /2") {
		t.Errorf("%d of %d bytes, asked for %s, parts %v", sent, len(b.reads[1].archive), asked, a.Parts != nil)
	}
	read := 0
	must(t, b.Read(t.Context(), w, &a, func(in archive.Input) error {
		if read++; in != a.Input {
			t.Error("another archive is read")
		}
		return nil
	}))
	kept, err := a.Kept()
	if err != nil || kept == nil || read != 1 {
		t.Errorf("kept %v, %v; read %d times", kept, err, read)
	}
	a.Close()
	if a, err = b.Here(t.Context(), w); err != nil || a.File == nil {
		t.Fatalf("it is not here: %v", err)
	}
	b.holds(a, 2)
}

// TestIndexGone: without its index all of the archive comes, and that is said.
func TestIndexGone(t *testing.T) {
	b := newBench(t)
	must(t, b.Pooled(t.Context(), b.wants(1, 0, true)))
	for _, data := range [][]byte{nil, []byte("no index")} {
		if b.files["/2.idx"] = data; data == nil {
			delete(b.files, "/2.idx")
		}
		b.took()
		w := b.wants(2, 1, true)
		w.Pools = false
		a, err := b.Archive(t.Context(), w)
		must(t, err)
		if _, sent := b.took(); a.Parts != nil || sent < len(b.reads[1].archive) {
			t.Errorf("%d bytes came, parts %v", sent, a.Parts != nil)
		}
		b.holds(a, 2)
		said := b.said.String()
		if !strings.Contains(said, "fetching the whole archive: ") || !strings.Contains(said, "the index can't be used: ") {
			t.Errorf("it says %s", said)
		}
		b.said.Reset()
	}
}

// TestForesee: who compares reads the index alone, and is told what would come; without
// one, all of it.
func TestForesee(t *testing.T) {
	b := newBench(t)
	must(t, b.Pooled(t.Context(), b.wants(1, 0, true)))
	for _, indexed := range []bool{true, false} {
		b.took()
		var told []*delta.Foreseen
		read := 0
		w := b.wants(2, 1, indexed)
		w.Pools = false
		a, err := b.Foresee(t.Context(), w, func(f *delta.Foreseen) { told = append(told, f) }, func(a obtain.Archive) error {
			if read++; a.Input == nil || a.Source != w.Src[0] {
				t.Errorf("read is %+v", a)
			}
			return nil
		})
		must(t, err)
		a.Close()
		asked, sent := b.took()
		if whole := !strings.HasPrefix(asked, "/2.idx"); whole == indexed || read != 1 || len(told) > 0 != indexed ||
			!indexed && sent < len(b.reads[1].archive) {
			t.Errorf("indexed %v: asked for %q, %d bytes, read %d times, told %d times", indexed, asked, sent, read, len(told))
		}
		if indexed && (told[0].Bytes == 0 || int(told[0].Bytes) > len(b.reads[1].archive)/2) {
			t.Errorf("foreseen are %d bytes", told[0].Bytes)
		}
	}
	delete(b.files, "/2")
	_, err := b.Foresee(t.Context(), b.wants(2, 0, false), nil, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "fetch: ") || strings.Count(err.Error(), "fetch: ") != 1 {
		t.Errorf("where there is none: %v", err)
	}
}

// TestFromKept: what is kept of a run is taken where it is whole, and is not too large.
func TestFromKept(t *testing.T) {
	b := newBench(t)
	whole := func(data []byte) *cache.Archive {
		f, err := os.CreateTemp(b.tmp, "kept")
		must(t, err)
		_, err = f.Write(data)
		must(t, err)
		return cache.Whole(f)
	}
	w := b.wants(1, 0, false)
	a, err := b.FromKept(t.Context(), w, whole(b.reads[0].archive), "what is kept")
	must(t, err)
	if asked, _ := b.took(); asked != "" || a.Source != "what is kept" {
		t.Errorf("asked for %q, from %q", asked, a.Source)
	}
	b.holds(a, 1)
	a, err = b.FromKept(t.Context(), w, whole([]byte("damaged")), "what is kept")
	must(t, err)
	if asked, _ := b.took(); asked != "/1" || !strings.Contains(b.said.String(), "; fetching it again") {
		t.Errorf("asked for %q, said %s", asked, b.said.String())
	}
	b.holds(a, 1)
	w.Limit = int64(len(b.reads[0].archive)) - 1
	_, err = b.FromKept(t.Context(), w, whole(b.reads[0].archive), "what is kept")
	if asked, _ := b.took(); asked != "" || !errors.Is(err, transfer.ErrTooLarge) {
		t.Errorf("asked for %q, %v", asked, err)
	}
}

// TestInterrupted: who is interrupted is told why, and nothing is fetched in other ways.
func TestInterrupted(t *testing.T) {
	b := newBench(t)
	must(t, b.Pooled(t.Context(), b.wants(1, 0, true)))
	b.took()
	why := errors.New("a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, indexed := range []bool{true, false} {
		a, err := b.Archive(ctx, b.wants(2, 1, indexed))
		if asked, _ := b.took(); !errors.Is(err, why) || a.File != nil || asked != "" {
			t.Errorf("indexed %v: %v, asked for %q", indexed, err, asked)
		}
	}
}
