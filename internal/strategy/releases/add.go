package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/text/runid"
)

// Add makes a staged tree the release r.ID, pending. The tree is called name in
// the directory from, which must be on the file system of the releases and
// belong to the caller alone.
//
// Before, it links the shared paths (see CheckShared) into the tree: what the
// tree has at such a path moves to DEST/shared when that has nothing there, and
// is removed otherwise. Nothing at either place is an error (ErrShared), save
// for a path that ends in "/", which becomes an empty directory. A release that
// exists already is an error (fs.ErrExist). The state and number of r are not
// looked at.
//
// With Options.Sync the whole file system of the releases is put on the disk;
// this is what takes time.
func (d *Dir) Add(ctx context.Context, from *os.Root, name string, r Release, shared []string) error {
	if !runid.Is(r.ID) {
		return fmt.Errorf("add release: %q is not a run id", r.ID)
	}
	if err := d.add(ctx, from, name, r, shared); err != nil {
		return fmt.Errorf("add release %q: %w", r.ID, err)
	}
	return nil
}

func (d *Dir) add(ctx context.Context, from *os.Root, name string, r Release, shared []string) error {
	in, err := d.openReleases()
	if err != nil {
		return err
	}
	if _, err := in.Lstat(r.ID); err == nil {
		return fs.ErrExist
	}
	tree, lock, err := openUnlocked(from, name)
	if err != nil {
		return err
	}
	defer tree.Close()
	move := func() error { return disk.RenameNew(from, name, in, r.ID) }
	return errors.Join(d.addTree(ctx, tree, move, r, shared), lock())
}

// addTree makes an open tree a release, which move renames to its place.
func (d *Dir) addTree(ctx context.Context, tree *os.Root, move func() error, r Release, shared []string) (err error) {
	if err := d.linkShared(ctx, tree, r.ID, shared); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if r.Seq, err = d.nextSeq(); err != nil {
		return err
	}
	r.State, r.Reason, r.RolledBack = Pending, "", false
	if r.Created.IsZero() {
		r.Created = time.Now()
	}
	// The mark comes first, so that no release is ever seen without one.
	if err := d.writeMark(r); err != nil {
		return err
	}
	if err := move(); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			_ = d.releases.Root().Remove(r.ID + markSuffix)
		}
		return err
	}
	if !d.opts.Sync {
		return nil
	}
	// On the disk before anything leads to it.
	if err := syncRoot(tree); err != nil {
		return err
	}
	return d.syncDir(d.releases.Root(), d.releasesPath())
}
