package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

// world is a packed tree: files by their paths, and the archive.
type world struct {
	files map[string]string
	file  *os.File
	index *index.Index
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{files: map[string]string{"empty": "", "same": "text", "sub/same": "text",
		"sub/large": string(bytes.Repeat([]byte("0123456789abcdef"), 100_000))}}
	for i := range 50 {
		w.files[fmt.Sprintf("d%d/f", i)] = fmt.Sprint(i)
	}
	for path, text := range w.files {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755))
		ok(t, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644))
	}
	root, err := os.OpenRoot(dir)
	ok(t, err)
	defer root.Close()
	w.file, err = os.Create(filepath.Join(t.TempDir(), "archive"))
	ok(t, err)
	t.Cleanup(func() { _ = w.file.Close() })
	res, err := pack.Write(t.Context(), root, w.file, pack.Options{})
	ok(t, err)
	w.index = res.Index
	return w
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rebuilt counts the contents that are opened, and gives those of files.
func (w *world) rebuilt(opened *int) io.ReadCloser {
	return w.index.Rebuild(func(i int) (io.ReadCloser, error) {
		*opened++
		return io.NopCloser(bytes.NewReader([]byte(w.files[w.index.Files[i].Path]))), nil
	})
}

// reading reads the contents that it is told to.
type reading struct {
	t      *testing.T
	reads  func(path string) bool
	files  map[string]string
	before bool // digests are known before a content is read
}

func (r reading) File(e archive.Entry, content *archive.Content) error {
	want := r.files[e.Path]
	r.sum(e.Path, content, r.before && want != "")
	if !r.reads(e.Path) {
		return nil
	}
	got, err := io.ReadAll(content)
	if string(got) != want {
		r.t.Errorf("%q: %d bytes, want %d", e.Path, len(got), len(want))
	}
	r.sum(e.Path, content, want != "")
	return err
}

// sum fails unless the digest is known, and right.
func (r reading) sum(path string, content *archive.Content, want bool) {
	r.t.Helper()
	sum, known := content.Sum()
	if known != want || known && sum != sha256.Sum256([]byte(r.files[path])) {
		r.t.Errorf("%q: sum %x, %v", path, sum, known)
	}
}

func (reading) Link(archive.Entry, string) error { return nil }
func (reading) Drop(string) error                { return nil }

// TestSums: of the archive's stream, digests are known before a content is read,
// and nothing is opened unread; of its file, afterwards.
func TestSums(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		reads  func(string) bool
		opened int
	}{
		"all":  {func(string) bool { return true }, len(w.files) - 1},
		"none": {func(string) bool { return false }, 0},
		"some": {func(path string) bool { return path == "sub/large" || path == "d7/f" }, 2},
	} {
		opened := 0
		in, err := archive.FileInput(w.file, true).Open()
		ok(t, err)
		want, whole, err := archive.Scan(t.Context(), in, archive.Options{}, reading{t, tc.reads, w.files, false})
		ok(t, err)
		got, res, err := archive.Scan(t.Context(), w.rebuilt(&opened), archive.Options{},
			reading{t, tc.reads, w.files, true})
		ok(t, err)
		if fmt.Sprint(got) != fmt.Sprint(want) || res != whole {
			t.Errorf("%s: %+v, want %+v", name, res, whole)
		}
		if opened != tc.opened {
			t.Errorf("%s: %d contents opened, want %d", name, opened, tc.opened)
		}
	}
}

// TestSkippedCounts: limits hold for what is skipped as for what is read.
func TestSkippedCounts(t *testing.T) {
	w := newWorld(t)
	opened := 0
	_, _, err := archive.Scan(t.Context(), w.rebuilt(&opened), archive.Options{Limits: archive.Limits{Bytes: 1_000_000}},
		reading{t, func(string) bool { return false }, w.files, true})
	if !errors.Is(err, archive.ErrBytes) {
		t.Errorf("err = %v", err)
	}
}

// TestRebuiltContent: what is read and is another content is an error, which
// keeps its cause.
func TestRebuiltContent(t *testing.T) {
	w := newWorld(t)
	w.files["d9/f"] = "x"
	opened := 0
	_, _, err := archive.Scan(t.Context(), w.rebuilt(&opened), archive.Options{},
		unread{})
	if errors.Is(err, index.ErrContent) {
		t.Errorf("unread: %v", err)
	}
	root, err := os.OpenRoot(t.TempDir())
	ok(t, err)
	defer root.Close()
	_, err = archive.Extract(t.Context(), w.rebuilt(&opened), root, archive.Options{})
	if !errors.Is(err, index.ErrContent) {
		t.Errorf("err = %v", err)
	}
}

// unread reads nothing.
type unread struct{}

func (unread) File(archive.Entry, *archive.Content) error { return nil }
func (unread) Link(archive.Entry, string) error           { return nil }
func (unread) Drop(string) error                          { return nil }
