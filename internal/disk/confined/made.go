package confined

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Make makes a regular file, which must not be there, with content, and sets parts of
// it: only what it does not have already. It has its mode from the beginning. Make
// tells what the file is then. Of one that it made and could not finish, the name stays.
func Make(fd int, name string, content []byte, m Meta, w What) (st unix.Stat_t, err error) {
	file, err := create(fd, name, m.Mode.Perm())
	if err != nil {
		return st, err
	}
	if err = writeAll(file, content); err != nil {
		err = &fs.PathError{Op: "write", Path: name, Err: err}
	} else {
		st, err = setMade(file, fd, name, m, w)
	}
	if cerr := unix.Close(file); cerr != nil && !errors.Is(cerr, unix.EINTR) { // it is closed all the same
		err = errors.Join(err, &fs.PathError{Op: "close", Path: name, Err: cerr})
	}
	return st, err
}

func create(fd int, name string, mode fs.FileMode) (int, error) {
	return retry(func() (int, error) {
		const flags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		return unix.Openat(fd, name, flags, Perm(mode))
	})
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := retry(func() (int, error) { return unix.Write(fd, p) })
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}
