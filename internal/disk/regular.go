package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrIrregular: what is there is no file, but a FIFO, a device or a directory.
var ErrIrregular = errors.New("not a regular file")

// OpenRegular opens a file as os.OpenFile does, at a path that somebody named.
// A FIFO does not hang it (ErrIrregular), and symlinks are followed as Open
// follows them (ErrForeignLink). A symlink that leads nowhere is ErrDangling,
// and not fs.ErrNotExist: something was meant to be there. In a directory where
// others can rename, a file that has another name too is not opened for
// writing: they may have given it this one.
func OpenRegular(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := openRegular(path, flag, perm)
	var at *fs.PathError
	if errors.As(err, &at) {
		err = &fs.PathError{Op: "open", Path: path, Err: at.Err}
	}
	return f, err
}

func openRegular(path string, flag int, perm fs.FileMode) (*os.File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	w, base, err := walkToFile(abs)
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := openIn(w.last().fd, base, path, flag, perm, exposedOn(w.way) != "")
	if errors.Is(err, fs.ErrNotExist) && w.inTarget {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrDangling}
	}
	return f, err
}

// OpenRegularIn is OpenRegular for a name in an open directory, and follows no
// symlink at all.
func OpenRegularIn(dir *os.Root, name string, flag int, perm fs.FileMode) (*os.File, error) {
	if err := component(name); err != nil {
		return nil, err
	}
	d, err := opened(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: dir.Name(), Err: err}
	}
	return openIn(int(d.Fd()), name, name, flag, perm, newStep(&st).exposed("") != "")
}

// openIn opens a file in a directory, where others can rename if it is exposed.
func openIn(dir int, base, path string, flag int, perm fs.FileMode, exposed bool) (*os.File, error) {
	flags := flag&^os.O_TRUNC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(dir, base, flags, uint32(perm.Perm())) })
	if errors.Is(err, unix.ENXIO) { // a FIFO that nobody reads, or a socket
		err = ErrIrregular
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := regular(fd, flag, exposed); err != nil {
		_ = unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	if flag&os.O_TRUNC != 0 { // only now: the file has been judged
		if err := file.Truncate(0); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	return file, nil
}

// regular judges a file that was opened.
func regular(fd, flag int, exposed bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return ErrIrregular
	case writing && exposed && st.Nlink > 1:
		return errors.New("it has another name, in a directory where others can rename")
	}
	return unix.SetNonblock(fd, false)
}

// walkToFile goes to the directory that a file is in, through the symlinks
// that are its last name. base is the file's own name there. After an error the
// walker is closed.
func walkToFile(path string) (w *walker, base string, err error) {
	todo := names(path)
	if len(todo) == 0 {
		return &walker{}, "", &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	w = &walker{given: path, todo: todo}
	if err = w.start(); err == nil {
		base, err = w.toLast()
	}
	if errors.Is(err, fs.ErrNotExist) && w.inTarget {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrDangling}
	}
	if err != nil {
		w.close()
		return w, "", err
	}
	return w, base, nil
}

// toLast goes on until one name is left that is no symlink.
func (w *walker) toLast() (string, error) {
	for {
		if len(w.todo) == 0 {
			return "", fmt.Errorf("%q: %w", w.given, ErrIrregular)
		}
		name := w.next()
		if len(w.todo) == 0 && name != "." && name != ".." && !isLink(w.last().fd, name) {
			return name, nil
		}
		if err := w.enter(name); err != nil {
			return "", err
		}
		if w.missing != "" {
			return w.missing, nil
		}
	}
}

func isLink(dir int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}
