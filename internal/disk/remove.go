package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// ErrMount: a file system is mounted there, and it stays.
var ErrMount = errors.New("a file system is mounted there")

const (
	// removers is how many directories of a tree are emptied at a time.
	removers = 4
	// rounds bounds how often a directory is listed that somebody fills.
	rounds = 10
)

// sameMount tells whether two open files are on the same mount.
func sameMount(a, b int) bool {
	one, err := mountOf(a)
	if err != nil {
		return false
	}
	two, err := mountOf(b)
	return err == nil && one == two
}

// RemoveAll removes what is called name in an open directory, and all below
// it. It follows no symlink, whoever changes the tree meanwhile, and leaves
// what is mounted in it (ErrMount). Unlike os.RemoveAll it also removes
// directories that the caller owns but may not write, as unpacked archives have
// them. What is not there is no error. After an error it has removed what it
// could.
func RemoveAll(parent *os.Root, name string) error {
	if err := component(name); err != nil {
		return err
	}
	dir, err := opened(parent)
	if err != nil {
		return err
	}
	defer dir.Close()
	return RemoveAt(int(dir.Fd()), name)
}

// RemoveAt is RemoveAll by the descriptor of the open directory.
func RemoveAt(fd int, name string) error {
	m, err := mountOf(fd)
	if err != nil {
		return err
	}
	r := &removal{mount: m, slots: make(chan struct{}, min(removers, runtime.GOMAXPROCS(0))-1)}
	return r.entry(fd, name, name)
}

// removal is one call of RemoveAll.
type removal struct {
	mount mount
	slots chan struct{} // one for each worker beside the caller's
}

// entry removes what is called name in dir. path is for messages.
func (r *removal) entry(dir int, name, path string) error {
	if done, err := unlink(dir, name, path); done {
		return err
	}
	return r.descend(dir, name, path)
}

// unlink removes what is no directory. It is done when that is all there is
// to do.
func unlink(dir int, name, path string) (done bool, err error) {
	err = unlinkat(dir, name, 0)
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return true, nil
	case mayBeDir(err):
		return false, nil
	}
	return true, &fs.PathError{Op: "remove", Path: path, Err: err}
}

// descend removes a directory.
func (r *removal) descend(dir int, name, path string) error {
	fd, err := openToEmpty(dir, name)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP): // not one: it may not be unlinked
		if err := unlinkat(dir, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return &fs.PathError{Op: "remove", Path: path, Err: err}
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if m, err := mountOf(fd); err != nil || m != r.mount {
		return errors.Join(fmt.Errorf("remove %q: %w (%w)", path, ErrMount, unix.EBUSY), err)
	}
	makeWritable(fd)
	return r.directory(dir, name, path, file)
}

// makeWritable lets the owner of an open directory remove what is in it.
func makeWritable(fd int) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&0o700 != 0o700 {
		_ = unix.Fchmod(fd, uint32(st.Mode)&0o777|0o700)
	}
}

// mayBeDir tells whether unlink(2) fails like this for a directory. EACCES is
// among them, since it is told before the kind.
func mayBeDir(err error) bool {
	return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

// directory empties an open directory and removes it, as name in dir.
func (r *removal) directory(dir int, name, path string, file *os.File) error {
	var first error
	for range rounds {
		names, err := list(file)
		if err != nil {
			return &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if first = r.all(file, path, names); first != nil {
			return first
		}
		err = unlinkat(dir, name, unix.AT_REMOVEDIR)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		first = &fs.PathError{Op: "remove", Path: path, Err: err}
		if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
			return first
		}
	}
	return first
}

// list returns the names in an open directory, from its beginning.
func list(dir *os.File) ([]string, error) {
	if _, err := dir.Seek(0, 0); err != nil {
		return nil, err
	}
	return dir.Readdirnames(-1)
}

// all removes names from an open directory, those that are directories on
// other workers while there are any. It returns the first error.
func (r *removal) all(dir *os.File, path string, names []string) error {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		first   error
	)
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
	}
	fd := int(dir.Fd())
	for _, name := range names {
		below := filepath.Join(path, name)
		if done, err := unlink(fd, name, below); done {
			note(err)
			continue
		}
		select {
		case r.slots <- struct{}{}:
			workers.Go(func() {
				defer func() { <-r.slots }()
				note(r.descend(fd, name, below))
			})
		default:
			note(r.descend(fd, name, below))
		}
	}
	workers.Wait()
	return first
}

// openToEmpty opens a directory, never by a symlink, and makes it readable
// where its owner has not left it so.
func openToEmpty(dir int, name string) (int, error) {
	fd, err := confined.OpenDir(dir, name)
	if errors.Is(err, unix.EACCES) && makeReadable(dir, name) == nil {
		return confined.OpenDir(dir, name)
	}
	return fd, err
}

func unlinkat(dir int, name string, flags int) error {
	_, err := retry(func() (int, error) { return 0, unix.Unlinkat(dir, name, flags) })
	return err
}

// makeReadable lets the owner of a directory open it.
func makeReadable(dir int, name string) error {
	return confined.Set(dir, name, confined.Meta{Mode: fs.ModeDir | 0o700}, confined.Mode)
}
