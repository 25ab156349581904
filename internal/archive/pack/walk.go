package pack

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive/index"
	"stretcher/internal/disk/confined"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/runid"
)

// tree walks through what is packed.
type tree struct {
	ctx  context.Context
	walk *confined.Walk
	opts *Options
	to   *writer
	buf  []byte
	link [confined.MaxTarget]byte
}

// spot is where an entry stands: at a name in an open directory.
type spot struct {
	path string // "" for the root
	fd   int
	name string
	st   unix.Stat_t
}

func (t *tree) warn(format string, args ...any) {
	if t.opts.Warn != nil {
		t.opts.Warn(fmt.Sprintf(format, args...))
	}
}

// all packs the root and what is below it.
func (t *tree) all() error {
	s := spot{fd: t.walk.Root(), name: "."}
	if err := unix.Fstat(s.fd, &s.st); err != nil {
		return &fs.PathError{Op: "stat", Path: ".", Err: err}
	}
	if err := t.to.dir(&s); err != nil {
		return err
	}
	return t.below("")
}

// below packs what is in a directory, and finds whether something has come or
// gone meanwhile.
func (t *tree) below(dir string) error {
	before, err := t.stat(dir)
	if err != nil {
		return err
	}
	fd, err := t.at(dir)
	if err != nil {
		return err
	}
	names, err := t.walk.List(fd)
	if err != nil {
		return &fs.PathError{Op: "read", Path: dir, Err: err}
	}
	for _, name := range slices.Clone(names) { // good until the next List
		if err := context.Cause(t.ctx); err != nil {
			return err
		}
		if err := t.name(dir, name); err != nil {
			return err
		}
	}
	after, err := t.stat(dir)
	if err == nil && !isSame(&before, &after) {
		return changed(dir)
	}
	return err
}

// at opens a directory. One that is gone has been there a moment ago.
func (t *tree) at(dir string) (int, error) {
	fd, err := t.walk.At(dir, false)
	if err != nil {
		return -1, vanished(err, "open", dir)
	}
	return fd, nil
}

func (t *tree) stat(dir string) (st unix.Stat_t, err error) {
	fd, err := t.at(dir)
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	return st, err
}

// maxTold is how much of a path that is too long is told, in bytes.
const maxTold = 200

// name packs what stands at a name in a directory, and what is below it.
func (t *tree) name(dir, name string) error {
	s := spot{path: confined.Join(dir, name), name: name}
	var err error
	if s.fd, err = t.at(dir); err != nil {
		return err
	}
	if err := confined.Lstat(s.fd, name, &s.st); err != nil {
		return vanished(err, "lstat", s.path)
	}
	isDir := confined.FileType(&s.st) == fs.ModeDir
	switch {
	case t.opts.Skip != nil && t.opts.Skip(s.path, isDir):
		return nil
	case runid.IsTemp(name):
		t.warn("%q is left out: it is a temporary directory of a deployment", s.path)
		return nil
	case len(s.path) > index.MaxPath:
		return fmt.Errorf("%q: a path of more than %d bytes", printable.Cut(s.path, maxTold), index.MaxPath)
	}
	if err := t.entry(&s); err != nil || !isDir {
		return err
	}
	return t.below(s.path)
}

// entry packs one entry. Sockets and FIFOs are what programs leave where they
// run: they are left out. A device is meant to be there, and can't be unpacked.
func (t *tree) entry(s *spot) error {
	switch confined.FileType(&s.st) {
	case fs.ModeDir:
		return t.to.dir(s)
	case fs.ModeSymlink:
		target, err := confined.Readlink(s.fd, s.name, t.link[:])
		if err != nil {
			return vanished(err, "readlink", s.path)
		}
		return t.to.symlink(s, string(target))
	case 0:
		return t.file(s)
	case fs.ModeNamedPipe:
		t.warn("%q is left out: it is a FIFO", s.path)
		return nil
	}
	if s.st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		t.warn("%q is left out: it is a socket", s.path)
		return nil
	}
	return fmt.Errorf("%q is a device: no archive with it can be deployed", s.path)
}

// file packs a regular file: the one that it has opened, if that is the one
// that was seen.
func (t *tree) file(s *spot) error {
	if old, ok := t.to.linked(s); ok {
		return t.to.hardlink(s, old)
	}
	f, err := confined.OpenFile(s.fd, s.name)
	if err != nil {
		return vanished(err, "open", s.path)
	}
	defer f.Close()
	if err := t.unchanged(f, s); err != nil {
		return err
	}
	if err := t.to.file(s, &reader{t.ctx, f}, t.buf); err != nil {
		return err
	}
	return t.unchanged(f, s)
}

// reader is a reader that ends with ctx: a file may be large.
type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads unless the context has ended.
func (r *reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// unchanged finds whether an open file is as it was seen.
func (t *tree) unchanged(f *os.File, s *spot) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: s.path, Err: err}
	}
	if !isSame(&s.st, &st) {
		return changed(s.path)
	}
	return nil
}

// isSame tells whether neither content nor metadata were changed: the time of
// the last change is set by nobody.
func isSame(a, b *unix.Stat_t) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && a.Size == b.Size && a.Ctim == b.Ctim && a.Mtim == b.Mtim
}

func changed(path string) error {
	if path == "" {
		path = "."
	}
	return fmt.Errorf("%q: %w", path, ErrChanged)
}

// vanished explains an error about what has been there a moment ago.
func vanished(err error, op, path string) error {
	if confined.IsMissing(err) {
		return changed(path)
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
