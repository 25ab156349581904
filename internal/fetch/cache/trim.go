package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Bounds are what Trim holds the entries of all dests to.
type Bounds struct {
	// Gone tells whether a dest does not exist any more.
	Gone func(dest string) bool
	// Before is when the entries of such a dest are forgotten: those that
	// finished earlier.
	Before time.Time
	// Size is how many bytes all archives may take together; -1 = no bound.
	Size int64
}

// Trim removes the archives of dests that are gone, and the entries of those
// that have been forgotten. Then it removes archives until the rest keeps to
// the bound: first those of no use but for a rollback to an older run, the
// oldest first, then those that were live before, at last those that are live.
//
// What can't be removed does not keep the rest; the error tells the first.
func (s *Store) Trim(b Bounds) error {
	gone, err := s.gone(b.Gone)
	if err != nil {
		return fmt.Errorf("trim cache: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("trim cache: %w", err)
	}
	defer unlock()
	all, err := s.List("")
	if err != nil {
		return fmt.Errorf("trim cache: %w", err)
	}
	left, err := s.leave(all, gone, b.Before)
	if err := cmp.Or(err, s.fit(left, b.Size)); err != nil {
		return fmt.Errorf("trim cache: %w", err)
	}
	return nil
}

// gone are the dests of entries that are gone. They are asked for without the
// lock: a file system that does not answer keeps nobody else from the cache.
func (s *Store) gone(is func(dest string) bool) (map[string]bool, error) {
	all, err := s.List("")
	gone := map[string]bool{}
	for _, e := range all {
		if _, asked := gone[e.Dest]; !asked {
			gone[e.Dest] = is(e.Dest)
		}
	}
	return gone, err
}

// leave removes what belongs to dests that are gone, and returns the entries of
// the others.
func (s *Store) leave(all []Entry, gone map[string]bool, before time.Time) (left []Entry, err error) {
	for _, e := range all {
		switch {
		case !gone[e.Dest]:
			left = append(left, e)
		case e.Finished.Before(before):
			err = cmp.Or(err, s.remove(e.Run))
		case e.HasArchive:
			err = cmp.Or(err, s.removeArchive(e.Run))
		}
	}
	return left, err
}

// kept is an archive with its worth: how many others of its dest are newer, as
// far as that matters.
type kept struct {
	Entry
	newer int
}

// older is the worth of all that are neither live nor were so just before.
const older = 2

// fit removes archives of the entries, newest first, until all together take
// at most size bytes.
func (s *Store) fit(all []Entry, size int64) (err error) {
	if size < 0 {
		return nil
	}
	seen := map[string]int{}
	var archives []kept
	for _, e := range all {
		if !e.HasArchive { // half of one is of no use
			err = cmp.Or(err, s.removeHalf(e.Run))
			continue
		}
		archives = append(archives, kept{e, min(seen[e.Dest], older)})
		seen[e.Dest]++
	}
	slices.SortStableFunc(archives, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.newer, b.newer), cmp.Compare(b.Seq, a.Seq))
	})
	nodes := map[string][]node{}
	for _, a := range archives {
		nodes[a.Run] = s.nodes(a.Entry)
	}
	for _, a := range surplus(archives, func(k kept) []node { return nodes[k.Run] }, size) {
		err = cmp.Or(err, s.removeArchive(a.Run))
	}
	return err
}
