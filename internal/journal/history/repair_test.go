package history

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// damaged makes a database with some runs in it and overwrites part of it.
func damaged(t *testing.T, damage func(db []byte) []byte) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "history.db")
	s, err := Open(t.Context(), path, Options{Warn: noWarning(t)})
	must(t, err)
	for _, d := range sample() {
		write(t, s, d, true)
	}
	must(t, s.Close())
	content, err = os.ReadFile(path)
	must(t, err)
	content = damage(content)
	must(t, os.WriteFile(path, content, 0o600))
	return path, content
}

func fill(from int, to func(db []byte) int) func([]byte) []byte {
	return func(db []byte) []byte {
		for i := from; i < to(db); i++ {
			db[i] = 0xa5
		}
		return db
	}
}

func whole(db []byte) int { return len(db) }

// aside are the databases that were moved.
func aside(t *testing.T, path string) []string {
	t.Helper()
	all, err := filepath.Glob(path + ".corrupt-*Z")
	must(t, err)
	return all
}

func TestDamageIsMovedAside(t *testing.T) {
	cases := map[string]func([]byte) []byte{
		"no database": func([]byte) []byte {
			return []byte("this is not a database, but as long as a header of one needs to be.....")
		},
		"header":                 fill(0, func([]byte) int { return 100 }),
		"schema page":            fill(100, func([]byte) int { return 4096 }),
		"everything after":       fill(4096, whole),
		"half of it":             func(db []byte) []byte { return db[:len(db)/2] },
		"not even a whole page":  func(db []byte) []byte { return db[:700] },
		"page count and content": fill(24, whole),
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			path, content := damaged(t, damage)
			var warned []error
			s := mustOpen(t, path, Options{Warn: func(err error) { warned = append(warned, err) }})
			run := sample()[1].Run
			must(t, s.Begin(t.Context(), run))
			must(t, s.SetStep(t.Context(), run.ID, "sync"))
			must(t, s.AddStep(t.Context(), Step{Run: run.ID}))
			_, err := s.List(t.Context(), Filter{})
			must(t, err)
			must(t, s.Finish(t.Context(), run, true))

			files := aside(t, path)
			if len(warned) != 1 || len(files) != 1 {
				t.Fatalf("warnings %q, moved %q; want one of each", warned, files)
			}
			if w := warned[0].Error(); !errors.Is(warned[0], ErrCorrupt) || !strings.Contains(w, files[0]) ||
				strings.Contains(w, "\n") {
				t.Errorf("warning %q", w)
			}
			if kept, err := os.ReadFile(files[0]); err != nil || len(kept) < len(content)/2 {
				t.Errorf("%d bytes kept of %d, %v", len(kept), len(content), err)
			}
			got, err := s.Run(t.Context(), run.ID)
			must(t, err)
			same(t, got, func() Run { run.Step = "sync"; return run }())
		})
	}
}

func TestReaderLeavesDamageAlone(t *testing.T) {
	path, content := damaged(t, fill(0, whole))
	s, err := Open(t.Context(), path, Options{ReadOnly: true, Warn: noWarning(t)})
	if s != nil || !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the reader changed the database: %v", err)
	}
}

// The WAL goes with its database, and the new one does not meet it.
func TestWALIsMovedToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		must(t, os.WriteFile(path+suffix, []byte("of the old one"), 0o600))
	}
	info, err := os.Stat(path)
	must(t, err)
	must(t, (&Store{path: path, file: info}).moveAside(t.Context(), ErrCorrupt))
	for _, suffix := range []string{"-wal", "-shm"} {
		got, err := os.ReadFile(aside(t, path)[0] + suffix)
		if err != nil || string(got) != "of the old one" {
			t.Errorf("%s is %q, %v", suffix, got, err)
		}
	}
}

// Who holds the directory does not hold up who finds the damage.
func TestDirectoryIsHeld(t *testing.T) {
	path, _ := damaged(t, fill(100, whole))
	must(t, unix.Flock(int(openDir(t, path).Fd()), unix.LOCK_EX))
	opts := Options{Warn: noWarning(t), BusyTimeout: time.Millisecond}
	if _, err := Open(t.Context(), path, opts); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	s := &Store{path: path, opts: Options{BusyTimeout: time.Hour}}
	if err := s.lockDir(ctx, openDir(t, path)); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

// openDir opens the directory once more: the lock belongs to what was opened.
func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(filepath.Dir(path))
	must(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// Two stores find the same damage; the second must not move the new database
// of the first, and the run of each goes on in it.
func TestTwoFindTheDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	warned := 0
	opts := Options{Warn: func(error) { warned++ }}
	one, two := mustOpen(t, path, opts), mustOpen(t, path, opts)
	runs := sample()
	must(t, one.Begin(t.Context(), runs[1].Run))
	must(t, two.Begin(t.Context(), runs[2].Run))
	cause := errors.New("test")
	must(t, one.replace(t.Context(), cause))
	must(t, two.replace(t.Context(), cause))
	if list, err := one.List(t.Context(), Filter{}); err != nil || len(list) != 2 {
		t.Errorf("%d runs in the new database, %v", len(list), err)
	}
	must(t, one.SetStep(t.Context(), runs[1].ID, "x"))
	must(t, two.SetStep(t.Context(), runs[2].ID, "y"))
	list, err := one.List(t.Context(), Filter{})
	if err != nil || len(list) != 2 || warned != 1 || len(aside(t, path)) != 1 {
		t.Errorf("%d runs, %v, %d warnings, moved %q", len(list), err, warned, aside(t, path))
	}
}

// When the database can't even be moved, the caller gets the damage as an
// error and the store stays usable as such.
func TestNoPlaceToMove(t *testing.T) {
	path, _ := damaged(t, fill(100, whole))
	s := &Store{path: path, current: map[string]Run{}, opts: Options{Warn: noWarning(t), BusyTimeout: defaultBusy}}
	err := s.connect(t.Context())
	if !isCorrupt(err) {
		t.Fatalf("error %v", err)
	}
	s.path = filepath.Join(filepath.Dir(path), "gone", "history.db")
	for range 2 {
		if err := s.replace(t.Context(), err); err == nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		if err := s.Begin(t.Context(), sample()[0].Run); err == nil {
			t.Error("no error")
		}
	}
}
