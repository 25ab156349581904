package confined

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Copier copies trees to where somebody else may be able to rename: what it
// makes it knows by descriptor from then on. Modes, owners as far as the
// caller may set them, and times are copied, hard links not.
type Copier struct {
	// Refuse says what of special files, by path and mode, is not copied: its
	// error ends the copying. nil refuses devices and sockets alone.
	Refuse func(path string, mode fs.FileMode) error
}

// Copy copies a path with all below it to a name that has nothing. An error
// leaves a part of it.
func (c Copier) Copy(ctx context.Context, from int, name string, to int, newName string) error {
	return c.copy(ctx, name, from, name, to, newName)
}

// CopyDir copies an open directory with all below it.
func (c Copier) CopyDir(ctx context.Context, from, to int, newName string) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	return c.dir(ctx, "", from, MetaOf(&st), to, newName)
}

// copy copies one name; path is what errors call it.
func (c Copier) copy(ctx context.Context, path string, from int, name string, to int, newName string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := Lstat(from, name, &st); err != nil {
		return err
	}
	m := MetaOf(&st)
	switch m.Mode.Type() {
	case 0:
		return copyFile(ctx, from, name, to, newName, m)
	case fs.ModeDir:
		return c.sub(ctx, path, from, name, m, to, newName)
	case fs.ModeSymlink:
		target, err := Readlink(from, name, make([]byte, MaxTarget))
		if err == nil {
			err = unix.Symlinkat(string(target), to, newName)
		}
		if err != nil {
			return err
		}
	default:
		if err := c.special(path, m.Mode); err != nil {
			return err
		}
		if err := Mkfifo(to, newName, 0o600); err != nil {
			return err
		}
	}
	return Set(to, newName, m, All())
}

func (c Copier) special(path string, mode fs.FileMode) error {
	if c.Refuse != nil {
		if err := c.Refuse(path, mode); err != nil {
			return err
		}
	}
	if mode&fs.ModeNamedPipe == 0 {
		return fmt.Errorf("%q is a device or a socket", path)
	}
	return nil
}

func copyFile(ctx context.Context, from int, name string, to int, newName string, m Meta) error {
	src, err := OpenFile(from, name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := Create(to, newName, 0o600)
	if err != nil {
		return err
	}
	if err = copyContent(ctx, dst, src); err == nil {
		err = SetFile(dst, to, newName, m, All())
	}
	return errors.Join(err, dst.Close())
}

// copyStep is how much is copied between two looks at the context, in bytes.
const copyStep = 64 << 20

func copyContent(ctx context.Context, dst, src *os.File) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		_, err := io.CopyN(dst, src, copyStep)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sub copies a directory by its name.
func (c Copier) sub(ctx context.Context, path string, from int, name string, m Meta, to int, newName string) error {
	fd, lock, err := openLocked(from, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return errors.Join(c.dir(ctx, path, fd, m, to, newName), lock())
}

func (c Copier) dir(ctx context.Context, path string, from int, m Meta, to int, newName string) error {
	dir, err := MakeDir(to, newName)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	names, err := new(Walk).List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.copy(ctx, Join(path, name), from, name, dir, name); err != nil {
			return err
		}
	}
	return SetOpen(dir, m, All())
}

// openLocked opens a directory of the caller's that it may not read, perhaps:
// it may until lock has been called.
func openLocked(fd int, name string) (dir int, lock func() error, err error) {
	none := func() error { return nil }
	dir, err = OpenDir(fd, name)
	if !errors.Is(err, unix.EACCES) {
		return dir, none, err
	}
	var st unix.Stat_t
	if Lstat(fd, name, &st) != nil {
		return -1, none, err
	}
	was := MetaOf(&st)
	open := was
	open.Mode |= 0o700
	if Set(fd, name, open, Mode) != nil {
		return -1, none, err
	}
	lock = func() error { return Set(fd, name, was, Mode) }
	if dir, err = OpenDir(fd, name); err != nil {
		return -1, none, errors.Join(err, lock())
	}
	return dir, lock, nil
}
