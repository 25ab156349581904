package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"stretcher/internal/disk"
)

const (
	// margin is what an archive leaves free on the cache's file system, in
	// bytes, beside what internal/disk leaves: deployments come first.
	margin = 16 << 20
	// small is what a manifest leaves free: the history is on the same disk.
	small = 1 << 20
	// chunk is copied between two looks at the context, in bytes.
	chunk = 64 << 20
)

// Put makes the entry e.Run of a manifest and an archive (nil for none), whose
// checksum the caller has verified. Put sets Seq and Size, and Finished when
// that is zero. An archive that disk.Unnamed has made on the cache's file system
// gets a name in the entry, also when a Pool has it; any other is copied, and put
// together. It stays the caller's, and open; where it is read next is not said.
//
// After an error there is no new entry. The error wraps disk.ErrNoRoom when too
// little would stay free, fs.ErrExist when the run has an entry, ctx's error or
// the cause.
func (s *Store) Put(ctx context.Context, e Entry, manifest []byte, archive *Archive) error {
	if err := s.put(ctx, e, manifest, archive); err != nil {
		return fmt.Errorf("keep what run %q deployed: %w", e.Run, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, e Entry, manifest []byte, archive *Archive) (err error) {
	e.Size = 0
	switch {
	case !isRun(e.Run):
		return errors.New("not the id of a run")
	case len(manifest) > maxManifest:
		return fmt.Errorf("a manifest of %d bytes: %d are allowed", len(manifest), maxManifest)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.place.Room(int64(len(manifest)) + small); err != nil {
		return err
	}
	temp := temporaryName(e.Run)
	dir, err := s.place.Make(temp, 0o700)
	if err != nil {
		return err
	}
	defer dir.Close()
	defer func() {
		if err != nil {
			_ = disk.RemoveAll(s.root, temp) // or Sweep does
		}
	}()
	hold, err := disk.Hold(dir.Root()) // against Sweep
	if err != nil {
		return err
	}
	defer hold.Close()
	if err := write(dir.Root(), manifestName, manifest); err != nil {
		return err
	}
	if archive != nil {
		if e.Size, err = s.take(ctx, archive, dir); err != nil {
			return err
		}
	}
	return s.publish(ctx, e, temp, dir)
}

// temporaryName is a directory's name that is no entry's.
func temporaryName(run string) string { return fmt.Sprintf(".%s.%d", run, rand.Uint64()) }

// take links or copies the archive into an entry.
func (s *Store) take(ctx context.Context, archive *Archive, to *disk.Dir) (size int64, err error) {
	if size, err = archive.Size(); err != nil {
		return 0, err
	}
	if archive.link(to.Root(), archiveName) == nil {
		if archive.parts == nil {
			err = archive.base.Chmod(0o600)
		}
		return size, err
	}
	return size, s.copy(ctx, archive, to.Root(), size)
}

// copy copies size bytes. Nothing waits for the disk: see the package comment.
func (s *Store) copy(ctx context.Context, src *Archive, to *os.Root, size int64) error {
	if err := s.place.Room(size + margin); err != nil {
		return err
	}
	dst, err := to.OpenFile(archiveName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(src.copyTo(ctx, dst), dst.Close())
}

// publish gives the entry prepared in temp, open as dir, its number and its
// name. The name is on disk when publish returns.
func (s *Store) publish(ctx context.Context, e Entry, temp string, dir *disk.Dir) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := s.List("")
	if err != nil {
		return err
	}
	e.Seq = 1
	if len(all) > 0 {
		e.Seq = all[0].Seq + 1
	}
	if e.Finished.IsZero() {
		e.Finished = time.Now()
	}
	if err := writeMeta(dir.Root(), metaName, e); err != nil {
		return err
	}
	if err := disk.SyncDir(dir.Root()); err != nil {
		return err
	}
	if err := disk.RenameNew(s.root, temp, s.root, e.Run); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%q: %w", filepath.Join(s.dir, e.Run), fs.ErrExist)
		}
		return err
	}
	_ = disk.SyncDir(s.root) // the entry is there, and whole, should only its name be lost
	return nil
}

// lock keeps other processes from numbering and moving entries until unlock.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) { return lock(ctx, s.root) }

// lock takes the lock on an open directory.
func lock(ctx context.Context, root *os.Root) (unlock func(), err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := disk.Lock(ctx, dir); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

func writeMeta(dir *os.Root, name string, e Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return write(dir, name, append(text, '\n'))
}

// write writes a file that is on disk when write returns.
func write(dir *os.Root, name string, content []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
