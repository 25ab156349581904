package rsync

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
)

// care is what rsync is told beside v1.x's arguments, where sizes and times
// alone would leave an old file, or give a stranger's to root.
type care struct {
	option string    // "" = none
	why    string    // for the log
	temp   *disk.Dir // where rsync makes files before it renames them; nil = beside them
}

// said is the care in one line; "" = rsync gets no option.
func (c care) said() string {
	if c.option == "" {
		return ""
	}
	return fmt.Sprintf("rsync gets %s: %s", c.option, c.why)
}

// path is the name of the temporary directory.
func (c care) path() string {
	if c.temp == nil {
		return ""
	}
	return c.temp.Path()
}

func (c care) close() {
	if c.temp != nil {
		_ = c.temp.Close()
	}
}

const (
	byContent = "--checksum"     // files of one size are compared by their content
	anew      = "--ignore-times" // all files are written anew
)

// careFor finds out what rsync must be told of the staged tree s.
func (r *rsync) careFor(ctx context.Context, s *strategy.Staged) (care, error) {
	isNew, root := r.isNew(), os.Geteuid() == 0
	if r.t.Dest.Dir == nil || !isNew && !root && !r.t.Whole && r.t.Touched == nil {
		return care{}, nil
	}
	entries, err := mirror.FromDirOf(ctx, s.Dir.Root(), r.tree.Archived.Entries())
	if err != nil {
		return care{}, err
	}
	quick, err := r.quick(ctx, entries, s.Excludes)
	if err != nil {
		return care{}, err
	}
	if quick != nil { // rsync takes no path of such a length
		if err := quick.RemoveDeep(ctx); err != nil {
			return care{}, err
		}
	}
	c := r.judge(ctx, entries, quick)
	if c.option == "" && isNew && quick != nil && len(quick.Changes()) == 0 {
		r.t.Log.Warn("the archive is another one than before, but rsync will find nothing to change: " +
			"it compares sizes and times; if dest is old, use sync_strategy native, which compares content")
	}
	if c.option == anew {
		c.temp, err = r.t.Place.Private("temporary directory of rsync", strategy.Where{SameDevice: true})
	}
	return c, err
}

// quick is what rsync would do by sizes and times; nil if nobody knows. What
// rsync makes of such a dest, it says itself.
func (r *rsync) quick(ctx context.Context, entries []archive.Entry, list []byte) (*mirror.Plan, error) {
	excludes, err := staging.Excludes(&r.t, list)
	if err != nil {
		return nil, err
	}
	opts := mirror.Options{Quick: true, Owners: os.Geteuid() == 0, Excludes: excludes}
	plan, err := mirror.Compare(ctx, entries, preview.PlaceOf(r.t.Dest), opts)
	if err != nil {
		r.t.Log.Warn(err.Error())
		plan = nil
	}
	return plan, context.Cause(ctx)
}

// judge chooses the option.
func (r *rsync) judge(ctx context.Context, entries []archive.Entry, quick *mirror.Plan) care {
	switch root := os.Geteuid() == 0; {
	case root && quick == nil:
		return care{option: anew, why: "dest can't be compared: all files are written anew"}
	case root:
		path := quick.Unsafe()
		if path == "" {
			path = strangers(r.t.Dest.Dir.Root(), entries)
		}
		if path != "" {
			return care{option: anew, why: fmt.Sprintf(
				"%q may be somebody else's when it gets its owner and mode: all files are written anew", path)}
		}
	}
	switch {
	case r.isNew() && oneTime(entries):
		return care{option: byContent, why: "the archive is another one than before, and all its files have one time"}
	case r.t.Whole:
		return care{option: byContent, why: "hooks have worked on the tree, and may give what they write any time"}
	case r.t.Touched != nil && r.t.Touched(ctx):
		return care{option: byContent, why: "files in dest have been changed whose size and time are as they were"}
	}
	return care{}
}

// isNew tells whether dest does not hold this archive, as far as is known.
func (r *rsync) isNew() bool { return r.t.Deployed == nil || r.t.Deployed() != r.t.Checksum }

// oneTime tells whether the regular files have all the same time.
func oneTime(entries []archive.Entry) bool {
	var first *archive.Entry
	for i := range entries {
		e := &entries[i]
		switch {
		case !e.Mode.IsRegular():
		case first == nil:
			first = e
		case e.MTime/1e9 != first.MTime/1e9:
			return false
		}
	}
	return first != nil
}

// writers says who, beside root, may put something in the place of a file.
type writers struct {
	uids  []uint32 // those that a directory belongs to
	group bool     // a group, or who an ACL names
	all   bool     // everybody
	hands bool     // a directory that is made here gets an ACL
}

// with adds those who may write a directory. Where it has an ACL, what the
// mode says of the group is the most that the ACL gives to anybody.
func (w writers) with(uid, gid uint32, mode fs.FileMode, acl bool) writers {
	w.all = w.all || mode&0o002 != 0
	w.group = w.group || mode&0o020 != 0 && (gid != 0 || acl)
	if uid != 0 && !slices.Contains(w.uids, uid) {
		w.uids = append(slices.Clip(w.uids), uid)
	}
	return w
}

// within adds those who may write the directory e of the tree, as it is in dest
// and as it will be.
func (w writers) within(walk *confined.Walk, e *archive.Entry) writers {
	var st unix.Stat_t
	fd, err := walk.Lookup(e.Path)
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	switch {
	case err == nil:
		acl := confined.HasACL(fd)
		inherited, err := confined.DefaultACL(fd)
		w.hands = err != nil || inherited != nil
		return w.with(e.UID, e.GID, e.Mode, acl).with(st.Uid, st.Gid, confined.FileMode(&st), acl)
	case !confined.IsMissing(err):
		w.all = true // nobody knows
	}
	return w.with(e.UID, e.GID, e.Mode, w.hands)
}

// mayForge tells whether one of them gains by having a file of his own in the
// place of e, when root gives it e's owner and mode.
func (w writers) mayForge(e *archive.Entry) bool {
	special := e.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0
	another := func(uid uint32) bool { return uid != e.UID || e.Mode&fs.ModeSetgid != 0 }
	return w.all || w.group && (special || e.UID == 0) || slices.ContainsFunc(w.uids, another)
}

// strangers gives a regular file of the tree in whose place somebody may put
// one of his own while rsync runs; "" = nobody may. Directories are judged as
// they are in dest and as they will be.
func strangers(dest *os.Root, entries []archive.Entry) string {
	walk, err := confined.NewWalk(dest)
	if err != nil {
		return "."
	}
	defer walk.Close()
	dirs := map[string]writers{"": writers{}.within(walk, &entries[0])}
	for i := range entries[1:] {
		e := &entries[i+1]
		dir, _ := confined.Split(e.Path)
		w := dirs[dir]
		switch {
		case e.Mode.IsRegular() && w.mayForge(e):
			return e.Path
		case e.Mode.IsDir():
			dirs[e.Path] = w.within(walk, e)
		}
	}
	return ""
}
