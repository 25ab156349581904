package archive

import (
	"context"
	"io/fs"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// memory is the target of a scan. Nothing in it ever goes away: an entry only
// makes room for another one at its path, and a directory with something in it
// for none.
type memory struct {
	rules *rules
	tally *tally
	sink  Sink
	now   int64
	nodes *nodes
	full  []bool  // by node: a directory with something in it
	list  []Entry // the result, when it is finished
}

func newMemory(r *rules, count *tally, sink Sink, now int64) *memory {
	t := &memory{rules: r, tally: count, sink: sink, now: now, nodes: newNodes()}
	t.add(t.implied(""))
	return t
}

func (t *memory) implied(path string) Entry {
	return Entry{Path: path, Mode: fs.ModeDir | t.rules.implied&^t.rules.umask, UID: NoID, GID: NoID,
		MTime: t.now, Implied: true}
}

func (t *memory) add(e Entry) int32 {
	t.full = append(t.full, false)
	return t.nodes.add(e)
}

// parent finds the directory path, or makes it and those above. The path must
// be kept.
func (t *memory) parent(path string) (int32, error) {
	if i, ok := t.nodes.find(path); ok {
		return i, checkParent(path, t.nodes.at(i).Mode)
	}
	dir, _ := confined.Split(path)
	i, err := t.parent(dir)
	if err != nil {
		return 0, err
	}
	t.full[i] = true
	if err := t.tally.imply(); err != nil {
		return 0, err
	}
	return t.add(t.implied(path)), nil
}

// place makes room for e, whose path it takes over, and puts it there.
func (t *memory) place(e Entry) (Entry, error) {
	i, ok := t.nodes.find(e.Path)
	if !ok {
		return t.placeNew(e)
	}
	old := t.nodes.at(i)
	if t.full[i] {
		return e, notEmpty()
	}
	if old.Mode.IsRegular() {
		if err := t.sink.Drop(old.Path); err != nil {
			return e, err
		}
	}
	e.Path = old.Path
	*old = e
	return e, nil
}

// placeNew puts e where nothing is. The paths of directories that it implies
// are parts of its own, and take no memory besides.
func (t *memory) placeNew(e Entry) (Entry, error) {
	e.Path = t.nodes.text.keep(e.Path)
	dir, _ := confined.Split(e.Path)
	up, err := t.parent(dir)
	if err != nil {
		return e, err
	}
	t.full[up] = true
	return *t.nodes.at(t.add(e)), nil
}

// entry is m as the entry at path; an id of -1 becomes NoID.
func (t *memory) entry(path string, kind fs.FileMode, m meta) Entry {
	return Entry{Path: path, Mode: kind | t.rules.finalMode(m), UID: uint32(m.uid), GID: uint32(m.gid),
		MTime: t.nanos(m.mtime)}
}

// nanos is ts as int64 has it.
func (t *memory) nanos(ts unix.Timespec) int64 {
	sec, nsec := int64(ts.Sec), int64(ts.Nsec)
	const most = math.MaxInt64 / int64(time.Second)
	switch {
	case nsec == confined.TimeNow:
		return t.now
	case sec >= most:
		return math.MaxInt64
	case sec < -most:
		return math.MinInt64
	}
	return sec*int64(time.Second) + nsec
}

func (t *memory) dir(path string, m meta) error {
	e := t.entry(path, fs.ModeDir, m)
	if i, ok := t.nodes.find(path); ok && t.nodes.at(i).Mode.IsDir() {
		old := t.nodes.at(i)
		e.Path = old.Path
		*old = e
		return nil
	}
	_, err := t.place(e)
	return err
}

func (t *memory) file(path string, m meta, content *Content) error {
	e := t.entry(path, 0, m)
	e.Size = content.size
	e, err := t.place(e)
	if err != nil {
		return err
	}
	return t.sink.File(e, content)
}

func (t *memory) symlink(path, to string, m meta) error {
	e := t.entry(path, fs.ModeSymlink, m)
	e.Mode = fs.ModeSymlink | 0o777
	e.Link = t.nodes.text.keep(to)
	_, err := t.place(e)
	return err
}

func (t *memory) hardlink(path, old string) error {
	i, ok := t.nodes.find(old)
	symlink := ok && t.nodes.at(i).Mode&fs.ModeSymlink != 0
	if !ok || !symlink && !t.nodes.at(i).Mode.IsRegular() {
		return notEarlier(old)
	}
	if old == path {
		return nil
	}
	if symlink {
		return t.symlinkAgain(*t.nodes.at(i), path)
	}
	if err := t.tally.link(t.nodes.at(i).Size); err != nil {
		return err
	}
	e := *t.nodes.at(i)
	old, e.Path = e.Path, path
	e, err := t.place(e)
	if err != nil {
		return err
	}
	return t.sink.Link(e, old)
}

// symlinkAgain makes a second symlink like e, at path.
func (t *memory) symlinkAgain(e Entry, path string) error {
	if err := t.rules.symlinkTo(e.Link, path); err != nil {
		return err
	}
	e.Path = path
	_, err := t.place(e)
	return err
}

func (t *memory) fifo(path string, m meta) error {
	_, err := t.place(t.entry(path, fs.ModeNamedPipe, m))
	return err
}

// finish leaves only the result.
func (t *memory) finish(context.Context) error {
	if late, ok := t.sink.(Finisher); ok {
		if err := late.Finish(); err != nil {
			return err
		}
	}
	t.list = t.nodes.sorted()
	t.nodes, t.full = nil, nil
	if len(t.list) >= manyNodes {
		runtime.GC() // what the list was copied from: the caller makes lists of its own next
	}
	return nil
}
