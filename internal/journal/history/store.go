package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"stretcher/internal/disk"
)

// defaultBusy is how long a statement waits for another process: far longer
// than any of our transactions, far shorter than a deploy may be delayed.
const defaultBusy = 5 * time.Second

// youngest is how long a reader waits for who makes a database, at most.
const youngest = 800 * time.Millisecond

// Options for Open. The zero value is a store to write to.
type Options struct {
	// ReadOnly never makes, changes or moves the database. It works while a run
	// writes; a database that does not exist reads as an empty one, and one that
	// an older program wrote as it is at Open: the next run brings it up to date.
	// A file that holds no history is an error, unless a run is making one of it.
	ReadOnly bool
	// Traceless, with ReadOnly, leaves no files of SQLite's beside a database
	// that nobody has open. A run that begins meanwhile may spoil what is read.
	Traceless bool
	// BusyTimeout is how long to wait for another process; 0 means 5 s.
	BusyTimeout time.Duration
	// Warn is told, on the goroutine of the call that met it, of a damaged
	// database that was moved aside (the error wraps ErrCorrupt and names the
	// place), and must not call the Store. Nil means nobody is told.
	Warn func(error)
}

// Store is an open history. It is safe for concurrent use, and so is the
// database for several processes, each with a Store of its own.
//
// Every writing method commits before it returns. A crash of the program
// loses nothing that was committed; a crash of the machine may lose the last
// moments, save for what Finish wrote. When a ctx ends, the call ends: a
// caller that wants an interrupted run recorded passes a ctx that outlives it.
type Store struct {
	path string
	opts Options

	mu      sync.Mutex // guards what follows
	db      *sql.DB
	file    fs.FileInfo    // the database when it was opened; nil in memory
	current map[string]Run // begun here and not finished
	calm    bool           // the first write needs no sync, see connect
}

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens the history at path, in a directory that exists, and makes it
// (mode 0600) when there is none. A damaged one is moved aside to
// PATH.corrupt-TIMESTAMP, together with its -wal and -shm, told to opts.Warn,
// and replaced.
//
// An error wraps ErrBusy, ErrCorrupt and ErrEmpty (ReadOnly only), ctx's error or the
// cause; without a history a deploy goes on, so callers make it a warning.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open history %q: %w", path, err)
	}
	if opts.BusyTimeout <= 0 {
		opts.BusyTimeout = defaultBusy
	}
	s := &Store{path: path, opts: opts, current: map[string]Run{}}
	open := s.openWrite
	if opts.ReadOnly {
		open = s.openRead
	}
	err = irregular(path)
	if err == nil {
		err = open(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open history %q: %w", path, classify(because(ctx, err)))
	}
	return s, nil
}

// irregular refuses what SQLite would wait for: a FIFO in place of one of its
// files. None of them is opened, see create.
func irregular(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		info, err := os.Stat(path + suffix)
		if err == nil && !info.Mode().IsRegular() {
			return &fs.PathError{Op: "open", Path: path + suffix, Err: disk.ErrIrregular}
		}
	}
	return nil
}

// Close closes the database. Runs that have not finished stay as they are.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close history %q: %w", s.path, err)
	}
	return nil
}

func (s *Store) openWrite(ctx context.Context) error {
	err := s.connect(ctx)
	if isCorrupt(err) {
		return s.replace(ctx, err)
	}
	return err
}

