package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"stretcher/internal/disk"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newStore opens a new cache that must not warn.
func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state", "cache"))
	must(t, err)
	s.Warn = func(err error) { t.Errorf("warning: %v", err) }
	return s
}

// file is an open file with a name elsewhere.
func file(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "verified")
	must(t, os.WriteFile(name, []byte(content), 0o640))
	f, err := os.Open(name)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// unnamed is a file as a run has it before it is kept, read to its end.
func unnamed(t *testing.T, s *Store, content string) *os.File {
	t.Helper()
	f, err := disk.Unnamed(s.root)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.WriteString(content)
	must(t, err)
	return f
}

// put keeps a run on dest, with an archive of content if that isn't "".
func put(t *testing.T, s *Store, run, dest, checksum, content string) {
	t.Helper()
	var archive *os.File
	if content != "" {
		archive = unnamed(t, s, content)
		defer archive.Close()
	}
	e := Entry{Run: run, Dest: dest, Checksum: checksum}
	must(t, s.Put(t.Context(), e, []byte("manifest of "+run), Whole(archive)))
}

// text is what the archive of a run holds, "" when it has none.
func text[F interface {
	comparable
	io.ReaderAt
	io.Closer
}](t *testing.T, f F, ok bool) string {
	t.Helper()
	if !ok {
		if none := *new(F); f != none {
			t.Errorf("not found, but open: %v", f)
		}
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	must(t, err)
	return string(b)
}

// isOf fails unless the file is the archive in the run's entry.
func isOf(t *testing.T, s *Store, run string, f *Archive, ok bool) {
	t.Helper()
	if run == "" {
		if ok || f != nil {
			t.Errorf("found %v, %v; want none", f, ok)
		}
		return
	}
	if !ok {
		t.Errorf("found none, want that of %q", run)
		return
	}
	defer f.Close()
	got, err := f.base.Stat()
	must(t, err)
	want, err := os.Stat(filepath.Join(s.dir, run, archiveName))
	if err != nil || !os.SameFile(got, want) {
		t.Errorf("found another than that of %q, %v", run, err)
	}
}

// names are all files of the cache, sorted.
func names(t *testing.T, s *Store) (all []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(s.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, name)
		}
		return err
	}))
	return all
}

