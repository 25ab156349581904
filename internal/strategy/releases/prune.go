package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"stretcher/internal/disk"
)

// Prunable returns the releases that Prune would remove, oldest first.
//
// Of the sound releases, among which running counts unless it is bad ("" =
// none), the newest keep stay (at least one). running and the one that current
// leads to stay whatever they are, and so does the newest that is marked
// sound, however many failed after it; with keep over 1 also the newest sound
// one besides current and running, to go back to. The others that are not
// sound go when there is a newer one that is.
func (d *Dir) Prunable(keep int, running string) ([]string, error) {
	current, list, err := d.look()
	if err != nil {
		return nil, err
	}
	stays := kept(list, keep, current, running)
	var newest int64 // of those that count
	var ids []string
	for _, r := range list { // newest first
		sound := counts(r, running)
		if sound {
			newest = max(newest, r.Seq)
		}
		if !stays[r.ID] && (sound || r.Seq < newest) {
			ids = append(ids, r.ID)
		}
	}
	slices.Reverse(ids)
	return ids, nil
}

// look returns the current release and all of them, newest first.
func (d *Dir) look() (current string, list []Release, err error) {
	if current, _, err = d.Current(); err != nil {
		return "", nil, err
	}
	list, err = d.List()
	return current, list, err
}

// counts tells whether a release counts as sound.
func counts(r Release, running string) bool {
	return r.Sound() || r.ID == running && r.State != Bad
}

// kept tells which releases of a list, newest first, have to stay.
func kept(list []Release, keep int, current, running string) map[string]bool {
	stays := map[string]bool{current: true, running: true}
	keep = max(keep, 1)
	counted, marked, back := 0, false, keep < 2
	for _, r := range list {
		if !counts(r, running) {
			continue
		}
		if counted++; counted <= keep {
			stays[r.ID] = true
		}
		if r.Sound() && !marked {
			stays[r.ID], marked = true, true
		}
		if r.Sound() && r.ID != current && r.ID != running && !back {
			stays[r.ID], back = true, true
		}
	}
	return stays
}

// Prune removes the releases that Prunable names, with their marks, and what
// killed runs left in the layout. It returns what it removed, also with an
// error. Between two releases it stops when ctx ends.
func (d *Dir) Prune(ctx context.Context, keep int, running string) ([]string, error) {
	ids, err := d.Prunable(keep, running)
	if err != nil {
		return nil, fmt.Errorf("prune releases: %w", err)
	}
	return d.removeAll(ctx, ids, running)
}

// PruneBad is Prune for after a run that has failed: it removes the bad and
// the pending releases, save running ("" = none), the one that current leads
// to, and the newest of them, for who looks for the reason. Those without a
// mark stay for Prune to judge: they may have been good.
func (d *Dir) PruneBad(ctx context.Context, running string) ([]string, error) {
	current, list, err := d.look()
	if err != nil {
		return nil, fmt.Errorf("prune releases: %w", err)
	}
	newest := true
	var ids []string
	for _, r := range list {
		if r.State == Good || r.Seq == 0 {
			continue
		}
		if !newest && r.ID != running && r.ID != current {
			ids = append(ids, r.ID)
		}
		newest = false
	}
	slices.Reverse(ids)
	return d.removeAll(ctx, ids, running)
}

// removeAll removes releases and what killed runs left. One that can't be
// removed keeps no other: it is told of in the error.
func (d *Dir) removeAll(ctx context.Context, ids []string, running string) (removed []string, err error) {
	if left := d.sweepAll(running); left != nil {
		err = fmt.Errorf("prune releases: %w", left)
	}
	for _, id := range ids {
		if cause := context.Cause(ctx); cause != nil {
			return removed, also(err, fmt.Errorf("prune releases: %w", cause))
		}
		if stays := d.remove(ctx, id); stays != nil {
			err = also(err, fmt.Errorf("prune release %q: %w", id, at(d.releasesPath(), stays)))
			continue
		}
		removed = append(removed, id)
	}
	return removed, err
}

// also is an error that tells of two, in one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, more)
}

// remove removes a release. It loses its name first, so that it never stands
// half under it. One that something is mounted in stays whole: whoever mounts
// uploads below current, say, does so in a release.
func (d *Dir) remove(ctx context.Context, id string) error {
	in, err := d.openReleases()
	if err != nil {
		return err
	}
	mount, err := disk.MountIn(ctx, in, id)
	if err != nil {
		return err
	}
	if mount != "" {
		return fmt.Errorf("remove %q: %w", mount, disk.ErrMount)
	}
	temp := pruned + id
	err = in.Rename(id, temp)
	if errors.Is(err, syscall.EXDEV) {
		return removeInPlace(d, in, id)
	}
	if err != nil {
		return err
	}
	if err := in.Remove(id + markSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.syncDir(in, d.releasesPath()); err != nil {
		return err
	}
	return disk.RemoveAll(in, temp)
}

// removeInPlace is for overlayfs, which does not rename the directories of its
// lower layers. Nothing goes back to a release that is marked bad, so that one
// that is killed in the middle is removed later.
func removeInPlace(d *Dir, in *os.Root, id string) error {
	if err := d.Mark(id, Bad, "is being removed"); err != nil {
		return err
	}
	if err := disk.RemoveAll(in, id); err != nil {
		return err
	}
	if err := in.Remove(id + markSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.syncDir(in, d.releasesPath())
}

// sweepAll removes what killed runs left: temporary names, and marks whose
// release never came to be.
func (d *Dir) sweepAll(running string) error {
	in, err := d.openReleases()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left := also(sweep(d.at.Dir.Root(), newCurrent), sweep(in, newMark, pruned))
	entries, err := d.entries()
	if err != nil {
		return also(left, err)
	}
	for _, e := range entries {
		id, ok := markID(e.Name())
		if !ok || id == running {
			continue
		}
		if _, err := in.Lstat(id); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		left = also(left, in.Remove(id+markSuffix))
	}
	return left
}
