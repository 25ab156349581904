package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"stretcher/internal/disk"
)

// lockWait is how long Prune waits for other processes, which have the lock
// for moments unless they are stopped.
const lockWait = 10 * time.Second

// Prune keeps of dest's entries those that hold one of the newest keepArchives
// archives and those that keepManifest, which may be nil, wants kept for their
// manifest; it removes all others, and the archives of those.
//
// An archive is there once for each checksum, in the newest entry that was
// deployed from it, also when it came by an older one: a run that had nothing
// to fetch has put an entry without it. It must be called under dest's lock.
//
// What can't be removed does not keep the rest; the error tells the first.
func (s *Store) Prune(dest string, keepArchives int, keepManifest func(Entry) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("prune cache: %w", err)
	}
	defer unlock()
	all, err := s.List(dest)
	if err != nil {
		return fmt.Errorf("prune cache: %w", err)
	}
	errs := []error{s.gather(all)}
	for _, e := range all { // newest first
		var err error
		switch {
		case e.HasArchive && keepArchives > 0:
			keepArchives--
		case keepManifest == nil || !keepManifest(e):
			err = s.remove(e.Run)
		default:
			err = s.removeArchive(e.Run) // half of one, too
		}
		errs = append(errs, err)
	}
	if err := cmp.Or(errs...); err != nil {
		return fmt.Errorf("prune cache: %w", err)
	}
	return nil
}

// Of a dest whose archives are not kept, the manifests of so many different
// deployments are, and of so many runs: a rollback fetches the archive again.
const (
	maxDeployments = 5
	maxManifests   = 20
)

// Newest is for Prune, which asks it about the newest entry first: it wants
// the manifests of the newest runs, a bounded number, and serves one call.
func Newest() func(Entry) bool {
	n, seen := 0, map[string]bool{}
	return func(e Entry) bool {
		n++
		seen[e.Fingerprint] = true
		return n <= maxManifests && len(seen) <= maxDeployments
	}
}

// gather leaves each archive of the entries, newest first, in the newest entry
// that has its checksum, and notes that in the entries.
func (s *Store) gather(all []Entry) error {
	newest := map[string]*Entry{}
	for i := range all {
		e := &all[i]
		if e.Checksum == "" {
			continue
		}
		first := newest[e.Checksum]
		if first == nil {
			newest[e.Checksum] = e
			continue
		}
		if !e.HasArchive {
			continue
		}
		if err := s.give(*e, *first); err != nil {
			return err
		}
		first.Size, first.HasArchive, e.HasArchive = e.Size, true, false
	}
	return nil
}

// give moves an archive to a newer entry. When that has it already, the older
// one's is removed.
func (s *Store) give(from, to Entry) error {
	if to.HasArchive {
		return s.removeArchive(from.Run)
	}
	if err := s.removeArchive(to.Run); err != nil { // half of one
		return err
	}
	// The size first: whoever reads in between finds no archive there.
	if to.Size != from.Size {
		to.Size = from.Size
		if err := s.rewrite(to); err != nil {
			return err
		}
	}
	old, next := filepath.Join(from.Run, archiveName), filepath.Join(to.Run, archiveName)
	if err := s.root.Rename(old, next); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// One of two files would be nothing: both have two names for a while.
	for _, suffix := range []string{baseSuffix, partsSuffix} {
		if err := s.root.Link(old+suffix, next+suffix); err != nil {
			return err
		}
	}
	return s.removeArchive(from.Run)
}

// rewrite replaces what is known of an entry. The caller has the lock.
func (s *Store) rewrite(e Entry) error {
	name := filepath.Join(e.Run, metaName)
	next := name + ".new"
	if err := s.removeFile(next); err != nil { // of a killed process
		return err
	}
	if err := writeMeta(s.root, next, e); err != nil {
		return err
	}
	return s.root.Rename(next, name)
}

// removeFile removes a file that may not be there.
func (s *Store) removeFile(name string) error {
	if err := s.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// remove removes an entry: at once by name, then from the disk. It makes
// nothing, since the disk may be full.
func (s *Store) remove(run string) error {
	temp := temporaryName(run)
	if err := disk.RenameNew(s.root, run, s.root, temp); err != nil {
		return err
	}
	return disk.RemoveAll(s.root, temp)
}
