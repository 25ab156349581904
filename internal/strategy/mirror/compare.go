package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// comparison makes a plan, directory by directory.
type comparison struct {
	*Plan
	ctx  context.Context
	walk *confined.Walk
	soon *confined.Ahead // of what the table has
	pair pair
	buf  [confined.MaxTarget]byte
	seen int // entries that dest may have, too
}

// later is a directory to go into when the one that holds it is done.
type later struct {
	path  string
	entry int // index; -1 = only dest has it
	what  what
}

func (c *comparison) run() error {
	if c.dest.Dir == nil {
		c.fresh = true
		c.add(0)
		return nil
	}
	w, err := confined.NewWalk(c.dest.Dir)
	if err != nil {
		return err
	}
	c.walk, c.soon = w, confined.LookAhead(c.dest.Dir, c.table.paths(&c.opts, byLevel))
	defer w.Close()
	defer c.soon.Close()
	var st unix.Stat_t
	if err := unix.Fstat(w.Root(), &st); err != nil {
		return err
	}
	return c.dir(0, c.meta(&c.table[0], &st))
}

// add plans a path that is new, with all below it.
func (c *comparison) add(i int) {
	c.steps = append(c.steps, step{path: c.table[i].Path, entry: int32(i), op: opAdd, what: isWrite})
	c.count(i)
}

func (c *comparison) count(i int) {
	c.bytes += c.table[i].Size
	for k := range c.table.below(i, &c.opts, inside) {
		c.bytes += c.table[k].Size
	}
}

// dir compares the directory at index i, which dest has too. w is how the two
// differ themselves.
func (c *comparison) dir(i int, w what) error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	path := c.table[i].Path
	fd, err := c.walk.At(path, false)
	if err != nil {
		return fmt.Errorf("open %q: %w", path, err)
	}
	names, err := c.walk.List(fd)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	at := len(c.steps)
	c.steps = append(c.steps, step{path: path, entry: int32(i), op: opDir, what: w})
	todo, err := c.merge(i, fd, names)
	if err != nil {
		return err
	}
	within := slices.ContainsFunc(c.steps[at+1:], func(s step) bool { return s.op != opChange || s.what&isWrite != 0 })
	for _, l := range todo {
		changed, err := c.later(l)
		if err != nil {
			return err
		}
		within = within || changed
	}
	if within {
		c.steps[at].what |= isWithin
	} else if w == 0 && len(c.steps) == at+1 {
		c.steps = c.steps[:at]
	}
	return nil
}

// merge goes through the names of a directory in the table and in dest.
func (c *comparison) merge(i, fd int, names []string) (todo []later, err error) {
	dir := c.table[i].Path
	err = c.table.along(i, names,
		func(name string) error { return c.extra(fd, dir, name, &todo) },
		func(k int, name string, found bool) error { return c.child(k, fd, dir, name, found, &todo) })
	return todo, err
}

// child compares an entry with what dest has at its path.
func (c *comparison) child(k, fd int, dir, name string, found bool, todo *[]later) error {
	e := &c.table[k]
	c.seen++
	c.opts.tell(0, c.seen, len(c.table))
	switch {
	case c.opts.excluded(e.Path, e.Mode.IsDir()):
		if found { // for dest's type the rules may say something else
			return c.extra(fd, dir, name, todo)
		}
		return nil
	case !found:
		c.add(k)
		return nil
	}
	if c.isSeen(e) {
		return nil
	}
	var st unix.Stat_t
	err := confined.Lstat(fd, name, &st)
	if errors.Is(err, unix.ENOENT) { // gone since
		c.add(k)
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat %q: %w", e.Path, err)
	}
	w, err := c.diff(e, fd, name, &st)
	if err != nil {
		return fmt.Errorf("compare %q: %w", e.Path, err)
	}
	inTheWay := confined.FileType(&st) == fs.ModeDir && w&isType != 0
	if inTheWay && confined.IsMount(fd, name) || !inTheWay && w&isWrite != 0 && confined.IsMountedFile(fd, name) {
		return fmt.Errorf("%q must replace a mount point", e.Path)
	}
	if inTheWay || e.Mode.IsDir() && w&isType == 0 {
		*todo = append(*todo, later{e.Path, k, w})
		return nil
	}
	c.change(k, w, confined.IDOf(&st))
	return nil
}

// isSeen tells whether dest was seen to have a regular file just now, and nothing is to be
// done about it.
func (c *comparison) isSeen(e *archive.Entry) bool {
	if !e.Mode.IsRegular() {
		return false
	}
	st := c.soon.Take(e.Path)
	if st == nil || c.meta(e, st) != 0 {
		return false
	}
	switch c.opts.judge(e, st) {
	case isKnown:
		return true
	case isCompared:
		isTime := c.opts.Checksum && e.MTime != st.Mtim.Nano()
		return !isTime && c.opts.Differs != nil && !c.opts.Differs(e.Path, st)
	}
	return false
}

func (c *comparison) change(k int, w what, is confined.ID) {
	if w == 0 {
		return
	}
	c.steps = append(c.steps, step{c.table[k].Path, int32(k), opChange, w, is})
	if w&isWrite != 0 {
		c.count(k)
	}
}

