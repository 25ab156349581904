package mirror

import (
	"errors"
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
	openDir  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
)

// walk opens directories below a root, never through a symlink, and keeps
// those on the way to the last one open, so that a file costs no walk.
type walk struct {
	open    []level // from the root down, each a parent of the next
	missing string  // a directory that was not there; "" = none known
	buf     []byte
	names   []string
}

type level struct {
	path string // "" for the root
	fd   int
}

// newWalk starts at an open directory, which stays the caller's to close.
func newWalk(root *os.Root) (*walk, error) {
	fd, err := open(root)
	if err != nil {
		return nil, err
	}
	return &walk{open: []level{{fd: fd}}}, nil
}

// newWalkAt opens a directory by its name in another as a root.
func newWalkAt(fd int, name string) (*walk, error) {
	n, err := openat(fd, name, openDir|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	return &walk{open: []level{{fd: n}}}, nil
}

func (w *walk) close() {
	if w != nil {
		w.cut(0)
	}
}

func (w *walk) cut(n int) {
	for _, l := range w.open[n:] {
		_ = unix.Close(l.fd)
	}
	w.open = w.open[:n]
}

func (w *walk) root() int { return w.open[0].fd }

// at gives the descriptor of a directory, good until the next call. With
// create, missing directories are made, for the caller alone. A directory that
// was missing once is taken to be missing until another one is asked for.
func (w *walk) at(path string, create bool) (int, error) {
	n := len(w.open)
	for n > 1 && !within(path, w.open[n-1].path) {
		n--
	}
	w.cut(n)
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

// lookup is at for directories that may be missing, and remembers the last one
// that was.
func (w *walk) lookup(path string) (int, error) {
	if w == nil || w.missing != "" && within(path, w.missing) {
		return -1, unix.ENOENT
	}
	fd, err := w.at(path, false)
	if isMissing(err) {
		w.missing = path
	}
	return fd, err
}

// descend opens one more directory on the way to path.
func (w *walk) descend(from level, path string, create bool) error {
	start := len(from.path)
	if start > 0 {
		start++
	}
	end := len(path)
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		end = start + i
	}
	name := path[start:end]
	fd, err := openat(from.fd, name, openDir|unix.O_NOFOLLOW)
	if create && errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdirat(from.fd, name, 0o700); err == nil {
			fd, err = openat(from.fd, name, openDir|unix.O_NOFOLLOW)
		}
	}
	if err != nil {
		return err
	}
	if len(w.open) >= maxOpen {
		w.cut(len(w.open) - 1)
	}
	w.open = append(w.open, level{path[:end], fd})
	return nil
}

// list gives the sorted names in an open directory, good until the next call.
func (w *walk) list(fd int) ([]string, error) {
	names, err := w.read(fd, w.names[:0])
	w.names = names
	return names, err
}

func (w *walk) read(fd int, names []string) ([]string, error) {
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

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// split gives the directory of a path ("" for the root) and its last name.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// join is the path of a name in a directory.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
