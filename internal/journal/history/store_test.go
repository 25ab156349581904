package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"stretcher/internal/disk"
)

// noWarning fails the test for a warning nobody expects.
func noWarning(t *testing.T) func(error) {
	return func(err error) { t.Errorf("warning %v", err) }
}

func mustOpen(t *testing.T, path string, opts Options) *Store {
	t.Helper()
	if opts.Warn == nil {
		opts.Warn = noWarning(t)
	}
	s, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newStore(t *testing.T) *Store {
	return mustOpen(t, filepath.Join(t.TempDir(), "history.db"), Options{})
}

// rawDB is the database as another program sees it.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write stores a run of the sample, with its steps, by way of the public API.
func write(t *testing.T, s *Store, d Detail, handled bool) {
	t.Helper()
	must(t, s.Begin(t.Context(), d.Run))
	for _, step := range d.Steps {
		must(t, s.AddStep(t.Context(), step))
	}
	if d.Result != Running {
		must(t, s.Finish(t.Context(), d.Run, handled))
	}
}

// same compares but for what the store sets and the zone of the times.
func same(t *testing.T, got, want Run) {
	t.Helper()
	got.Touched = want.Touched
	for _, r := range []*Run{&got, &want} {
		r.Started, r.Finished = r.Started.UTC(), r.Finished.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("run\n%+v, want\n%+v", got, want)
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?name%41#.db")
	want := Run{
		ID: "0193-a", Started: time.UnixMicro(1e15 + 1), Finished: time.UnixMicro(2e15 + 2),
		Deployment: Deployment{Name: "n", Version: "v", Dest: "/d", URL: "u", Fingerprint: "fp", Tree: "tr"},
		Result:     Failed, Step: "s", Exit: 143, Error: "e\nx", Event: "ev", EventKey: "k", User: "us", Back: "b",
		Trust:   Trust{Policy: "po", Signers: "si", Serial: 1 << 60},
		Cost:    Cost{Elapsed: 3 * time.Second, Fetched: 1 << 40},
		Process: Process{PID: 7, ProcStart: "ps", Log: "/l", Staging: []string{"/s/a b", "/s/\"\xff\n", ""}},
	}
	steps := []Step{
		{Run: "0193-a", Seq: 1, Point: "p", Dialect: "d", Name: "é\xff", Started: time.UnixMicro(5),
			Duration: 7 * time.Microsecond, Exit: -1, Signal: "SIGKILL", TimedOut: true, Offset: 1 << 40,
			Stage: "st", Source: "/so", Why: "w"},
		{Run: "0193-a", Seq: 2, Started: time.UnixMicro(6)},
	}
	for _, v := range []reflect.Value{reflect.ValueOf(want), reflect.ValueOf(steps[0])} {
		for _, f := range reflect.VisibleFields(v.Type()) {
			if v.FieldByIndex(f.Index).IsZero() && f.Name != "Touched" {
				t.Fatalf("the test does not set %s", f.Name)
			}
		}
	}
	write(t, mustOpen(t, path, Options{}), Detail{want, steps}, true)

	s := mustOpen(t, path, Options{ReadOnly: true})
	got, err := s.Run(t.Context(), "0193-a")
	must(t, err)
	same(t, got, want)
	if got.Touched.IsZero() {
		t.Error("no sign of life")
	}
	if got, err := s.Steps(t.Context(), "0193-a"); err != nil || !reflect.DeepEqual(got, steps) {
		t.Errorf("steps %+v, %v; want %+v", got, err, steps)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestPragmas(t *testing.T) {
	s := newStore(t)
	write(t, s, sample()[1], true) // Finish changes synchronous for its own commit
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "5000", "user_version": "9",
	} {
		var got string
		must(t, s.db.QueryRow("PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
}

func TestMigrations(t *testing.T) {
	cases := []struct {
		version  int
		readOnly bool
		err      string // in the error; "" for none
	}{
		{0, false, ""},
		{0, true, ErrEmpty.Error()},
		{1, false, ""},
		{1, true, ""},
		{len(migrations), false, ""},
		{len(migrations), true, ""},
		{len(migrations) + 1, false, "newer than this program knows"},
		{len(migrations) + 1, true, "newer than this program knows"},
	}
	for _, c := range cases {
		path := filepath.Join(t.TempDir(), "history.db")
		db := rawDB(t, path)
		for v := range min(c.version, len(migrations)) {
			_, err := db.Exec(migrations[v])
			must(t, err)
		}
		_, err := db.Exec(fmt.Sprint("PRAGMA user_version = ", c.version))
		must(t, errors.Join(err, db.Close()))

		opts := Options{ReadOnly: c.readOnly, Warn: noWarning(t)}
		if c.err != "" {
			opts.BusyTimeout = 50 * time.Millisecond
		}
		s, err := Open(t.Context(), path, opts)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || s != nil {
				t.Errorf("%+v: error %v", c, err)
			}
			continue
		}
		must(t, err)
		if _, err := s.List(t.Context(), Filter{}); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if err := s.Begin(t.Context(), sample()[0].Run); err != nil && !c.readOnly {
			t.Errorf("%+v: %v", c, err)
		}
		must(t, s.Close())
	}
}

// TestEmpty: a file that is no history yet is one when a run makes it, and else
// none, whatever its time is.
func TestEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	for _, age := range []time.Duration{time.Hour, -time.Hour} {
		must(t, create(path))
		must(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
		if s, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, ErrEmpty) || s != nil {
			t.Errorf("%s: error %v", age, err)
		}
		must(t, os.Remove(path))
	}
	must(t, os.Symlink("nowhere", path))
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, disk.ErrDangling) {
		t.Errorf("a link to nowhere: error %v", err)
	}
	must(t, os.Remove(path))
	must(t, create(path))
	read := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), path, Options{ReadOnly: true, BusyTimeout: time.Minute})
		if err == nil {
			err = s.Close()
		}
		read <- err
	}()
	time.Sleep(30 * time.Millisecond) // the reader most probably waits then; it passes in any case
	w, err := Open(t.Context(), path, Options{Warn: noWarning(t)})
	must(t, err)
	must(t, <-read)
	must(t, w.Close())
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	none := mustOpen(t, path, Options{ReadOnly: true})
	if runs, err := none.List(t.Context(), Filter{}); err != nil || len(runs) != 0 {
		t.Errorf("history that does not exist: %v, %v", runs, err)
	}
	if _, err := none.Last(t.Context(), "/d"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Last: %v", err)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 0 {
		t.Errorf("a reader made %q", left)
	}

	w := mustOpen(t, path, Options{})
	run := sample()[0].Run
	must(t, w.Begin(t.Context(), run))
	r := mustOpen(t, path, Options{ReadOnly: true})
	for _, step := range []string{"fetch", "sync"} { // what is written meanwhile is seen
		must(t, w.SetStep(t.Context(), run.ID, step))
		if got, err := r.Run(t.Context(), run.ID); err != nil || got.Step != step || got.Result != Running {
			t.Errorf("step %q, result %q, %v; want %q", got.Step, got.Result, err, step)
		}
	}
	if err := r.Begin(t.Context(), Run{ID: "x"}); err == nil {
		t.Error("a reader has written")
	}
}

