package cache

import (
	"context"
	"errors"
	"fmt"
)

// Kept is what a good run wants kept, for a rollback.
type Kept struct {
	Entry
	Manifest  []byte           // as it was fetched
	Archive   *Archive         // nil = none is kept
	Archives  int              // how many of the dest stay
	Manifests func(Entry) bool // as for Prune
}

// Keep is Put, without the archive where that can't be kept, and Prune. Failing at it
// fails no run: Warn is told.
func (s *Store) Keep(ctx context.Context, k Kept) {
	err := s.Put(ctx, k.Entry, k.Manifest, k.Archive)
	if err != nil && k.Archive != nil {
		if without := s.Put(ctx, k.Entry, k.Manifest, nil); without == nil {
			s.warn(fmt.Errorf("a rollback to this run will have to fetch: %w", err))
			err = nil
		}
	}
	if err != nil {
		s.warn(fmt.Errorf("a rollback to this run is not possible: %w", err))
	}
	if err := s.Prune(k.Dest, k.Archives, k.Manifests); err != nil {
		s.warn(err)
	}
}

// TrimAll is Trim and TrimPool. Warn is told of what fails.
func (s *Store) TrimAll(b Bounds) {
	if err := errors.Join(s.Trim(b), s.TrimPool(b.Size >= 0)); err != nil {
		s.warn(err)
	}
}

// TrimPool bounds the pool. Together says that its size is for all that is kept.
func (s *Store) TrimPool(together bool) error {
	others := int64(0)
	if together {
		others = s.Size()
	}
	return s.Pool().Trim(others)
}

// UsePool opens the pool in dir, as OpenPool does, and uses it. Where the store is only
// read, so is the pool, if it is there. Warn is told why there is none. A nil store
// has none.
func (s *Store) UsePool(dir string, size int64) {
	if s == nil {
		return
	}
	if s.reads {
		if pool, err := OpenPoolReading(dir); err == nil { // what is not there helps nobody
			s.Use(pool)
		}
		return
	}
	pool, err := OpenPool(dir, size)
	if err != nil {
		s.warn(fmt.Errorf("what is fetched is not kept: %w", err))
	} else if pool != nil {
		pool.Warn = s.Warn
		s.Use(pool)
	}
}
