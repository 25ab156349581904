// Package mirror makes a directory equal to a tree, as rsync -a --delete does,
// without rsync and without writing what is there already.
//
// Its words: dest is the directory to be made equal; the entries are the
// table of the tree it is to equal; a place is an open directory with the open
// directory above it; excluded paths are left alone on both sides, with all
// that is below them; staging is a private directory on dest's file system with
// the content of the files that differ, each at its own path; a plan is the
// list of what must be done.
//
// The work has three parts: a Stage takes what differs out of an archive while
// it is read, Compare makes the plan and changes nothing, and Plan.Apply makes
// staging complete and carries the plan out by renames, changes of metadata and
// deletions, in this order. Whatever ends it, each path of dest is old or new,
// and doing all of it again finishes the job.
//
// The rules are those of rsync 3.5.0, which a test compares with: hard links
// become files of their own; directories that hold excluded paths stay.
// Symlinks in dest are never followed. In three things it is more careful than
// rsync. A regular file is the same when its size, the whole seconds of its
// time and its content are: what the content of a file in dest is, a record
// knows from when it was written, or else it is read. As root, what gets an
// owner, or the setuid or setgid bit, is written anew, and so is a file with
// several links: somebody who can write to the one that is there must not be
// given more by that. And a mount point in dest that the tree does not have, or
// has as something else than a directory, stays with all that is in it.
//
// All work is done below directories that the caller has opened; no name is
// looked up from the root of the file system.
//
// It may import archive, for the table of a tree, filter, for the excludes,
// disk, disk/confined, disk/tree, for what is known of contents, and
// text/printable. It knows nothing of manifests, strategies or releases.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/text/printable"
)

// Errors that those of Apply wrap.
var (
	// ErrMixed says that dest holds old and new paths.
	ErrMixed = errors.New("left a mixture of old and new")
	// ErrStale says that a file must be written that was not staged: dest had it
	// when the archive was read, and no longer when Compare looked. Dest is as it
	// was then, and reading the archive again helps.
	ErrStale = errors.New("has changed in dest while the archive was read")
)

// Options says what is compared and what is left alone. The zero value compares
// all paths, and no owners.
type Options struct {
	// Excludes are the paths left alone on both sides, as by rsync's --exclude.
	Excludes *filter.List
	// Checksum compares the content of files of equal size whatever their
	// times are: one that has another time only gets that.
	Checksum bool
	// Quick takes files of equal size and time for the same, as rsync does
	// without --checksum, and lets be mended in place what is not safe to be.
	Quick bool
	// Aside says that nothing is written in dest, but another tree: whoever has a file
	// of dest open, or another name for it, can do no harm.
	Aside bool
	// Contents is what is known of the files in dest, and learns what becomes
	// known. May be nil.
	Contents *tree.Contents
	// Owners compares and sets owners, save for those that are archive.NoID. It takes root.
	Owners bool
	// Groups compares and sets groups, save for those that are archive.NoID, for
	// a caller who is not root: that of a file of one's own may be one of one's
	// own groups. It counts without Owners only.
	Groups bool
	// Protect names further paths, relative to dest, that are left alone as
	// excluded ones are: staging inside dest, for instance. May be nil.
	Protect func(path string) bool
	// Warn gets a line for each oddity that is no error. May be nil.
	Warn func(msg string)
	// TempName is a name for what must be made in dest's own directories, where
	// another file system is mounted inside dest, and in staging; it is removed
	// at once. Default ".mirror.tmp".
	TempName string
	// Differs tells whether the content of a file in dest is another than that
	// of the entry, or has not been compared: Stage.Differs.
	Differs func(path string, st *unix.Stat_t) bool
	// Tree is, without Differs, a tree to compare content with: the one FromDir
	// has read.
	Tree *os.Root
	// Progress, when set, is told how much of its work Compare has done, and how
	// much Apply has, each half of all.
	Progress func(done, total int64)
}

// excluded tells whether a path is left alone. Its parents are not looked at.
func (o *Options) excluded(path string, isDir bool) bool {
	return o.Excludes.Excluded(path, isDir) || o.Protect != nil && path != "" && o.Protect(path)
}

func (o *Options) temp() string {
	if o.TempName == "" {
		return ".mirror.tmp"
	}
	return o.TempName
}

// tell tells of work that is done in one of the halves.
func (o *Options) tell(half, done, total int) {
	if o.Progress != nil {
		o.Progress(int64(half*total+min(done, total)), int64(2*total))
	}
}

func (o *Options) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}

// Kind is what happens to a path.
type Kind int

// The kinds of changes.
const (
	Add Kind = iota
	Modify
	Delete
)

// String is "add", "change" or "delete".
func (k Kind) String() string {
	return [...]string{"add", "change", "delete"}[k]
}

// Change is what happens to one path of dest.
type Change struct {
	Path  string   // relative; "" = dest itself
	Kind  Kind     // what happens
	What  []string // of Modify, what differs: "type", "size", "time", "content", "mode", "owner", "link", "links"
	Dir   bool     // it is a directory, or was one if it is deleted
	Bytes int64    // of content to be written
}

// String is the change in one line: "change bin/app (size, time)".
func (c Change) String() string {
	name := cmp.Or(c.Path, ".")
	if c.Dir {
		name += "/"
	}
	text := fmt.Sprintf("%s %s", c.Kind, printable.Text(name))
	if c.Kind == Modify {
		text += " (" + strings.Join(c.What, ", ") + ")"
	}
	return text
}

