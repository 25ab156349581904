package releases

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
)

// scan packs a staged tree and scans the archive.
func scan(t *testing.T, staged string) []archive.Entry {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	must(t, filepath.WalkDir(staged, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		target := ""
		if e.Type()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(name); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(staged, name)
		h.Name = rel
		if err = errors.Join(err, w.WriteHeader(h)); err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		_, werr := w.Write(content)
		return errors.Join(err, werr)
	}))
	must(t, w.Close())
	entries, _, err := archive.Scan(context.Background(), &packed, archive.Options{}, ignore{})
	must(t, err)
	return entries
}

// ignore is a sink.
type ignore struct{}

func (ignore) File(archive.Entry, *archive.Content) error { return nil }
func (ignore) Link(archive.Entry, string) error           { return nil }
func (ignore) Drop(string) error                          { return nil }

// sameError checks that CheckEntries said what Add said.
func sameError(t *testing.T, planned, err error) {
	t.Helper()
	if (planned == nil) != (err == nil) {
		t.Fatalf("CheckEntries = %v\nAdd = %v", planned, err)
	}
	if err == nil {
		return
	}
	want := fmt.Sprintf("add release %q: %v", id(1), planned)
	if got := strings.Replace(err.Error(), id(2), id(1), 1); got != want {
		t.Errorf("CheckEntries = %v\nAdd = %v", planned, err)
	}
	if errors.Is(planned, ErrShared) != errors.Is(err, ErrShared) {
		t.Errorf("of ErrShared: %v, %v", planned, err)
	}
}

// TestCheckEntriesLikeAdd: for random trees, CheckEntries says what Add does,
// and touches nothing.
func TestCheckEntriesLikeAdd(t *testing.T) {
	refused, accepted := map[string]int{}, 0
	for seed := range int64(400) {
		rnd := rand.New(rand.NewSource(seed))
		d, err := Open(filepath.Join(t.TempDir(), "dest"), Options{})
		must(t, err)
		must(t, d.Prepare())
		staged := stage(t, d)
		growRandom(t, rnd, staged, 3)
		if rnd.Intn(4) > 0 {
			must(t, os.Mkdir(d.sharedPath(), 0o755))
			growRandom(t, rnd, d.sharedPath(), 3)
		}
		var paths []string
		for range 1 + rnd.Intn(3) {
			p := randomPath(rnd)
			if CheckShared(append(paths, p)) == nil {
				paths = append(paths, p)
			}
		}
		before := listing(t, d.at.Given)
		planned := d.CheckEntries(scan(t, staged), paths)
		if after := listing(t, d.at.Given); after != before {
			t.Fatalf("seed %d: CheckEntries has made\n%s of\n%s", seed, after, before)
		}
		err = addAt(d, context.Background(), staged, Release{ID: id(1)}, paths)
		sameError(t, planned, err)
		if t.Failed() {
			t.Fatalf("seed %d, paths %q, tree:\n%s", seed, paths, before)
		}
		if err == nil {
			accepted++
		}
		for _, what := range []string{
			"neither", "can't be shared", `in "shared"`, "in the release: ", "not a directory", "special file",
		} {
			if err != nil && strings.Contains(err.Error(), what) {
				refused[what]++
			}
		}
	}
	if len(refused) < 6 || accepted < 20 {
		t.Errorf("%d accepted, refused: %v", accepted, refused)
	}
}

// growRandom makes files, directories, symlinks and FIFOs named a, a-, b, c.
func growRandom(t *testing.T, rnd *rand.Rand, dir string, depth int) {
	t.Helper()
	for _, base := range []string{"a", "a-", "b", "c"} {
		name := filepath.Join(dir, base)
		switch n := rnd.Intn(10); {
		case n < 3:
			put(t, name, "x")
		case n < 7 && depth > 0:
			must(t, os.Mkdir(name, 0o755))
			growRandom(t, rnd, name, depth-1)
		case n == 7:
			must(t, os.Symlink([]string{"a", "nowhere", "/tmp", ".."}[rnd.Intn(4)], name))
		case n == 8:
			must(t, unix.Mkfifo(name, 0o600))
		}
	}
}

func randomPath(rnd *rand.Rand) string {
	p := ""
	for range 1 + rnd.Intn(3) {
		p = path.Join(p, []string{"a", "a-", "b", "c", "new"}[rnd.Intn(5)])
	}
	return p + []string{"", "/"}[rnd.Intn(2)]
}

// listing lists a tree with types.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		fmt.Fprintln(&all, e.Type(), name)
		return err
	}))
	return all.String()
}

// TestCheckEntriesNew: dest need not be there, and the rules for shared paths
// come first.
func TestCheckEntriesNew(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "dest"), Options{})
	must(t, err)
	entries := []archive.Entry{
		{Mode: fs.ModeDir | 0o755}, {Path: "log", Mode: fs.ModeDir | 0o755}, {Path: "log-x", Mode: 0o644},
		{Path: "log/x", Mode: fs.ModeNamedPipe},
	}
	for _, tt := range []struct{ paths, want string }{
		{"log/ tmp/pids/", ""},
		{"log-x", ""},
		{"", ""},
		{"log log-x/", "it is a file in the release"},
		{"lo", `shared path "lo" is neither`},
		{"log/x", "special file"},
		{"log/../x", "not clean"},
	} {
		err := d.CheckEntries(entries, strings.Fields(tt.paths))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.paths, err, tt.want)
		}
	}
	put(t, d.sharedPath(), "a file")
	d, err = Open(d.at.Given, Options{})
	must(t, err)
	if err := d.CheckEntries(entries, []string{"log"}); err == nil || !strings.Contains(err.Error(), d.sharedPath()) {
		t.Errorf("err = %v", err)
	}
}
