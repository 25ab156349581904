package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/archive/index"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/yamldoc"
)

func TestMain(m *testing.M) { testparts.Main(m) }

// draft is a manifest of a few keys.
type draft map[string]string

func (d draft) Has(key string) bool        { return d[key] != "" }
func (d draft) Value(key string) string    { return d[key] }
func (d draft) IsManifest(raw []byte) bool { return bytes.Contains(raw, []byte("src:")) }

func (d draft) Renews(old, now []byte) bool {
	return bytes.Equal(old, now)
}
func (d draft) With(entries []yamldoc.Entry, _ string, _ bool) ([]byte, error) {
	if d["bad"] != "" {
		return nil, failure.Malformed("bad")
	}
	return yamldoc.Set(nil, entries)
}

// signer signs by a word.
type signer string

func (s signer) Sign(message io.Reader, comment string, document []byte) ([]byte, error) {
	m, err := io.ReadAll(message)
	return fmt.Appendf(document, "%s %x %s\n", s, sha256.Sum256(m), comment), err
}

func (s signer) HasSigned(message, document []byte) bool {
	return bytes.Contains(document, fmt.Appendf(nil, "%s %x", s, sha256.Sum256(message)))
}

// tree makes a directory with some files.
func tree(t *testing.T, contents ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range contents {
		path := filepath.Join(dir, fmt.Sprintf("file%d", i))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// options publishes a directory at to.
func options(t *testing.T, dir, to string) Options {
	t.Helper()
	set := store.NewSet(store.Options{}, stores.List())
	t.Cleanup(set.Close)
	o := Options{
		To: to, Store: set, Screen: progress.New(io.Discard, progress.Terminal{}), Draft: draft{"dest": "/srv/app"},
		About: About{Name: "app", Version: "1", Now: time.Unix(1, 0)},
		Say:   func(text string) { t.Log(text) },
	}
	if err := o.Source.OpenDir(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Source.Close)
	return o
}

// read reads an object.
func read(t *testing.T, s Store, url string) []byte {
	t.Helper()
	obj, err := s.Open(t.Context(), url, store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Body.Close()
	data, err := io.ReadAll(obj.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStores publishes to real servers: what the manifest names is there, and is
// not sent again.
func TestStores(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<10)
	for name, to := range map[string]func(t *testing.T) string{
		"file": func(t *testing.T) string { return "file://" + t.TempDir() + "/a/b/" },
		"http": func(t *testing.T) string {
			return testparts.Nginx(t, t.TempDir(), "dav_methods PUT; create_full_put_path on; client_max_body_size 0;") + "/app/"
		},
		"s3": func(t *testing.T) string {
			srv := testparts.S3(t)
			testparts.Setenv(t, srv.Env())
			srv.Put(t, "bucket", "other", nil)
			return "s3://bucket/app/"
		},
		"gs": func(t *testing.T) string {
			srv := testparts.GCS(t)
			testparts.Setenv(t, srv.Env())
			srv.Put(t, "bucket", "other", nil)
			return "gs://bucket/app"
		},
	} {
		t.Run(name, func(t *testing.T) { publishTwice(t, tree(t, "one", large), to(t)) })
	}
}

func publishTwice(t *testing.T, dir, to string) {
	o := options(t, dir, to)
	o.Signer = signer("ci")
	first, err := Publish(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, o.Store, first.Manifest.URL)
	if !bytes.Equal(text, first.Text) || !bytes.Contains(text, []byte("src: "+first.Archive.URL+"\n")) {
		t.Errorf("the manifest is\n%s", text)
	}
	sum := sha256.Sum256(read(t, o.Store, first.Archive.URL))
	x, err := index.Decode(read(t, o.Store, first.Index.URL))
	if err != nil || x.Archive != sum || !bytes.Contains(text, fmt.Appendf(nil, "checksum: %x\n", sum)) {
		t.Errorf("index of %x, %v: the archive has %x", x.Archive, err, sum)
	}
	if !signer("ci").HasSigned(text, read(t, o.Store, first.Manifest.URL+".minisig")) {
		t.Error("it is not signed")
	}
	second, err := Publish(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range []Object{second.Manifest, second.Archive, *second.Index, *second.Signature} {
		if obj.Sent {
			t.Errorf("%s was sent again", obj.URL)
		}
	}
	other := options(t, tree(t, "other"), to)
	if _, err := Publish(t.Context(), other); !errors.Is(err, failure.ErrRefused) {
		t.Errorf("another manifest of that name: %v", err)
	}
	if !bytes.Equal(read(t, o.Store, first.Manifest.URL), text) {
		t.Error("the manifest has changed")
	}
	other.Replace = true
	if _, err := Publish(t.Context(), other); err != nil || bytes.Equal(read(t, o.Store, first.Manifest.URL), text) {
		t.Errorf("not replaced: %v", err)
	}
	read(t, o.Store, first.Archive.URL) // hosts may be fetching it
}

// stopping is a store that something happens to at its n-th call.
type stopping struct {
	Store
	mu    sync.Mutex
	calls []string
	at    int
	then  func() error
}

func (s *stopping) call(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls = append(s.calls, what); len(s.calls) == s.at {
		return s.then()
	}
	return nil
}

func (s *stopping) Stat(ctx context.Context, url string) (store.Info, error) {
	if err := s.call("stat"); err != nil {
		return store.Info{}, err
	}
	return s.Store.Stat(ctx, url)
}

func (s *stopping) Put(ctx context.Context, url string, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if err := s.call("put " + filepath.Ext(url)); err != nil {
		return err
	}
	return s.Store.Put(ctx, url, body, size, opts)
}

// TestInterrupted stops at each request: what is there is whole, a manifest names
// only what is there, and the next call completes it.
func TestInterrupted(t *testing.T) {
	dir := tree(t, "one", "two")
	for at := 1; ; at++ {
		target := t.TempDir()
		o := options(t, dir, "file://"+target)
		o.Signer = signer("ci")
		s := &stopping{Store: o.Store, at: at}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		s.then = func() error { cancel(failure.Signal{Signal: syscall.SIGTERM}); return nil }
		o.Store = s
		_, err := Publish(ctx, o)
		if len(s.calls) < at {
			want := []string{"put .gz", "put .idx", "put .minisig", "put .yml"}
			if !slices.Equal(puts(s.calls), want) || err != nil {
				t.Errorf("sent %q, %v", s.calls, err)
			}
			return
		}
		if !errors.As(err, new(failure.Signal)) {
			t.Errorf("stopped at %d, %q: %v", at, s.calls, err)
		}
		checkWhole(t, target)
		o.Store = s.Store
		if _, err := Publish(t.Context(), o); err != nil {
			t.Errorf("after a stop at %d: %v", at, err)
		}
		if names := checkWhole(t, target); len(names) != 4 {
			t.Errorf("there is %q", names)
		}
	}
}

func puts(calls []string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return !strings.HasPrefix(c, "put") })
}

// checkWhole tells whether what a manifest names is there, and nothing half.
func checkWhole(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			t.Errorf("left behind: %q", name)
		}
		if filepath.Ext(name) != ".yml" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "src: ")
		line, _, _ := strings.Cut(rest, "\n")
		u, err := url.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(u.Path)
		if err != nil || !strings.Contains(string(text), fmt.Sprintf("%x", sha256.Sum256(data))) {
			t.Errorf("the manifest names %q: %v", line, err)
		}
	}
	return names
}