// How deep dest is looked at in what only dest has. No archive has more levels,
// and rsync no longer paths, but others may have made them. A directory below is
// removed with all that is in it.
const (
	maxLevels = 1000
	maxPath   = 3500 // bytes
)

// op is what a step does.
type op uint8

const (
	opAdd    op = iota // the path is new; a directory with all that is in it
	opChange           // a path that isn't a directory on both sides
	opDir              // a directory that is there
	opDelete
	opMoved // gone with the directory that is replaced; for the list only
)

// what is a set of differences.
type what uint16

const (
	isType what = 1 << iota
	isSize
	isTime
	isContent
	isMode
	isOwner
	isLink
	isLinks  // a regular file has several
	isWrite  // the path is made anew
	isDir    // of opDelete, opMoved: a directory; of opChange: a directory is in the way
	isWhole  // of opDelete: with all that is in it, which nobody has looked at
	isWithin // of opDir: names in it come, go or are replaced
)

var whatNames = [...]string{"type", "size", "time", "content", "mode", "owner", "link", "links"}

func (w what) names() []string {
	var s []string
	for i, name := range whatNames {
		if w&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	return s
}

// step is a part of a plan: something to do at a path.
type step struct {
	path  string
	entry int32 // index; -1 = none
	op    op
	what  what
	is    confined.ID // what is changed and keeps its content; zero for all others
}

// Plan is what must be done to make dest equal to a table of entries.
type Plan struct {
	opts  Options
	dest  Place
	table table
	steps []step // a directory before what is in it, deletions the other way round
	fresh bool   // there is no dest
	bytes int64
}

// Bytes is how much content Apply puts into dest.
func (p *Plan) Bytes() int64 { return p.bytes }

// Changes lists what Apply changes, sorted by path. The times of directories
// are no change: they follow from what is in them.
func (p *Plan) Changes() []Change {
	count := 0
	p.Each(func(Change) { count++ })
	list := make([]Change, 0, count) // to grow it would take as much again
	p.Each(func(c Change) { list = append(list, c) })
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Each calls f for what Changes lists, in no certain order, without making
// the list.
func (p *Plan) Each(f func(Change)) {
	for i := range p.steps {
		p.each(&p.steps[i], f)
	}
}

func (p *Plan) each(s *step, f func(Change)) {
	switch s.op {
	case opDelete, opMoved:
		f(Change{Path: s.path, Kind: Delete, Dir: s.what&isDir != 0})
	case opDir:
		if s.what&(isMode|isOwner) != 0 {
			f(Change{Path: s.path, Kind: Modify, What: (s.what &^ isTime).names(), Dir: true})
		}
	case opAdd:
		f(p.added(int(s.entry)))
		p.addedBelow(s, f)
	default:
		e := &p.table[s.entry]
		c := Change{Path: s.path, Kind: Modify, What: s.what.names(), Dir: e.Mode.IsDir()}
		if s.what&isWrite != 0 {
			c.Bytes = e.Size
		}
		f(c)
		p.addedBelow(s, f)
	}
}

// addedBelow tells of what comes with a directory.
func (p *Plan) addedBelow(s *step, f func(Change)) {
	for i := range p.table.below(int(s.entry), &p.opts, inside) {
		f(p.added(i))
	}
}

// Unsafe gives a regular file that is changed in place, as Options.Quick lets
// it, and gets an owner, or setuid or setgid; "" = there is none.
func (p *Plan) Unsafe() string {
	for _, s := range p.steps {
		if s.op != opChange || s.what&isWrite != 0 {
			continue
		}
		e := &p.table[s.entry]
		special := s.what&isMode != 0 && e.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0
		if e.Mode.IsRegular() && (special || s.what&isOwner != 0) {
			return e.Path
		}
	}
	return ""
}

func (p *Plan) added(i int) Change {
	e := &p.table[i]
	return Change{Path: e.Path, Kind: Add, Dir: e.Mode.IsDir(), Bytes: e.Size}
}

// Paths are those of the entries that are not excluded, sorted by names, each directory
// with all in it.
func (p *Plan) Paths() iter.Seq[string] {
	return p.table.paths(&Options{Excludes: p.opts.Excludes, Protect: p.opts.Protect}, inside) // it holds nothing else
}

// Compare finds what must be done to make dest equal to entries, which are
// sorted by path and start with the root, as Scan and FromDir return them. It
// changes nothing. A missing dest is a plan of one step. Dest stays the
// caller's to close, after Apply.
//
// It is an error when something other than a directory would replace a
// directory that holds excluded paths or a mount point.
func Compare(ctx context.Context, entries []archive.Entry, dest Place, opts Options) (*Plan, error) {
	p := &Plan{opts: opts, dest: dest, table: entries}
	if err := p.table.check(); err != nil {
		return nil, err
	}
	if opts.Checksum && opts.Differs == nil && opts.Tree == nil {
		return nil, errors.New("compare: checksum without contents to compare")
	}
	c := &comparison{ctx: ctx, Plan: p}
	if err := c.run(); err != nil {
		return nil, fmt.Errorf("compare with %q: %w", dest.Path, err)
	}
	return p, nil
}
