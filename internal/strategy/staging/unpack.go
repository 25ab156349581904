// Package staging holds what several strategies do with an archive and a dest
// alike: unpack the one into a private directory, read exclude lists, and
// look whether the other will do.
//
// Its words are those of package strategy. It reaches everything through open
// directories. It imports strategy, filter, archive, disk, disk/confined,
// disk/tree and text/*.
package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// The sums are made of the blocks that the archive comes in.
var _ [archive.BlockSize]byte = [tree.BlockSize]byte{}

// treeName is the staged tree's name in its private directory. The tree has a
// mode of its own, which may let others in; the directory never does.
const treeName = "tree"

// Tree is an unpacked archive.
type Tree struct {
	Work *disk.Dir // the private directory that it lies in
	Name string    // its name there
	Dir  *disk.Dir // itself

	Whole    bool           // hooks may have worked on it
	Archived *tree.Archived // what was unpacked
}

// Staged is the tree as a strategy gives it back.
func (t *Tree) Staged() strategy.Staged {
	return strategy.Staged{Dir: t.Dir, Archived: t.Archived}
}

// Close closes the directories. It may be called again.
func (t *Tree) Close() error { return errors.Join(t.Dir.Close(), t.Work.Close()) }

// LetIn lets a group go through the private directory to the tree, and do
// nothing else there.
func (t *Tree) LetIn(gid uint32) error {
	if err := t.Work.File().Chown(-1, int(gid)); err != nil {
		return err
	}
	return t.Work.File().Chmod(0o710)
}

// CloseWork closes the directory that the tree lies in, if there is one: the
// tree itself is somebody else's by now.
func (t *Tree) CloseWork() error {
	if t == nil {
		return nil
	}
	return t.Work.Close()
}

// keepTree is what to do about a staged tree that is another.
const keepTree = "a hook may change what is in it, but not remove, rename or replace the directory itself"

// Check tells whether the tree is still what bears its name. Hooks may change
// what is in it; one that has put something else in its place must not have dest
// emptied, or something else deployed than what was looked at. Nor may hooks put
// in what no archive may hold.
func (t *Tree) Check(ctx context.Context) error {
	is, err := t.Work.Root().Lstat(t.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return failure.Hinted(keepTree, fmt.Errorf("the staged tree %q has been removed", t.Dir.Path()))
	}
	if err != nil {
		return fmt.Errorf("staged tree: %w", err)
	}
	was, err := t.Dir.Root().Stat(".")
	if err != nil {
		return fmt.Errorf("staged tree: %w", err)
	}
	if !os.SameFile(was, is) {
		return failure.Hinted(keepTree, fmt.Errorf("the staged tree %q has been replaced by something else", t.Dir.Path()))
	}
	if !t.Whole {
		return nil
	}
	return t.checkNames(ctx)
}

// checkNames refuses what hooks may not put into the tree. What the caller can't look at
// is left to who deploys it: he will say so, if it matters to him.
func (t *Tree) checkNames(ctx context.Context) error {
	var refused error
	err := confined.Each(ctx, t.Dir.Root(), func(path string, st *unix.Stat_t, err error) error {
		_, name := confined.Split(path)
		switch {
		case runid.IsTemp(name):
			refused = failure.Refused("a hook has made %q in the staged tree: temporary directories of runs are named so", path)
		case err != nil && !errors.Is(err, fs.ErrPermission):
			return err
		case err == nil && confined.FileType(st) == fs.ModeIrregular:
			refused = failure.Refused("a hook has made %q in the staged tree: devices and sockets are not deployed", path)
		}
		return refused
	})
	switch {
	case refused != nil || context.Cause(ctx) != nil:
		return err
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("staged tree: %w", err)
	}
	return nil
}

