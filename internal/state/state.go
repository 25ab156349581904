// Package state lays out the state directory: what a machine remembers of
// its runs.
//
// Its words: the state directory holds locks/ (a lock file per dest), logs/
// (a log per run), trees/ (what a run left at dest), running/ (the process
// group of what a run is executing) and history.db.
//
// It knows where things are, not what is in them, and imports no other
// package of this module.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// System is the state directory of root.
const System = "/var/lib/stretcher"

// User says whose state directory is looked for.
type User struct {
	UID    int
	Getenv func(string) string
	Home   func() (string, error) // asked when HOME is not set
}

// Default is the state directory of a user: System for root, else
// stretcher below $XDG_STATE_HOME or ~/.local/state, as the XDG Base Directory
// Specification has it. A relative value of a variable counts as not set.
func Default(u User) (string, error) {
	if u.UID == 0 {
		return System, nil
	}
	if dir := u.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "stretcher"), nil
	}
	home := u.Getenv("HOME")
	if !filepath.IsAbs(home) {
		var err error
		if home, err = u.Home(); err != nil || !filepath.IsAbs(home) {
			return "", errors.Join(errors.New("no home directory for the state directory"), err)
		}
	}
	return filepath.Join(home, ".local/state/stretcher"), nil
}

// Dir is an open state directory.
type Dir struct{ path string }

// Open makes the directory at path (mode 0700) where it is missing, and tells
// whether it can be written.
func Open(path string) (*Dir, error) {
	d := &Dir{path}
	for _, sub := range []string{"", "locks", "logs", "trees", "running"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	_ = probe.Close()
	return d, os.Remove(probe.Name())
}

// At is a state directory that is only read; it may not exist.
func At(path string) *Dir { return &Dir{path} }

// Path is the directory's own path.
func (d *Dir) Path() string { return d.path }

// History is the path of the history database.
func (d *Dir) History() string { return filepath.Join(d.path, "history.db") }

// Locks is the directory of the lock files.
func (d *Dir) Locks() string { return filepath.Join(d.path, "locks") }

// Log is the path of a run's log.
func (d *Dir) Log(run string) string { return filepath.Join(d.path, "logs", run+".log") }

// Tree is the path of what a run has recorded of dest.
func (d *Dir) Tree(run string) string { return filepath.Join(d.path, "trees", run) }

// Forget removes the log and the recorded tree of a run.
func (d *Dir) Forget(run string) {
	_ = os.Remove(d.Log(run))
	_ = os.Remove(d.Tree(run))
}

func (d *Dir) group(run string) string { return filepath.Join(d.path, "running", run) }

// SetGroup notes the process group that a run is executing; 0 = none.
func (d *Dir) SetGroup(run string, pgid int) error {
	if pgid == 0 {
		err := os.Remove(d.group(run))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.WriteFile(d.group(run), []byte(strconv.Itoa(pgid)+"\n"), 0o600)
}

// Group returns what SetGroup noted, or 0.
func (d *Dir) Group(run string) int {
	b, err := os.ReadFile(d.group(run))
	if err != nil {
		return 0
	}
	pgid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pgid
}

// FallbackLocks is where locks are when there is no usable state directory:
// below the system's temporary directory, and refused unless it is the
// caller's own, since others may write there.
func FallbackLocks(tmp string, uid int) (string, error) {
	dir := filepath.Join(tmp, "stretcher-locks-"+strconv.Itoa(uid))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("lock directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("lock directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != uid || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("lock directory %q belongs to somebody else", dir)
	}
	return dir, nil
}
