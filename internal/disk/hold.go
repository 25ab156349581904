package disk

import (
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settled is how old a directory must be before Sweep looks at it: between
// Mkdir and Hold there is a moment.
const settled = time.Minute

// Hold marks a directory as in use until the file it returns is closed, or
// its process ends, however it ends. Children do not inherit the mark.
func Hold(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	return f, nil
}

// Sweep removes the caller's own directories in parent whose name matches and
// that nobody holds: those of processes that were killed.
func Sweep(parent string, name *regexp.Regexp) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !name.MatchString(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < settled {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		hold, err := Hold(dir)
		if err != nil {
			continue
		}
		_ = RemoveAll(dir)
		_ = hold.Close()
	}
}