// extra plans the removal of what only dest has.
func (c *comparison) extra(fd int, dir, name string, todo *[]later) error {
	path := confined.Join(dir, name)
	var st unix.Stat_t
	if err := confined.Lstat(fd, name, &st); errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return fmt.Errorf("stat %q: %w", path, err)
	}
	isDirectory := confined.FileType(&st) == fs.ModeDir
	switch {
	case c.opts.excluded(path, isDirectory):
	case isDirectory && confined.IsMount(fd, name):
		c.opts.warn("directory %q is a mount point and stays, with all in it", path)
	case isDirectory:
		*todo = append(*todo, later{path, -1, 0})
	case confined.IsMountedFile(fd, name):
		c.opts.warn("file %q is a mount point and stays", path)
	default:
		c.steps = append(c.steps, step{path: path, entry: -1, op: opDelete})
	}
	return nil
}

// later goes into a directory that was put off. changed tells that the
// directory itself comes or goes.
func (c *comparison) later(l later) (changed bool, err error) {
	if l.entry < 0 {
		stays, err := c.gone(l.path, opDelete)
		if err != nil || stays != nil {
			return false, err
		}
		c.steps = append(c.steps, step{path: l.path, entry: -1, op: opDelete, what: isDir})
		return true, nil
	}
	if l.what&isType == 0 {
		return false, c.dir(l.entry, l.what)
	}
	stays, err := c.gone(l.path, opMoved)
	if err == nil && stays != nil {
		err = fmt.Errorf("%q must replace a directory that holds the %s %q", l.path, stays.why, stays.path)
	}
	c.change(l.entry, l.what|isDir, confined.ID{})
	return true, err
}

// stay is a path that is left alone in a directory that only dest has.
type stay struct{ path, why string }

// gone plans the removal of what is in a directory that only dest has. stays is
// a path that is left there.
func (c *comparison) gone(dir string, op op) (stays *stay, err error) {
	if err := context.Cause(c.ctx); err != nil {
		return nil, err
	}
	fd, err := c.walk.At(dir, false)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", dir, err)
	}
	names, err := c.walk.List(fd)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", dir, err)
	}
	var dirs []string
	for _, name := range names {
		path := confined.Join(dir, name)
		var st unix.Stat_t
		if err := confined.Lstat(fd, name, &st); err != nil {
			return nil, fmt.Errorf("stat %q: %w", path, err)
		}
		isDirectory := confined.FileType(&st) == fs.ModeDir
		switch {
		case c.opts.excluded(path, isDirectory):
			stays = &stay{path, "excluded"}
		case isDirectory && confined.IsMount(fd, name):
			if stays = (&stay{path, "mount point"}); op == opDelete {
				c.opts.warn("directory %q is a mount point and stays, with all in it", path)
			}
		case isDirectory && (len(path) > maxPath || strings.Count(path, "/") >= maxLevels):
			c.steps = append(c.steps, step{path: path, entry: -1, op: op, what: isDir | isWhole})
		case isDirectory:
			dirs = append(dirs, path)
		case confined.IsMountedFile(fd, name):
			if stays = (&stay{path, "mount point"}); op == opDelete {
				c.opts.warn("file %q is a mount point and stays", path)
			}
		default:
			c.steps = append(c.steps, step{path: path, entry: -1, op: op})
		}
	}
	for _, path := range dirs {
		below, err := c.gone(path, op)
		if err != nil {
			return nil, err
		}
		if below != nil {
			stays = below
			continue
		}
		c.steps = append(c.steps, step{path: path, entry: -1, op: op, what: isDir})
	}
	return stays, nil
}

// diff tells how an entry and what dest has differ.
func (c *comparison) diff(e *archive.Entry, fd int, name string, st *unix.Stat_t) (what, error) {
	if e.Mode.Type() != confined.FileType(st) {
		return isType | isWrite, nil
	}
	w := c.meta(e, st)
	var err error
	switch e.Mode.Type() {
	case 0:
		w, err = c.content(e, fd, name, st, w)
	case fs.ModeSymlink:
		var target []byte
		if target, err = confined.Readlink(fd, name, c.buf[:]); err == nil && string(target) != e.Link {
			w |= isLink | isWrite
		}
	}
	return w, err
}

// meta compares what can be mended in place.
func (c *comparison) meta(e *archive.Entry, st *unix.Stat_t) what {
	var w what
	if e.Mode&fs.ModeSymlink == 0 && confined.Perm(e.Mode) != uint32(st.Mode)&permMask {
		w |= isMode
	}
	if !c.opts.owned(e, st) {
		w |= isOwner
	}
	if !e.Implied && !sameSecond(e.MTime, st.Mtim.Nano()) {
		w |= isTime
	}
	return w
}

// content adds to w what there is to say of a regular file.
func (c *comparison) content(e *archive.Entry, fd int, name string, st *unix.Stat_t, w what) (what, error) {
	switch c.opts.judge(e, st) {
	case isWritten:
		return c.opts.whyWritten(e, st, w) | isWrite, nil
	case isKnown:
		return w, nil
	}
	if c.opts.Checksum && e.MTime != st.Mtim.Nano() { // here rsync looks at the fraction too
		w |= isTime
	}
	differs, err := c.differs(e.Path, fd, name, st)
	if differs {
		w |= isContent | isWrite
	}
	return w, err
}

func (c *comparison) differs(path string, fd int, name string, st *unix.Stat_t) (bool, error) {
	if c.opts.Differs != nil {
		return c.opts.Differs(path, st), nil
	}
	if c.opts.Tree == nil {
		return false, errors.New("there is no content to compare with")
	}
	f, err := confined.OpenFile(fd, name)
	if errors.Is(err, unix.EACCES) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	same, err := c.pair.same(c.ctx, c.opts.Tree, path, f)
	if errors.Is(err, unix.EACCES) {
		return true, nil
	}
	return !same, err
}