// listed tells the entries of dest: run, "+" when its archive is there.
func listed(t *testing.T, s *Store, dest string) string {
	t.Helper()
	all, err := s.List(dest)
	must(t, err)
	var words []string
	for _, e := range all {
		word := e.Run
		if e.HasArchive {
			word += "+"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestEntryComesBack(t *testing.T) {
	s := newStore(t)
	want := Entry{
		Run: "0193-a_B", Seq: 99, Origin: 98, Dest: "/srv/app", Strategy: "rsync",
		ManifestURL: "https://u:p@host/a?sig=1", Base: "s3://b/", Name: "app", Version: "1",
		Signature: []byte("untrusted comment: \xff\r\n"), Checksum: "sha256:00", Fingerprint: "fp",
		Finished: time.UnixMicro(1e15).UTC(), HasArchive: true, Size: 7,
	}
	for i, v := 0, reflect.ValueOf(want); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	manifest := []byte("src: \x00\xff {{ env }}\r\n")
	archive := unnamed(t, s, "0123456789")
	must(t, s.Put(t.Context(), want, manifest, Whole(archive)))
	want.Seq, want.Size = 1, 10
	got, err := s.Get(want.Run)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if text, err := s.Manifest(want.Run); err != nil || !bytes.Equal(text, manifest) {
		t.Errorf("manifest %q, %v", text, err)
	}
	f, ok := s.Archive(want.Run)
	if got := text(t, f, ok); got != "0123456789" {
		t.Errorf("archive: %q", got)
	}
	isOf(t, s, want.Run, Whole(archive), true) // it was linked, not copied
	for name, want := range map[string]fs.FileMode{"": 0o700, "meta.json": 0o600, "manifest": 0o600, "archive": 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, got.Run, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	put(t, s, "b", "/srv/app", "", "")
	if e, err := s.Get("b"); err != nil || e.Seq != 2 || e.HasArchive || e.Signature != nil ||
		time.Since(e.Finished) > time.Hour || e.Finished.IsZero() {
		t.Errorf("entry without an archive: %+v, %v", e, err)
	}
	f, ok = s.Archive("b")
	isOf(t, s, "", f, ok)
}

// TestArchiveIsCopied: a file that has a name elsewhere may be changed by who
// has that.
func TestArchiveIsCopied(t *testing.T) {
	s := newStore(t)
	archive := file(t, "0123456789")
	_, err := archive.Seek(5, io.SeekStart)
	must(t, err)
	must(t, s.Put(t.Context(), Entry{Run: "a", Dest: "/d"}, nil, Whole(archive)))
	f, ok := s.Archive("a")
	if got := text(t, f, ok); got != "0123456789" {
		t.Errorf("archive: %q", got)
	}
	kept, err := os.Stat(filepath.Join(s.dir, "a", archiveName))
	must(t, err)
	if info, err := archive.Stat(); err != nil || os.SameFile(info, kept) || kept.Mode() != 0o600 {
		t.Errorf("it is %v, %v", kept.Mode(), err)
	}
}

// The order is that of Put, whatever run ids and clocks say.
func TestListAndFind(t *testing.T) {
	s := newStore(t)
	put(t, s, "m", "/a", "sum-1", "one")
	put(t, s, "z", "/b", "sum-1", "one")
	put(t, s, "c", "/a", "sum-2", "two")
	put(t, s, "a", "/a", "", "")
	for dest, want := range map[string]string{"/a": "a c+ m+", "/b": "z+", "/none": "", "": "a c+ z+ m+"} {
		if got := listed(t, s, dest); got != want {
			t.Errorf("List(%q) = %q, want %q", dest, got, want)
		}
	}
	for checksum, want := range map[string]string{"sum-1": "z", "sum-2": "c", "sum-3": "", "": ""} {
		f, ok := s.Find(checksum)
		isOf(t, s, want, f, ok)
	}
	must(t, os.Truncate(filepath.Join(s.dir, "z", "archive"), 2))
	f, ok := s.Find("sum-1")
	isOf(t, s, "m", f, ok) // the other has lost its end
}

func TestNamesThatAreNoRuns(t *testing.T) {
	s := newStore(t)
	put(t, s, "run", "/a", "", "")
	for _, run := range []string{"", ".", "..", "../cache/run", "run/", "run/manifest", ".hidden.1", "a\x00",
		strings.Repeat("a", 101)} {
		if _, err := s.Get(run); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q): %v", run, err)
		}
		if _, err := s.Manifest(run); !errors.Is(err, ErrNotFound) {
			t.Errorf("Manifest(%q): %v", run, err)
		}
		if err := s.Put(t.Context(), Entry{Run: run}, nil, nil); err == nil {
			t.Errorf("Put(%q) did it", run)
		}
	}
	if got := names(t, s); len(got) != 2 {
		t.Errorf("files: %q", got)
	}
}

func TestPutFails(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx      context.Context
		run      string
		manifest []byte
		archive  func(t *testing.T) *os.File
		is       error
	}{
		"there already":     {t.Context(), "there", nil, nil, fs.ErrExist},
		"cancelled":         {ended, "new", nil, nil, context.Canceled},
		"manifest too long": {t.Context(), "new", make([]byte, maxManifest+1), nil, nil},
		"archive closed": {t.Context(), "new", nil, func(t *testing.T) *os.File {
			f := file(t, "x")
			must(t, f.Close())
			return f
		}, os.ErrClosed},
		"archive a directory": {t.Context(), "new", nil, func(t *testing.T) *os.File {
			f, err := os.Open(t.TempDir())
			must(t, err)
			t.Cleanup(func() { _ = f.Close() })
			return f
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			put(t, s, "there", "/a", "sum", "old")
			archive := unnamed(t, s, "new")
			if c.archive != nil {
				archive = c.archive(t)
			}
			err := s.Put(c.ctx, Entry{Run: c.run, Dest: "/a"}, c.manifest, Whole(archive))
			if err == nil || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), "\n") {
				t.Errorf("err = %v, want %v", err, c.is)
			}
			if got := fmt.Sprint(names(t, s)); got != "[there/archive there/manifest there/meta.json]" {
				t.Errorf("left %s", got)
			}
			if left, _ := os.ReadDir(s.dir); len(left) != 1 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestUnreadableEntries(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		warns bool
	}{
		"no meta":        {func(dir string) error { return os.Remove(dir + "/meta.json") }, true},
		"empty meta":     {func(dir string) error { return os.Truncate(dir+"/meta.json", 0) }, true},
		"half a meta":    {func(dir string) error { return os.Truncate(dir+"/meta.json", 40) }, true},
		"another's meta": {func(dir string) error { return copyFile(dir+"/../good/meta.json", dir+"/meta.json") }, true},
		"long meta":      {func(dir string) error { return os.Truncate(dir+"/meta.json", maxMeta+1) }, true},
		"meta a symlink": {func(dir string) error { return relink("../good/meta.json", dir+"/meta.json") }, true},
		"a file": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir),
				os.WriteFile(dir, nil, 0o600))
		}, false},
		"a symlink":   {func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Symlink("good", dir)) }, false},
		"gone":        {os.RemoveAll, false},
		"not a run's": {func(dir string) error { return os.Rename(dir, dir+".old") }, false},
		"without a count": {func(dir string) error {
			return os.WriteFile(dir+"/meta.json",
				[]byte(`{"run":"bad"}`), 0o600)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			put(t, s, "good", "/a", "sum", "one")
			put(t, s, "bad", "/a", "sum", "two")
			must(t, c.spoil(filepath.Join(s.dir, "bad")))
			warned := 0
			s.Warn = func(error) { warned++ }
			if got := listed(t, s, "/a"); got != "good+" || (warned > 0) != c.warns {
				t.Errorf("listed %q with %d warnings, want good+ and warnings: %v", got, warned, c.warns)
			}
			if _, err := s.Get("bad"); err == nil || errors.Is(err, ErrNotFound) == c.warns {
				t.Errorf("Get: %v", err)
			}
			f, ok := s.Find("sum")
			isOf(t, s, "good", f, ok)
			// What can't be read stands in nobody's way.
			put(t, s, "next", "/a", "sum", "three")
			must(t, s.Prune("/a", 1, nil))
			if got := listed(t, s, "/a"); got != "next+" {
				t.Errorf("after prune: %q", got)
			}
		})
	}
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, text, 0o600))
}

