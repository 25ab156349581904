package releases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"stretcher/internal/disk"
)

// Prunable returns the releases that Prune would remove, oldest first.
//
// Of the good releases, among which a pending running counts ("" = none), the newest
// keep stay (at least one). running and the one that current leads to stay
// whatever they are, and so does the newest that is marked good, however many failed after
// it; with keep over 1 also the newest good one besides current, to go back
// to. The others that are not good go when there is a newer good one.
func (d *Dir) Prunable(keep int, running string) ([]string, error) {
	current, _, err := d.Current()
	if err != nil {
		return nil, err
	}
	list, err := d.List()
	if err != nil {
		return nil, err
	}
	stays := kept(list, keep, current, running)
	var newestGood int64
	var ids []string
	for _, r := range list { // newest first
		good := counts(r, running)
		if good {
			newestGood = max(newestGood, r.Seq)
		}
		if !stays[r.ID] && (good || r.Seq < newestGood) {
			ids = append([]string{r.ID}, ids...)
		}
	}
	return ids, nil
}

// counts tells whether a release counts as good.
func counts(r Release, running string) bool {
	return r.State == Good || r.ID == running && r.State == Pending
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
		if r.State == Good && !marked {
			stays[r.ID], marked = true, true
		}
		if r.State == Good && r.ID != current && !back {
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
	if err := d.sweepAll(running); err != nil {
		return nil, fmt.Errorf("prune releases: %w", err)
	}
	var removed []string
	for _, id := range ids {
		if err := context.Cause(ctx); err != nil {
			return removed, fmt.Errorf("prune releases: %w", err)
		}
		if err := d.remove(id); err != nil {
			return removed, fmt.Errorf("prune release %q: %w", id, err)
		}
		removed = append(removed, id)
	}
	return removed, nil
}

// remove removes a release. It loses its name first, so that it never stands
// half under it.
func (d *Dir) remove(id string) error {
	temp := filepath.Join(d.releases(), pruned+id)
	if err := os.Rename(d.Path(id), temp); err != nil {
		return err
	}
	if err := os.Remove(d.markPath(id)); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := d.syncDir(d.releases()); err != nil {
		return err
	}
	return disk.RemoveAll(temp)
}

// sweepAll removes what killed runs left: temporary names, and marks whose
// release never came to be.
func (d *Dir) sweepAll(running string) error {
	if err := sweep(d.path, currentLeftovers); err != nil {
		return err
	}
	if err := sweep(d.releases(), releaseLeftovers); err != nil {
		return err
	}
	entries, err := d.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := markID(e.Name())
		if !ok || id == running {
			continue
		}
		if _, err := os.Lstat(d.Path(id)); !os.IsNotExist(err) {
			continue
		}
		if err := os.Remove(d.markPath(id)); err != nil {
			return err
		}
	}
	return nil
}
