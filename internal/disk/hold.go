package disk

import (
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
