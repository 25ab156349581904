package confined

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxOpen bounds the descriptors that a walk keeps.
	maxOpen = 64
	// listSize is the buffer for reading a directory, in bytes.
	listSize = 32 << 10
)

// Walk opens directories below a root, never through a symlink, and keeps
// those on the way to the last one open, so that a file costs no walk. Paths
// are slash-separated and relative; "" is the root.
type Walk struct {
	// Mode is that of directories that At makes, before the umask.
	Mode fs.FileMode
	// Grant, when set, is asked before At makes a directory; its error is At's.
	Grant   func() error
	open    []level // from the root down, each a parent of the next
	missing string  // a directory that was not there; "" = none known
	opens   int
	buf     []byte
	names   []string
}

type level struct {
	path string // "" for the root
	fd   int
}

// NewWalk starts at an open directory, which stays the caller's to close. What
// it makes is for the caller alone.
func NewWalk(root *os.Root) (*Walk, error) {
	fd, err := Open(root)
	if err != nil {
		return nil, err
	}
	return &Walk{Mode: 0o700, open: []level{{fd: fd}}}, nil
}

// Open gives a descriptor of a root, with a position of its own.
func Open(root *os.Root) (int, error) {
	f, err := root.Open(".")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return retry(func() (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0) })
}

// Close closes what is open. A nil walk has nothing.
func (w *Walk) Close() {
	if w != nil {
		w.cut(0)
	}
}

func (w *Walk) cut(n int) {
	for _, l := range w.open[n:] {
		_ = unix.Close(l.fd)
	}
	w.open = w.open[:n]
}

// Root is the descriptor of the root.
func (w *Walk) Root() int { return w.open[0].fd }

// At gives the descriptor of a directory, good until the next call. With
// create, missing directories are made.
func (w *Walk) At(path string, create bool) (int, error) {
	n := len(w.open)
	for n > 1 && !Within(path, w.open[n-1].path) {
		n--
	}
	w.cut(n)
	if err := w.jump(path, create); err != nil {
		return -1, err
	}
	for {
		last := w.open[len(w.open)-1]
		if len(last.path) == len(path) {
			return last.fd, nil
		}
		if err := w.descend(last, path, create); err != nil {
			return -1, err
		}
	}
}

// Opens is how often the system was asked to open a directory.
func (w *Walk) Opens() int { return w.opens }

// jump opens path, or of what is to be made the part that is there, at once:
// who goes back and forth between deep directories pays for each way as the
// system does, and not for each name on it. Where that is not possible, one
// name after the other is opened then, and tells what is wrong.
func (w *Walk) jump(path string, create bool) error {
	from := w.open[len(w.open)-1]
	start := len(from.path)
	if start > 0 {
		start++
	}
	if len(from.path) == len(path) || strings.IndexByte(path[start:], '/') < 0 {
		return nil
	}
	fd, err := w.openBelow(from.fd, path[start:])
	if errors.Is(err, unix.ENOENT) && create {
		fd, path = w.deepest(from.fd, path, start)
	}
	switch {
	case fd >= 0:
		w.push(path, fd)
	case errors.Is(err, unix.ENOENT) && !create:
		return err
	}
	return nil
}

// deepest opens the last directory on the way to path that is there, if it is
// more than one name away: directories have parents, so that halving finds it.
func (w *Walk) deepest(from int, path string, start int) (int, string) {
	var ends []int // of the names on the way
	for i := start; i < len(path); i++ {
		if path[i] == '/' {
			ends = append(ends, i)
		}
	}
	fd, there := -1, 0
	for lo, hi := 0, len(ends); lo < hi; {
		mid := (lo + hi) / 2
		n, err := w.openBelow(from, path[start:ends[mid]])
		if err != nil {
			hi = mid
			continue
		}
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		fd, there, lo = n, ends[mid], mid+1
	}
	return fd, path[:there]
}

func (w *Walk) openBelow(fd int, path string) (int, error) {
	w.opens++
	return openBelow(fd, path)
}

// push keeps a directory open that lies below the last one.
func (w *Walk) push(path string, fd int) {
	if len(w.open) >= maxOpen {
		w.cut(len(w.open) - 1)
	}
	w.open = append(w.open, level{path, fd})
}

// Reached is the last directory on the way to the one that At was asked for:
// after an error, what failed is in it. It may be one further up when a directory
// was missing and not to be made.
func (w *Walk) Reached() (path string, fd int) {
	last := w.open[len(w.open)-1]
	return last.path, last.fd
}

// Lookup is At for directories that may be missing, and remembers the last one
// that was: it is taken to be missing until another one is asked for.
func (w *Walk) Lookup(path string) (int, error) {
	if w == nil || w.missing != "" && Within(path, w.missing) {
		return -1, unix.ENOENT
	}
	fd, err := w.At(path, false)
	if IsMissing(err) {
		w.missing = path
	}
	return fd, err
}

// descend opens one more directory on the way to path.
func (w *Walk) descend(from level, path string, create bool) error {
	start := len(from.path)
	if start > 0 {
		start++
	}
	end := len(path)
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		end = start + i
	}
	name := path[start:end]
	w.opens++
	fd, err := OpenDir(from.fd, name)
	if create && errors.Is(err, unix.ENOENT) {
		if w.Grant != nil {
			if err := w.Grant(); err != nil {
				return err
			}
		}
		err = unix.Mkdirat(from.fd, name, Perm(w.Mode))
		if err == nil || errors.Is(err, unix.EEXIST) { // another walk has made it meanwhile
			fd, err = OpenDir(from.fd, name)
		}
	}
	if err != nil {
		return err
	}
	w.push(path[:end], fd)
	return nil
}

// List gives the sorted names in an open directory, good until the next call.
func (w *Walk) List(fd int) ([]string, error) {
	names, err := w.read(fd, w.names[:0])
	w.names = names
	return names, err
}

func (w *Walk) read(fd int, names []string) ([]string, error) {
	if w.buf == nil {
		w.buf = make([]byte, listSize)
	}
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return nil, err
	}
	for {
		n, err := unix.ReadDirent(fd, w.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			slices.Sort(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(w.buf[:n], -1, names)
	}
}

// Within tells whether path is dir or below it.
func Within(path, dir string) bool {
	return dir == "" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// Split gives the directory of a path ("" for the root) and its last name.
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// Join is the path of a name in a directory.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