// connect opens the database that is there now, or a new one.
//
// SQLite syncs the head of a WAL that it begins, and its directory, and the
// first command would wait for the disk. That is for the sake of a WAL that
// holds older frames, which a lost head would bring back. One that is not there
// yet holds none: until somebody syncs it, a crash of the machine leaves the
// database as it was. So the first write does without.
func (s *Store) connect(ctx context.Context) error {
	if err := create(s.path); err != nil {
		return err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	_, err = os.Lstat(s.path + "-wal")
	s.calm = info.Size() > 0 && errors.Is(err, fs.ErrNotExist)
	db, err := dial(dsn(s.path, s.opts.BusyTimeout, "rwc", s.synchronous()))
	if err != nil {
		return err
	}
	s.file, s.db = info, db
	if err := s.prepare(ctx); err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

func (s *Store) synchronous() string {
	if s.calm {
		return "OFF"
	}
	return "NORMAL"
}

// settle ends what connect has begun: from the second write on, SQLite syncs as
// it does by default.
func (s *Store) settle(ctx context.Context) error {
	if !s.calm {
		return nil
	}
	if _, err := s.db.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
		return fmt.Errorf("sync again: %w", err)
	}
	s.calm = false
	return nil
}

// prepare migrates. Turning a new database to WAL does not obey the busy
// timeout when two processes do it at once, hence the loop.
func (s *Store) prepare(ctx context.Context) error {
	for end := time.Now().Add(s.opts.BusyTimeout); ; {
		err := migrate(ctx, s.db)
		if !hasCode(err, codeBusy) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// create makes an empty file of mode 0600, which is an empty database. A file
// that exists is not even opened: closing it would drop the locks that
// another Store of this process has on it (POSIX locks belong to the process).
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) openRead(ctx context.Context) error {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.path); err == nil {
			return &fs.PathError{Op: "open", Path: s.path, Err: disk.ErrDangling}
		}
		return s.openEmpty(ctx)
	}
	if err != nil {
		return err
	}
	mode, v, err := s.connectReader(ctx)
	// Another process may be about to make it, if it is that young.
	young := min(s.opts.BusyTimeout, youngest)
	for end := info.ModTime().Add(young); err == nil && v == 0; mode, v, err = s.connectReader(ctx) {
		if err := s.db.Close(); err != nil {
			return err
		}
		if left := time.Until(end); left <= 0 || left > young {
			return ErrEmpty
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err == nil && v < len(migrations) {
		return errors.Join(s.db.Close(), s.readOld(ctx, v, dsn(s.path, s.opts.BusyTimeout, mode, "NORMAL")))
	}
	return err
}

// connectReader opens the database to be read, in the mode that is possible.
func (s *Store) connectReader(ctx context.Context) (mode string, version int, err error) {
	const ro, alone = "ro", "ro&immutable=1"
	mode = ro
	if s.opts.Traceless && !s.hasWAL() {
		mode = alone
	}
	version, err = s.connectRead(ctx, mode)
	if mode == ro && (hasCode(err, codeCantOpen) || hasCode(err, codeReadOnly)) && !s.hasWAL() {
		// A reader that can't write beside the database can't make the shared
		// memory of a WAL. When no WAL is left, the file alone is the truth.
		mode = alone
		version, err = s.connectRead(ctx, mode)
	}
	if denied := unix.Access(s.path, unix.R_OK); err != nil && denied != nil { // SQLite does not say why
		err = &fs.PathError{Op: "open", Path: s.path, Err: denied}
	}
	return mode, version, err
}

func (s *Store) hasWAL() bool {
	_, err := os.Stat(s.path + "-wal")
	return !errors.Is(err, fs.ErrNotExist)
}

func (s *Store) connectRead(ctx context.Context, mode string) (version int, err error) {
	if s.db, err = dial(dsn(s.path, s.opts.BusyTimeout, mode, "NORMAL")); err != nil {
		return 0, err
	}
	if version, err = userVersion(ctx, s.db); err != nil {
		return 0, errors.Join(err, s.db.Close())
	}
	return version, nil
}

// openEmpty stands in for a history that does not exist.
func (s *Store) openEmpty(ctx context.Context) (err error) {
	if s.db, err = dial("file::memory:"); err != nil {
		return err
	}
	return errors.Join(migrate(ctx, s.db), s.queryOnly(ctx))
}

// readOld reads the database at dsn, of schema version v, into memory and
// brings the copy up to date, since a reader must not change the file.
func (s *Store) readOld(ctx context.Context, v int, dsn string) (err error) {
	if s.db, err = dial("file::memory:"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if err := upgrade(ctx, s.db, 0, v); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "ATTACH ? AS old", dsn); err != nil {
		return fmt.Errorf("attach the old database: %w", err)
	}
	err = inTx(ctx, s.db, func(tx *sql.Tx) error { // one transaction, one state of the file
		tables, err := queryStrings(ctx, tx, "SELECT name FROM old.sqlite_master WHERE type = 'table' "+
			"AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name = 'steps'") // which refer to runs
		if err != nil {
			return fmt.Errorf("read which tables there are: %w", err)
		}
		for _, table := range tables {
			if _, err := tx.ExecContext(ctx, "INSERT INTO main."+table+" SELECT * FROM old."+table); err != nil {
				return fmt.Errorf("read the old %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "DETACH old"); err != nil {
		return fmt.Errorf("detach the old database: %w", err)
	}
	return errors.Join(migrate(ctx, s.db), s.queryOnly(ctx))
}

// queryOnly makes what is only in memory refuse writing as the file would.
func (s *Store) queryOnly(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "PRAGMA query_only = 1")
	return err
}

func dsn(path string, busy time.Duration, mode, synchronous string) string {
	u := url.URL{Scheme: "file", Path: path}
	return u.String() + "?mode=" + mode +
		"&_busy_timeout=" + strconv.FormatInt(busy.Milliseconds(), 10) +
		"&_txlock=immediate" + // a read that turns into a write can't wait for its turn
		"&_synchronous=" + synchronous + "&_foreign_keys=1&_dqs=0&_defensive=1&_error_rc=1"
}

// dial opens no file yet. One connection serves all: it keeps the pragmas that
// Finish changes, and an in-memory database has no second one.
func dial(dsn string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Primary result codes, https://www.sqlite.org/rescode.html.
const (
	codeBusy     = 5
	codeReadOnly = 8
	codeCorrupt  = 11
	codeCantOpen = 14
	codeNotADB   = 26
)

func hasCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

func isCorrupt(err error) bool { return hasCode(err, codeCorrupt) || hasCode(err, codeNotADB) }

// classify adds the sentinel a caller can test for.
func classify(err error) error {
	switch {
	case hasCode(err, codeBusy):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case isCorrupt(err):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
