package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stretcher/internal/disk"
)

// Add makes a staged tree, which must be in the directory of Prepare or on
// its file system, the release r.ID, pending. Before, it links the shared
// paths (see CheckShared) into the tree: what the tree has at such a path
// moves to DEST/shared when that has nothing there, and is removed otherwise.
// Nothing at either place is an error (ErrShared), save for a path that ends
// in "/", which becomes an empty directory. A release that exists already is
// an error (fs.ErrExist). The state and number of r are not looked at.
//
// With Options.Sync the whole file system of the releases is put on the disk;
// this is what takes time.
func (d *Dir) Add(ctx context.Context, staged string, r Release, shared []string) error {
	if !idPattern.MatchString(r.ID) {
		return fmt.Errorf("add release: %q is not a run id", r.ID)
	}
	if _, err := os.Lstat(d.Path(r.ID)); err == nil {
		return fmt.Errorf("add release %q: %w", r.ID, fs.ErrExist)
	}
	if err := d.linkShared(ctx, staged, r.ID, shared); err != nil {
		return fmt.Errorf("add release %q: %w", r.ID, err)
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("add release %q: %w", r.ID, err)
	}
	seq, err := d.nextSeq()
	if err != nil {
		return err
	}
	r.Seq, r.State, r.Reason, r.RolledBack = seq, Pending, "", false
	if r.Created.IsZero() {
		r.Created = time.Now()
	}
	// The mark comes first, so that no release is ever seen without one.
	if err := d.writeMark(r); err != nil {
		return err
	}
	if err := moveDir(staged, d.Path(r.ID)); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			_ = os.Remove(d.markPath(r.ID))
		}
		return fmt.Errorf("add release %q: %w", r.ID, err)
	}
	if err := d.syncRelease(r.ID); err != nil {
		return fmt.Errorf("add release %q: %w", r.ID, err)
	}
	return nil
}

// syncRelease puts a release on the disk before anything leads to it.
func (d *Dir) syncRelease(id string) error {
	if !d.opts.Sync {
		return nil
	}
	f, err := os.Open(d.Path(id))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syncFS(f); err != nil {
		return err
	}
	return d.syncDir(d.releases())
}

// moveDir renames a directory to a new name in another directory, for which
// others than root must be allowed to write in it: its ".." changes.
func moveDir(from, to string) error {
	parent, err := os.OpenRoot(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer parent.Close()
	mode, err := loosen(parent, filepath.Base(from))
	if err != nil {
		return err
	}
	if err := disk.RenamePath(from, to); err != nil {
		return err
	}
	if mode.loose {
		return os.Chmod(to, mode.was)
	}
	return nil
}

// looseMode is the mode that loosen took from a directory.
type looseMode struct {
	was   fs.FileMode
	loose bool
}

// loosen lets the caller write in a directory; its mode is to be set again.
func loosen(in *os.Root, name string) (looseMode, error) {
	info, err := in.Lstat(name)
	if err != nil {
		return looseMode{}, err
	}
	was := settable(info.Mode())
	if !info.IsDir() || was&0o300 == 0o300 {
		return looseMode{was: was}, nil
	}
	return looseMode{was: was, loose: true}, in.Chmod(name, was|0o700)
}

// settable is the part of a mode that chmod sets.
func settable(mode fs.FileMode) fs.FileMode {
	return mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}