// Unpack unpacks the archive, from its beginning, into a new private
// directory, anywhere or on dest's file system.
func Unpack(ctx context.Context, t *strategy.Target, in archive.Input, sameDevice bool) (*Tree, error) {
	return UnpackAt(ctx, t, in, strategy.Where{SameDevice: sameDevice})
}

// UnpackAt is Unpack in one of some places. Where a file system has no room
// for the archive, others are tried, unless it must be the same as dest's.
func UnpackAt(ctx context.Context, t *strategy.Target, in archive.Input, where strategy.Where) (*Tree, error) {
	tree, err := NewTree(t, where)
	if err != nil {
		return nil, err
	}
	for {
		err = fill(ctx, t, in, tree)
		if err == nil {
			return tree, nil
		}
		if where.SameDevice || !errors.Is(err, syscall.ENOSPC) {
			break
		}
		where.Full = append(where.Full, tree.Work.Device())
		other, noneErr := NewTree(t, where)
		if noneErr != nil {
			break // what was said of the last place is what is wrong
		}
		t.Log.Warn(fmt.Sprintf("%q has no room for what is in the archive: trying elsewhere", filepath.Dir(tree.Work.Path())))
		if err = Drop(t, tree); err != nil {
			_ = other.Close()
			return nil, err
		}
		tree = other
	}
	_ = Drop(t, tree) // the room may be needed for another attempt
	return nil, err
}

// Drop removes a tree that nobody will deploy.
func Drop(t *strategy.Target, tree *Tree) error {
	_ = tree.Dir.Close()
	return errors.Join(t.Place.Drop(tree.Work), tree.Work.Close())
}

// NewTree makes an empty directory to stage a tree in.
func NewTree(t *strategy.Target, where strategy.Where) (*Tree, error) {
	work, err := t.Place.Private("staging directory", where)
	if err != nil {
		return nil, err
	}
	dir, err := work.Make(treeName, 0o755)
	if err != nil {
		_ = work.Close()
		return nil, err
	}
	tree := &Tree{Work: work, Name: treeName, Dir: dir, Whole: t.Whole}
	if err := inherit(dir, where.Into); err != nil {
		_ = tree.Close()
		return nil, fmt.Errorf("staging directory: ACL: %w", err)
	}
	return tree, nil
}

// inherit gives an empty directory the ACLs of what is made in another one,
// instead of those of what is made where it stands: others than who may read
// there might read what is staged, and the other way round.
func inherit(dir, into *disk.Dir) (err error) {
	var acl confined.ACL
	if into != nil {
		if acl, err = confined.DefaultACL(int(into.File().Fd())); err != nil {
			return err
		}
	}
	return acl.Inherit(int(dir.File().Fd()))
}

// fill unpacks the archive into an empty directory, and gives that the mode
// that the tree's root shall have.
func fill(ctx context.Context, t *strategy.Target, in archive.Input, into *Tree) error {
	dir := into.Dir
	into.Archived = new(tree.Archived)
	opts := t.Archive
	opts.Seen = into.Archived.Seen
	f, err := in.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	res, err := archive.Extract(ctx, f, dir.Root(), opts)
	if err != nil {
		return ArchiveError(t, err)
	}
	if err := setMode(t, dir, res.HasRoot); err != nil {
		return err
	}
	t.Log.Info(fmt.Sprintf("extracted %d entries", res.Entries), "entries", res.Entries, "bytes", res.Bytes)
	return nil
}

// setMode gives an unpacked tree's root its mode, unless the archive has.
func setMode(t *strategy.Target, dir *disk.Dir, hasRoot bool) error {
	info, err := dir.Root().Stat(".")
	if err != nil {
		return err
	}
	mode, set := RootMode(t, info.Mode(), hasRoot)
	if !set {
		WarnMode(t, mode)
		return nil
	}
	return dir.File().Chmod(mode)
}

// ArchiveError says which archive an error speaks of.
func ArchiveError(t *strategy.Target, err error) error {
	return fmt.Errorf("archive from %q: %w", t.Origin(), err)
}