// No WAL and a place where none can be made: a copy on a read-only medium.
func TestReadOnlyImmutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	w, err := Open(t.Context(), path, Options{})
	must(t, err)
	write(t, w, sample()[1], true)
	must(t, w.Close())
	s := &Store{path: path, opts: Options{ReadOnly: true}, current: map[string]Run{}}
	v, err := s.connectRead(t.Context(), "ro&immutable=1")
	if err != nil || v != len(migrations) {
		t.Fatal(v, err)
	}
	if runs, err := s.List(t.Context(), Filter{}); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	must(t, s.Close())
}

func TestLockedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := mustOpen(t, path, Options{BusyTimeout: 50 * time.Millisecond})
	run := sample()[1].Run
	db := rawDB(t, path)
	_, err := db.Exec("BEGIN IMMEDIATE")
	must(t, err)
	if err := s.Begin(t.Context(), run); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if runs, err := s.List(t.Context(), Filter{}); err != nil || len(runs) != 0 {
		t.Errorf("a reader is kept out: %v, %v", runs, err)
	}
	_, err = db.Exec("ROLLBACK")
	must(t, err)

	// What Begin could not write, Finish does.
	must(t, s.Finish(t.Context(), run, true))
	got, err := s.Run(t.Context(), run.ID)
	must(t, err)
	same(t, got, run)
}

// A new database that another process has locked since it made it.
func TestLockedAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	db := rawDB(t, path)
	_, err := db.Exec("BEGIN EXCLUSIVE")
	must(t, err)
	_, err = Open(t.Context(), path, Options{BusyTimeout: 50 * time.Millisecond, Warn: noWarning(t)})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err = Open(ctx, path, Options{Warn: noWarning(t)}); !errors.Is(err, enough) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestOpenErrors(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(root, "dir"), 0o700))
	for _, path := range []string{"missing/history.db", "file/history.db", "dir"} {
		for _, readOnly := range []bool{false, true} {
			if readOnly && strings.HasPrefix(path, "missing") {
				continue // reads as empty
			}
			s, err := Open(t.Context(), filepath.Join(root, path), Options{ReadOnly: readOnly, Warn: noWarning(t)})
			if err == nil || s != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, read-only %v: error %q", path, readOnly, err)
			}
		}
	}
	if left, _ := filepath.Glob(root + "/*"); len(left) != 2 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCancelledCall(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := s.Begin(ctx, sample()[0].Run); !errors.Is(err, enough) || strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v, want the cause", err)
	}
	if err := s.Finish(t.Context(), sample()[1].Run, true); err != nil {
		t.Errorf("the store is of no use after a cancelled call: %v", err)
	}
}

// TestTraceless: a reader that leaves no trace sees what a run has written and
// nobody has open, and what a run writes at this moment.
func TestTraceless(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	w, err := Open(t.Context(), path, Options{})
	must(t, err)
	look := func() int {
		s, err := Open(t.Context(), path, Options{ReadOnly: true, Traceless: true})
		must(t, err)
		defer s.Close()
		runs, err := s.List(t.Context(), Filter{})
		must(t, err)
		return len(runs)
	}
	write(t, w, sample()[1], true)
	if n := look(); n != 1 {
		t.Errorf("%d runs while it is open", n)
	}
	must(t, w.Close())
	for range 2 {
		if n := look(); n != 1 {
			t.Errorf("%d runs", n)
		}
		if all, _ := filepath.Glob(path + "*"); len(all) != 1 {
			t.Errorf("left behind: %q", all)
		}
	}
}