// TestAtOnce: of calls with other content and one name, one wins, and its manifest
// names its own archive; those with the same content all succeed.
func TestAtOnce(t *testing.T) {
	target := t.TempDir()
	dirs := []string{tree(t, "one"), tree(t, "two"), tree(t, "two"), tree(t, "three")}
	results := make([]error, 2*len(dirs))
	var all sync.WaitGroup
	for i := range results {
		o := options(t, dirs[i%len(dirs)], "file://"+target)
		all.Go(func() { _, results[i] = Publish(t.Context(), o) })
	}
	all.Wait()
	won := map[int]bool{}
	for i, err := range results {
		switch {
		case err == nil:
			won[[]int{1, 2, 2, 3}[i%len(dirs)]] = true
		case !errors.Is(err, failure.ErrRefused):
			t.Error(err)
		}
	}
	if len(won) != 1 {
		t.Errorf("manifests of %v", won)
	}
	checkWhole(t, target)
}

// TestOvertaken: somebody else's object comes between the look and the sending.
func TestOvertaken(t *testing.T) {
	for _, tc := range []struct {
		text string
		ok   bool
	}{{"", true}, {"other", false}} {
		target := t.TempDir()
		o := options(t, tree(t, "one"), "file://"+target)
		want, err := Publish(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(target, "app-1.yml")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		text := want.Text
		if tc.text != "" {
			text = []byte(tc.text)
		}
		s := &stopping{Store: o.Store, at: 5} // looks at manifest, archive, index and manifest
		s.then = func() error { return os.WriteFile(path, text, 0o644) }
		o.Store = s
		_, err = Publish(t.Context(), o)
		if got, rerr := os.ReadFile(path); rerr != nil || !bytes.Equal(got, text) || len(s.calls) < 5 {
			t.Errorf("there is %q, %v, after %q", got, rerr, s.calls)
		}
		if tc.ok && err != nil || !tc.ok && !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%q: %v", tc.text, err)
		}
	}
}

