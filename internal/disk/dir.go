package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// Dir is an open directory. What lies below it is reached through its
// descriptor, never by its name again.
type Dir struct {
	file *os.File
	root *os.Root
	path string
	step step // as it was judged when it was opened
	why  string
}

// Open opens the directory at an absolute path. It walks there from "/" and
// follows a symlink only where root or the caller owns it; the error is
// ErrForeignLink else.
func Open(path string) (*Dir, error) {
	w, err := walk(path)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if w.missing != "" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return w.open()
}

// newDir makes a Dir of an open directory. It closes the file when it fails.
func newDir(file *os.File, st *unix.Stat_t, path, why string) (*Dir, error) {
	root, err := rootOf(file, path)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Dir{file: file, root: root, path: path, step: newStep(st), why: why}, nil
}

// Root reaches what is below the directory. It is closed with the Dir.
func (d *Dir) Root() *os.Root { return d.root }

// Path is the real name that the directory had when it was opened: for
// messages, and for programs that must be told. It is never opened again.
func (d *Dir) Path() string { return d.path }

// File is the directory's descriptor. It is closed with the Dir.
func (d *Dir) File() *os.File { return d.file }

// Private tells whether nobody but root and the caller can rename anything in
// the directory, or it, or a directory above it. Each of them belongs to root
// or the caller, and no one else may write it, or it is sticky. It is as of
// the time when the directory was opened.
func (d *Dir) Private() bool { return d.why == "" }

// Exposed says who else can rename there; it is "" for a private directory.
func (d *Dir) Exposed() string { return d.why }

// Device tells which file system the directory is on.
func (d *Dir) Device() uint64 { return d.step.device }

// Close closes the directory. It may be called again.
func (d *Dir) Close() error {
	err := d.root.Close()
	if cerr := d.file.Close(); !errors.Is(cerr, os.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	return err
}

// Sub opens a directory in this one, never by a symlink.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := component(name); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, name)
	fd, err := confined.OpenDir(int(d.file.Fd()), name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return d.sub(fd, path)
}

// Again opens the directory once more. Each of the two is closed on its own.
func (d *Dir) Again() (*Dir, error) {
	fd, err := confined.OpenDir(int(d.file.Fd()), ".")
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return d.sub(fd, d.path)
}

func (d *Dir) sub(fd int, path string) (*Dir, error) {
	file := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = file.Close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	why := d.why
	if why == "" {
		why = newStep(&st).exposed(path)
	}
	return newDir(file, &st, path, why)
}

// Make makes a directory in this one and opens it. What is there then is the
// caller's, has at most the permissions of mode and is empty: nobody has put
// another directory in its place.
func (d *Dir) Make(name string, mode fs.FileMode) (*Dir, error) {
	if err := component(name); err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(int(d.file.Fd()), name, uint32(mode.Perm())); err != nil {
		return nil, &fs.PathError{Op: "mkdir", Path: filepath.Join(d.path, name), Err: err}
	}
	made, err := d.Sub(name)
	if err != nil {
		return nil, err
	}
	if !made.asMade(mode) {
		_ = made.Close()
		return nil, fmt.Errorf("%q: %w", made.path, errSwapped)
	}
	return made, nil
}

var errSwapped = errors.New("somebody else has put another directory in its place")

func (d *Dir) asMade(mode fs.FileMode) bool {
	if d.step.uid != os.Geteuid() || fs.FileMode(d.step.mode).Perm()&^mode.Perm() != 0 {
		return false
	}
	list, err := opened(d.root)
	if err != nil {
		return false
	}
	defer list.Close()
	_, err = list.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// component refuses what is not one name.
func component(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
	}
	return nil
}

// retry repeats a call that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// rootOf makes a root of an open directory: by the name that /proc has for the
// descriptor, else step by step along the path, and then only if that led to
// the same directory.
func rootOf(file *os.File, path string) (*os.Root, error) {
	root, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	if err == nil {
		if err = sameDir(root, file); err == nil {
			return root, nil
		}
		_ = root.Close()
	}
	return rootAlong(file, path)
}

func rootAlong(file *os.File, path string) (*os.Root, error) {
	root, err := os.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		next, err := root.OpenRoot(name)
		_ = root.Close()
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
		}
		root = next
	}
	if err := sameDir(root, file); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return root, nil
}

func sameDir(root *os.Root, file *os.File) error {
	a, err := root.Stat(".")
	if err != nil {
		return err
	}
	b, err := file.Stat()
	if err == nil && !os.SameFile(a, b) {
		err = errSwapped
	}
	return err
}
