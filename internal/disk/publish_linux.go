package disk

import (
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// nameless makes a file in an open directory that can get a name later.
func nameless(dir int, perm fs.FileMode) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, ".", unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, confined.Perm(perm))
	})
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "a file without a name")
	if _, err := os.Stat(inProc(file)); err != nil { // it could get no name
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// linkNameless gives it a name that nothing has.
func linkNameless(file *os.File, dir int, name string) error {
	return unix.Linkat(unix.AT_FDCWD, inProc(file), dir, name, unix.AT_SYMLINK_FOLLOW)
}

// inProc is what a file without a name is linked by: AT_EMPTY_PATH needs a
// capability, this does not (open(2)).
func inProc(file *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(file.Fd())) }