func relink(to, name string) error { return errors.Join(os.Remove(name), os.Symlink(to, name)) }

func TestManifestGone(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "/a", "", "")
	must(t, os.Remove(filepath.Join(s.dir, "a", "manifest")))
	if _, err := s.Manifest("a"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		t.Errorf("manifest of a damaged entry: %v", err)
	}
}

// A symlink leads out of the entry, to what may be anybody's.
func TestManifestSymlink(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "/a", "", "")
	must(t, relink(file(t, "secret").Name(), filepath.Join(s.dir, "a", "manifest")))
	if text, err := s.Manifest("a"); err == nil || text != nil {
		t.Errorf("manifest %q, %v", text, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", nil, 0o600))
	must(t, os.Mkdir(dir+"/open", 0o700))
	must(t, os.Chmod(dir+"/open", 0o777))
	for _, name := range []string{"file", "file/cache", "open"} {
		if s, err := Open(filepath.Join(dir, name)); err == nil || s != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSweep(t *testing.T) {
	s := newStore(t)
	put(t, s, "kept", "/a", "sum", "one")
	old := time.Now().Add(-time.Hour)
	left, live := filepath.Join(s.dir, temporaryName("left")), filepath.Join(s.dir, temporaryName("live"))
	must(t, os.Mkdir(left, 0o700))
	must(t, os.WriteFile(filepath.Join(left, "archive"), []byte("half"), 0o600))
	must(t, os.Mkdir(live, 0o700))
	held, err := s.place.Sub(filepath.Base(live))
	must(t, err)
	defer held.Close()
	hold, err := disk.Hold(held.Root())
	must(t, err)
	defer hold.Close()
	for _, name := range []string{left, live, filepath.Join(s.dir, "kept")} {
		must(t, os.Chtimes(name, old, old))
	}
	s.Sweep()
	for name, want := range map[string]bool{left: false, live: true, filepath.Join(s.dir, "kept"): true} {
		if _, err := os.Lstat(name); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", filepath.Base(name), err, want)
		}
	}
}

// Entries of programs that knew no signatures stay readable.
func TestEntryWithoutSignature(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "/srv/app", "", "")
	meta := filepath.Join(s.dir, "a", "meta.json")
	text, err := os.ReadFile(meta)
	if err != nil || bytes.Contains(text, []byte("signature")) {
		t.Fatalf("an entry without a signature is %q, %v", text, err)
	}
	if e, err := s.Get("a"); err != nil || e.Signature != nil {
		t.Errorf("%+v, %v", e, err)
	}
}