// TestNothingSent: what can be refused before is refused before.
func TestNothingSent(t *testing.T) {
	target := t.TempDir()
	o := options(t, tree(t, "one"), "file://"+target)
	o.Draft = draft{"bad": "yes"}
	if _, err := Publish(t.Context(), o); !errors.Is(err, failure.ErrMalformed) {
		t.Errorf("a bad manifest: %v", err)
	}
	o = options(t, tree(t, "one"), "file://"+target)
	o.DryRun = true
	res, err := Publish(t.Context(), o)
	if err != nil || res.Manifest.Sent || res.Archive.Sent || res.Index.Sent {
		t.Errorf("%+v, %v", res, err)
	}
	if names := checkWhole(t, target); len(names) > 0 {
		t.Errorf("there is %q", names)
	}
}

// mute is a server that knows no HEAD.
type mute struct{ Store }

func (m mute) Stat(context.Context, string) (store.Info, error) {
	return store.Info{}, &store.Error{Op: "HEAD", Status: 405, Err: errors.New("405 Method Not Allowed")}
}

// TestMute: what a server does not tell is read.
func TestMute(t *testing.T) {
	o := options(t, tree(t, "one"), "file://"+t.TempDir())
	o.Store = mute{o.Store}
	for i := range 2 {
		res, err := Publish(t.Context(), o)
		if err != nil || res.Archive.Sent != (i == 0) || res.Manifest.Sent != (i == 0) {
			t.Errorf("call %d: %+v, %v", i, res, err)
		}
	}
}

// TestLonger: what begins as the object should, and goes on, is another one.
func TestLonger(t *testing.T) {
	o := options(t, tree(t, "one"), "file://"+t.TempDir())
	res, err := Publish(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range []Object{res.Archive, *res.Index} {
		f, err := os.OpenFile(strings.TrimPrefix(obj.URL, "file://"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	o.Store = mute{o.Store}
	if res, err = Publish(t.Context(), o); err != nil || !res.Archive.Sent || !res.Index.Sent || res.Manifest.Sent {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestSignedMeanwhile: a manifest whose signature somebody else has replaced is not
// said to be good.
func TestSignedMeanwhile(t *testing.T) {
	target := t.TempDir()
	o := options(t, tree(t, "one"), "file://"+target)
	o.Signer, o.Replace = signer("ci"), true
	s := &stopping{Store: o.Store, at: 11} // the manifest is sent
	s.then = func() error {
		return os.WriteFile(filepath.Join(target, "app-1.yml.minisig"), []byte("other"), 0o644)
	}
	o.Store = s
	if _, err := Publish(t.Context(), o); !errors.Is(err, failure.ErrRefused) || s.calls[10] != "put .yml" {
		t.Errorf("%v, after %q", err, s.calls)
	}
}

// TestDescribe: how many entries there are is said in good English.
func TestDescribe(t *testing.T) {
	for n, want := range map[int64]string{1: "1 entry, 6 B: archive of 9 B", 2: "2 entries, 6 B: archive of 9 B",
		0: "archive of 9 B"} {
		said := ""
		r := &run{Options: Options{Say: func(s string) { said = s }}}
		r.describe(&product{size: 9, entries: n, bytes: 6})
		if said != want {
			t.Errorf("%d entries: %q, want %q", n, said, want)
		}
	}
}
