// Package state lays out the state directory: what a machine remembers of
// its runs.
//
// Its words: the state directory holds locks/ (a lock file per dest), logs/
// (a log per run), trees/ (what a run left at dest), running/ (the process
// groups of what a run is executing, what it is just starting, a note that it
// runs containers, and one of who it is, where no row tells that), plugins/
// (repositories that hooks come from), cache/ (what good runs deployed, for
// rollbacks), archives/ (by their checksums), serials/ (how far each name has
// come) and history.db.
//
// It knows where things are, not what is in them, and may import
// internal/disk only.
package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
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
// whether it can be written. One that others can write is refused.
func Open(path string) (*Dir, error) {
	if err := layOut(path); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return &Dir{path}, nil
}

// whole makes an error of an open directory say the path that it speaks of.
func whole(err error, dir string) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(dir, at.Path), Err: at.Err}
	}
	return err
}

func layOut(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, err := disk.Open(abs)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := trusted(path, dir); err != nil {
		return err
	}
	for _, sub := range []string{"locks", "logs", "trees", "running"} {
		if err := dir.Root().Mkdir(sub, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return whole(err, abs)
		}
	}
	probe, err := disk.Unnamed(dir.Root()) // a kill leaves nothing of it
	if err != nil {
		return err
	}
	return probe.Close()
}

// Usable tells why Open would fail, as far as that can be seen by who makes
// nothing.
func Usable(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	there := abs
	for {
		_, err := os.Stat(there)
		if !errors.Is(err, os.ErrNotExist) || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	if there == abs {
		dir, err := disk.Open(abs)
		if err == nil {
			err = errors.Join(trusted(path, dir), dir.Close())
		}
		if err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	} else if info, err := os.Stat(there); err == nil && !info.IsDir() {
		return fmt.Errorf("state directory: %w", &os.PathError{Op: "mkdir", Path: there, Err: syscall.ENOTDIR})
	}
	err = unix.Access(there, unix.W_OK|unix.X_OK)
	if err == nil && isKernels(there) {
		err = errKernels
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", &os.PathError{Op: "write", Path: there, Err: err})
	}
	return nil
}

var errKernels = errors.New("no files can be kept in this file system")

// UsableWhole is Usable for who goes on with nothing but a lock and a serial in
// the state directory.
func UsableWhole(path string) error {
	if err := Usable(path); err != nil {
		return err
	}
	for _, sub := range []string{"locks", "serials"} {
		dir := filepath.Join(path, sub)
		if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
			continue // it is made
		}
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = &os.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
		}
		if err == nil && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
			err = &os.PathError{Op: "write", Path: dir, Err: os.ErrPermission}
		}
		if err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	return nil
}

// Believed tells whether what is in a state directory may be believed: nobody
// else can have written it.
func Believed(path string) bool {
	abs, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	dir, err := disk.Open(abs)
	if err != nil {
		return false
	}
	defer dir.Close()
	return trusted(path, dir) == nil
}

// trusted refuses a directory in which others can write: what its files say is
// believed, and what they name is removed. Root is not led to another directory
// by who can rename above it, either.
func trusted(path string, dir *disk.Dir) error {
	info, err := dir.File().Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%q must be a directory that only its owner can write, you or root", path)
	}
	if why := dir.Exposed(); why != "" && os.Geteuid() == 0 {
		return fmt.Errorf("%q must be where nobody else can rename: %s", path, why)
	}
	return nil
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
func (d *Dir) Log(run string) string { return d.file("logs", run, ".log") }

// Tree is the path of what a run has recorded of dest.
func (d *Dir) Tree(run string) string { return d.file("trees", run, "") }

// file is what a run has in a directory. Whatever it is called, it is there.
func (d *Dir) file(sub, run, suffix string) string {
	return filepath.Join(d.path, sub, filepath.Base(run+suffix))
}

// Forget removes the log and the recorded tree of a run.
func (d *Dir) Forget(run string) {
	_ = os.Remove(d.Log(run))
	_ = os.Remove(d.Tree(run))
}

func (d *Dir) group(run string) string { return d.file("running", run, "") }

// Cache is the directory of what past runs have deployed, kept for a rollback.
func (d *Dir) Cache() string { return filepath.Join(d.path, "cache") }

// Archives is the directory of archives by their checksums, whoever deploys them.
func (d *Dir) Archives() string { return filepath.Join(d.path, "archives") }

// Plugins is the directory of the repositories that hooks come from. Who
// uses it makes it.
func (d *Dir) Plugins() string { return filepath.Join(d.path, "plugins") }

// SetGroups notes the process groups that a run is executing.
func (d *Dir) SetGroups(run string, pgids ...int) error {
	if len(pgids) == 0 {
		return remove(d.group(run))
	}
	var b strings.Builder
	for _, pgid := range pgids {
		fmt.Fprintln(&b, pgid)
	}
	return os.WriteFile(d.group(run), []byte(b.String()), 0o600)
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Groups returns what SetGroups noted.
func (d *Dir) Groups(run string) (pgids []int) {
	text, _ := read(d.group(run))
	for _, word := range strings.Fields(string(text)) {
		if pgid, err := strconv.Atoi(word); err == nil {
			pgids = append(pgids, pgid)
		}
	}
	return pgids
}

func (d *Dir) starting(run string) string { return d.file("running", run, ".starting") }

// SetStarting notes the id of a command that a run is about to start, whose
// process group nobody knows yet; "" when it has been noted.
func (d *Dir) SetStarting(run, id string) error {
	if id == "" {
		return remove(d.starting(run))
	}
	return os.WriteFile(d.starting(run), []byte(id), 0o600)
}

// Starting returns what SetStarting noted.
func (d *Dir) Starting(run string) string {
	text, _ := read(d.starting(run))
	return string(text)
}

// maxNote bounds what is read of a note, in bytes.
const maxNote = 1 << 20

// read returns what a note says, all of it or nothing.
func read(name string) ([]byte, error) {
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNote+1))
	if err == nil && len(text) > maxNote {
		err = fmt.Errorf("%q is larger than %d bytes", name, maxNote)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

func (d *Dir) containers(run string) string { return d.file("running", run, ".containers") }

// SetContainers notes whether a run may have containers.
func (d *Dir) SetContainers(run string, may bool) error {
	if !may {
		return remove(d.containers(run))
	}
	return os.WriteFile(d.containers(run), nil, 0o600)
}

// Containers returns what SetContainers noted.
func (d *Dir) Containers(run string) bool {
	_, err := os.Stat(d.containers(run))
	return err == nil
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
