package disk

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// settled is how old a directory must be before Sweep looks at it: between
// Make and Hold there is a moment.
const settled = time.Minute

// Hold marks an open directory as in use until the file it returns is closed,
// or its process ends, however it ends. Children do not inherit the mark.
func Hold(dir *os.Root) (*os.File, error) {
	f, err := opened(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "flock", Path: dir.Name(), Err: err}
	}
	return f, nil
}

// lockPoll is the time between two attempts at a lock that is held for moments.
const lockPoll = 10 * time.Millisecond

// Lock takes the lock on an open file or directory, until that is closed. It waits for
// others who have it until ctx ends, and returns the cause of that.
func Lock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// Sweep removes the caller's own directories in parent whose names match and
// that nobody holds: those of processes that were killed. It does so in a
// private directory alone: elsewhere others may give such a name to another
// directory of the caller's.
func Sweep(parent *Dir, matches func(name string) bool) {
	if !parent.Private() {
		return
	}
	dir, err := opened(parent.Root())
	if err != nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	for _, n := range names {
		if matches(n) {
			sweep(parent, n)
		}
	}
}

func sweep(parent *Dir, name string) {
	d, err := parent.Sub(name)
	if err != nil {
		return
	}
	defer d.Close()
	info, err := d.File().Stat()
	if err != nil || d.step.uid != os.Geteuid() || time.Since(info.ModTime()) < settled {
		return
	}
	hold, err := Hold(d.Root())
	if err != nil {
		return
	}
	defer hold.Close()
	_ = RemoveAll(parent.Root(), name)
}
