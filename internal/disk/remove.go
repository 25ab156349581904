package disk

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
	// maxOpen is how many levels a worker has open. What is below is moved up:
	// others may have made it, as deep as they like.
	maxOpen = 100
	// maxShown bounds a path in messages, in bytes.
	maxShown = 300
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
// could. It needs as many descriptors for any depth, and time in proportion to
// what is there.
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
func RemoveAt(fd int, name string) error { return RemoveWithin(context.Background(), fd, name) }

// RemoveWithin is RemoveAt until ctx ends.
func RemoveWithin(ctx context.Context, fd int, name string) error {
	m, err := mountOf(fd)
	if err != nil {
		return err
	}
	r := &removal{ctx: ctx, mount: m, slots: make(chan struct{}, min(removers, runtime.GOMAXPROCS(0))-1)}
	at := level{path: name}
	if done, err := unlink(fd, name, at); done {
		return err
	}
	return r.descend(fd, name, at)
}

// removal is one call of RemoveAll.
type removal struct {
	ctx   context.Context
	mount mount
	slots chan struct{} // one for each worker beside the caller's

	top    *os.File // the directory that is removed
	mu     sync.Mutex
	lifted []string // names in top of what was too deep
}

// level is where a removal has come to.
type level struct {
	path  string // for messages
	depth int    // of the levels that are open
}

func (l level) below(name string) level { return level{filepath.Join(l.path, name), l.depth + 1} }

func (l level) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: l.String(), Err: err}
}

// String is the path, if need be without its middle.
func (l level) String() string {
	if len(l.path) <= maxShown {
		return l.path
	}
	half := maxShown / 2
	return strings.ToValidUTF8(l.path[:half]+"..."+l.path[len(l.path)-half:], "")
}

// unlink removes what is no directory. It is done when that is all there is
// to do.
func unlink(dir int, name string, at level) (done bool, err error) {
	err = unlinkat(dir, name, 0)
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return true, nil
	case mayBeDir(err):
		return false, nil
	}
	return true, at.fail("remove", err)
}

// descend removes a directory, or moves it up if it is too deep.
func (r *removal) descend(dir int, name string, at level) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	fd, err := openToEmpty(dir, name)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP): // not one: it may not be unlinked
		if err := unlinkat(dir, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return at.fail("remove", err)
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return at.fail("open", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	if m, err := mountOf(fd); err != nil || m != r.mount {
		return errors.Join(fmt.Errorf("remove %q: %w (%w)", at, ErrMount, unix.EBUSY), err)
	}
	makeWritable(fd)
	switch {
	case at.depth >= maxOpen:
		return r.lift(dir, name, at)
	case at.depth == 0:
		r.top = file
	}
	return r.directory(dir, name, at, file)
}

// lift moves a directory up into the one that is removed, to be emptied there.
func (r *removal) lift(dir int, name string, at level) error {
	as := ".too-deep-" + rand.Text()
	err := retryErr(func() error { return unix.Renameat(dir, name, int(r.top.Fd()), as) })
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return at.fail("rename", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lifted = append(r.lifted, as)
	return nil
}

// takeLifted returns what has been moved up since it was last asked.
func (r *removal) takeLifted() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names, r.lifted = r.lifted, nil
	return names
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
func (r *removal) directory(dir int, name string, at level, file *os.File) error {
	var first error
	for range rounds {
		names, err := list(file)
		if err != nil {
			return at.fail("read", err)
		}
		first = r.all(file, at, names)
		for file == r.top {
			if names = r.takeLifted(); len(names) == 0 {
				break
			}
			first = cmp.Or(first, r.all(file, at, names))
		}
		if first != nil {
			return first
		}
		err = unlinkat(dir, name, unix.AT_REMOVEDIR)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		first = at.fail("remove", err)
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
func (r *removal) all(dir *os.File, at level, names []string) error {
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
		below := at.below(name)
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
	return retryErr(func() error { return unix.Unlinkat(dir, name, flags) })
}

func retryErr(call func() error) error {
	_, err := retry(func() (int, error) { return 0, call() })
	return err
}

// makeReadable lets the owner of a directory open it.
func makeReadable(dir int, name string) error {
	return confined.Set(dir, name, confined.Meta{Mode: fs.ModeDir | 0o700}, confined.Mode)
}
