package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// ErrForeignLink: a symlink on the way belongs to neither root nor the caller.
var ErrForeignLink = errors.New("a symlink of another user")

// maxLinks bounds the symlinks on the way to a file, as the kernel does.
const maxLinks = 40

// step is what counts of a directory on the way.
type step struct {
	uid    int
	gid    int
	mode   uint32
	device uint64
	inode  uint64
}

func newStep(st *unix.Stat_t) step {
	return step{
		uid: int(st.Uid), gid: int(st.Gid), mode: uint32(st.Mode), device: uint64(st.Dev), inode: uint64(st.Ino),
	}
}

// trusted tells whether what belongs to uid may be relied on.
func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// exposed says who else can rename in a directory, "" if nobody can.
func (s step) exposed(path string) string {
	switch {
	case !trusted(s.uid):
		return fmt.Sprintf("%q belongs to uid %d", path, s.uid)
	case s.mode&0o022 != 0 && s.mode&unix.S_ISVTX == 0:
		return fmt.Sprintf("%q may be written by others than its owner", path)
	}
	return ""
}

// place is a directory on the way, open for passing through.
type place struct {
	fd   int
	name string
	step step
}

// walker goes to a directory. What it has open is the way there as it really
// is: without symlinks, from "/".
type walker struct {
	given   string
	way     []place
	todo    []string // names still to go
	missing string   // the last name, when nothing is there
	passed  []ID     // all directories that it has been in

	writers string // who else can rename in one of all directories that it has been in, or has put a symlink there

	links    int
	targets  int  // so many of the first names to go are of a symlink's target
	inTarget bool // the name that it went to last was
}

// walk goes to path. It does without the last name when nothing is there. After
// an error the walker is closed.
func walk(path string) (*walker, error) {
	if !filepath.IsAbs(path) {
		return &walker{given: path}, &fs.PathError{Op: "open", Path: path, Err: errors.New("not an absolute path")}
	}
	w := &walker{given: path, todo: names(path)}
	err := w.start()
	for err == nil && len(w.todo) > 0 && w.missing == "" {
		err = w.enter(w.next())
	}
	if err != nil {
		w.close()
	}
	return w, err
}

// next takes the next name to go to.
func (w *walker) next() string {
	name := w.todo[0]
	w.todo, w.inTarget = w.todo[1:], w.targets > 0
	w.targets = max(w.targets-1, 0)
	return name
}

func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// start opens "/".
func (w *walker) start() error {
	w.close()
	fd, err := retry(func() (int, error) { return unix.Open("/", passing, 0) })
	if err != nil {
		return &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	return w.add(fd, "")
}

// add judges a directory that was opened.
func (w *walker) add(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return w.fail(name, err)
	}
	w.way = append(w.way, place{fd, name, newStep(&st)})
	w.passed = append(w.passed, w.last().step.id())
	if at := w.last().step; w.writers == "" && at.exposed("") != "" {
		w.writers = at.writers(w.path())
	}
	return nil
}

// enter goes one name further.
func (w *walker) enter(name string) error {
	switch name {
	case ".":
		return nil
	case "..":
		w.back()
		return nil
	}
	dir := w.last().fd
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, passing, 0) })
	switch {
	case err == nil:
		return w.add(fd, name)
	case errors.Is(err, unix.ENOENT) && len(w.todo) == 0:
		w.missing = name
		return nil
	case errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR):
		return w.follow(name)
	}
	return w.fail(name, err)
}

// follow goes where a symlink leads.
func (w *walker) follow(name string) error {
	target, owner, err := readLink(w.last().fd, name)
	switch {
	case errors.Is(err, unix.EINVAL): // not a symlink
		return w.fail(name, unix.ENOTDIR)
	case err != nil:
		return w.fail(name, err)
	case !trusted(owner):
		return fmt.Errorf("%q leads through %q: %w, uid %d", w.given, filepath.Join(w.path(), name), ErrForeignLink, owner)
	}
	// Where others can make names they may have moved the symlink there.
	if at := w.last().step; w.writers == "" && at.writable() {
		w.writers = at.writers(w.path())
	}
	if w.links++; w.links > maxLinks {
		return w.fail(name, unix.ELOOP)
	}
	more := names(target)
	w.todo, w.targets = append(more, w.todo...), w.targets+len(more)
	if filepath.IsAbs(target) {
		return w.start()
	}
	return nil
}

func (w *walker) last() place { return w.way[len(w.way)-1] }

// back goes to the directory above, the one that it came by.
func (w *walker) back() {
	if n := len(w.way) - 1; n > 0 {
		_ = unix.Close(w.way[n].fd)
		w.way = w.way[:n]
	}
}

// path is the real name of where it is.
func (w *walker) path() string { return pathOf(w.way) }

func pathOf(way []place) string {
	var b strings.Builder
	for _, p := range way[1:] {
		b.WriteString("/" + p.name)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

func (w *walker) fail(name string, err error) error {
	at := name
	if len(w.way) > 0 {
		at = filepath.Join(w.path(), name)
	}
	return &fs.PathError{Op: "open", Path: at, Err: err}
}

// open opens the directory that it is at.
func (w *walker) open() (*Dir, error) { return openPlace(w.way) }

// openPlace opens the last directory of a way for reading, by its descriptor.
func openPlace(way []place) (*Dir, error) {
	path := pathOf(way)
	fd, err := confined.OpenDir(way[len(way)-1].fd, ".")
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = file.Close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return newDir(file, &st, path, exposedOn(way))
}

// exposedOn says who else can rename on a way, "" if nobody can.
func exposedOn(way []place) string {
	for i, p := range way {
		if why := p.step.exposed(pathOf(way[:i+1])); why != "" {
			return why
		}
	}
	return ""
}

func (w *walker) close() {
	for _, p := range w.way {
		_ = unix.Close(p.fd)
	}
	w.way = nil
}
