package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

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
	// poll is the time between two attempts at the lock, which is held for
	// renames only.
	poll = 10 * time.Millisecond
)

// Put makes the entry e.Run of a manifest and an archive ("" for none), whose
// checksum the caller has verified. Put sets Seq and Size, and Finished when
// that is zero. The archive is moved into the entry, or copied when it lies on
// another file system; the caller's name for it may be gone afterwards.
//
// After an error there is no new entry, and the archive is where it was. The
// error wraps disk.ErrNoRoom when too little would stay free, fs.ErrExist when
// the run has an entry, ctx's error or the cause.
func (s *Store) Put(ctx context.Context, e Entry, manifest []byte, archive string) error {
	if err := s.put(ctx, e, manifest, archive); err != nil {
		return fmt.Errorf("keep what run %q deployed: %w", e.Run, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, e Entry, manifest []byte, archive string) (err error) {
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
	if err := disk.Room(s.dir, int64(len(manifest))+small); err != nil {
		return err
	}
	temp, err := s.temp(e.Run)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = disk.RemovePath(temp) // or Sweep does
		}
	}()
	hold, err := disk.HoldPath(temp) // against Sweep
	if err != nil {
		return err
	}
	defer hold.Close()
	if err := write(filepath.Join(temp, manifestName), manifest); err != nil {
		return err
	}
	if archive != "" {
		var giveBack func()
		if e.Size, giveBack, err = s.take(ctx, archive, filepath.Join(temp, archiveName)); err != nil {
			return err
		}
		defer func() { // before the removal of temp
			if err != nil {
				giveBack()
			}
		}()
	}
	return s.publish(ctx, e, temp)
}

// temp makes a directory whose name is no entry's.
func (s *Store) temp(run string) (string, error) { return os.MkdirTemp(s.dir, "."+run+".*") }

// take moves or copies the file from to the name to. giveBack undoes a move.
func (s *Store) take(ctx context.Context, from, to string) (size int64, giveBack func(), err error) {
	info, err := os.Lstat(from)
	if err != nil {
		return 0, nil, err
	}
	if !info.Mode().IsRegular() {
		return 0, nil, fmt.Errorf("archive %q: not a file", from)
	}
	err = os.Rename(from, to)
	if errors.Is(err, unix.EXDEV) {
		return info.Size(), func() {}, s.copy(ctx, from, to, info.Size())
	}
	if err != nil {
		return 0, nil, err
	}
	giveBack = func() {
		_ = os.Chmod(to, info.Mode().Perm())
		_ = os.Rename(to, from)
	}
	if err := os.Chmod(to, 0o600); err != nil {
		giveBack()
		return 0, nil, err
	}
	return info.Size(), giveBack, nil
}

// copy copies size bytes. io.Copy uses copy_file_range(2) where there is one,
// which shares the blocks on file systems that can. Nothing waits for the disk:
// see the package comment.
func (s *Store) copy(ctx context.Context, from, to string, size int64) error {
	if err := disk.Room(s.dir, size+margin); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for left := size; left > 0; left -= chunk {
		if err = context.Cause(ctx); err != nil {
			break
		}
		if _, err = io.CopyN(dst, src, min(left, chunk)); err != nil {
			err = fmt.Errorf("copy %q: %w", from, err)
			break
		}
	}
	return errors.Join(err, dst.Close())
}

// publish gives the entry prepared in temp its number and its name. The name
// is on disk when publish returns.
func (s *Store) publish(ctx context.Context, e Entry, temp string) error {
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
	if err := writeMeta(filepath.Join(temp, metaName), e); err != nil {
		return err
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	name := filepath.Join(s.dir, e.Run)
	if err := disk.RenamePath(temp, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%q: %w", name, fs.ErrExist)
		}
		return err
	}
	_ = syncDir(s.dir) // the entry is there, and whole, should only its name be lost
	return nil
}

// lock keeps other processes from numbering and moving entries until unlock.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	dir, err := os.Open(s.dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = dir.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(os.NewSyscallError("flock", err), dir.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), dir.Close())
		case <-time.After(poll):
		}
	}
}

func writeMeta(name string, e Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return write(name, append(text, '\n'))
}

// write writes a file that is on disk when write returns.
func write(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
