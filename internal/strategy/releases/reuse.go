package releases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"stretcher/internal/text/runid"
)

// Link says what a release shares with the one before it.
type Link string

// The ways of sharing unchanged files.
const (
	// Reflink shares the blocks of files with the same content, where the file
	// system can (btrfs, XFS and others on Linux). The files stay apart:
	// writing to one copies what is written.
	Reflink Link = "reflink"
	// Hard makes files with the same content, mode, owner and time one inode:
	// whoever writes to one of them writes to all releases.
	Hard Link = "hard"
	// NoLink shares nothing.
	NoLink Link = "none"
)

// Saved says what Reuse found unchanged and shared.
type Saved struct {
	Files int
	Bytes int64 // sizes of these files
}

// Reuse makes the regular files of a staged tree that have the same path and
// content in the release id share its blocks, or its inodes: see Link. Mode,
// owner, time and links of the staged files stay as they are. A file that
// can't be shared stays a full copy, as does everything where the file system
// can't, or when there is no such release. An error leaves the staged tree
// unfit for use.
func (d *Dir) Reuse(ctx context.Context, staged *os.Root, id string, how Link) (Saved, error) {
	none := Saved{}
	if how == NoLink || !runid.Is(id) {
		return none, nil
	}
	in, err := d.openReleases()
	if err != nil {
		return none, ignoreMissing(err)
	}
	old, err := openDir(in, id)
	if err != nil {
		return none, ignoreMissing(err)
	}
	defer old.Close()
	r := &reuser{ctx: ctx, how: how, a: make([]byte, compareSize), b: make([]byte, compareSize)}
	if how == Reflink {
		if r.snapshot = snapshotFile(in); r.snapshot == nil {
			return none, nil
		}
		defer r.snapshot.Close()
	}
	if err := r.dir(old, staged); err != nil {
		return r.saved, fmt.Errorf("reuse release %q: %w", id, err)
	}
	return r.saved, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// snapshotFile makes the file that holds what is compared, or nil where the
// file system does not clone: asked once, so that nothing is compared in vain.
func snapshotFile(dir *os.Root) *os.File {
	f, err := scratch(dir)
	if err != nil {
		return nil
	}
	probe, err := scratch(dir)
	if err == nil {
		err = clone(f, probe)
		_ = probe.Close()
	}
	if err != nil {
		_ = f.Close()
		return nil
	}
	return f
}

// compareSize is how much of two files is compared at once, in bytes.
const compareSize = 128 << 10

type reuser struct {
	ctx context.Context
	how Link
	// snapshot is a clone of the old file at hand. That is what is compared
	// and shared: the old release may be written to meanwhile.
	snapshot *os.File
	a, b     []byte
	saved    Saved
}

// dir looks at a directory of both trees.
func (r *reuser) dir(old, fresh *os.Root) error {
	entries, err := fs.ReadDir(fresh.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
		switch {
		case e.IsDir():
			err = r.sub(old, fresh, e.Name())
		case e.Type().IsRegular():
			err = r.file(old, fresh, e.Name())
		}
		if err != nil {
			return fmt.Errorf("%q: %w", e.Name(), err)
		}
	}
	return nil
}

// sub looks at a directory in a directory of both trees.
func (r *reuser) sub(old, fresh *os.Root, name string) error {
	was, err := openDir(old, name)
	if err != nil {
		return nil // nothing to share with
	}
	defer was.Close()
	is, err := openDir(fresh, name)
	if err != nil {
		return err
	}
	defer is.Close()
	return r.dir(was, is)
}

// file shares one file, when it is unchanged.
func (r *reuser) file(old, fresh *os.Root, name string) error {
	before, was, err := openFile(old, name)
	if err != nil {
		return nil // nothing to share with
	}
	defer before.Close()
	is, err := fresh.Lstat(name)
	if err != nil {
		return err
	}
	if is.Size() != was.Size() || is.Size() == 0 {
		return nil
	}
	shared := false
	if r.how == Hard {
		shared, err = r.hard(old, fresh, name, before, was, is)
	} else {
		shared, err = r.reflink(fresh, name, before, is)
	}
	if shared {
		r.saved.Files++
		r.saved.Bytes += is.Size()
	}
	return err
}

// hard links an old file to its place in the staged tree. Files that have
// several names in the staged tree keep them.
func (r *reuser) hard(old, fresh *os.Root, name string, before *os.File, was, is fs.FileInfo) (bool, error) {
	a, b := was.Sys().(*syscall.Stat_t), is.Sys().(*syscall.Stat_t)
	if was.Mode() != is.Mode() || !was.ModTime().Equal(is.ModTime()) || a.Uid != b.Uid || a.Gid != b.Gid || b.Nlink > 1 {
		return false, nil
	}
	after, err := fresh.Open(name)
	if err != nil {
		return false, err
	}
	defer after.Close()
	if same, err := r.same(before, after); !same || err != nil {
		return false, err
	}
	done := false
	err = keepTime(fresh, ".", func() error {
		return writable(fresh, func() error {
			temp := newShared + strconv.Itoa(os.Getpid())
			if linkAt(old, name, fresh, temp) != nil {
				return nil // the owner forbids it, or too many links
			}
			if linked, err := fresh.Lstat(temp); err != nil || !os.SameFile(linked, was) {
				return errors.Join(err, fresh.Remove(temp)) // not the file that was compared
			}
			done = true
			return fresh.Rename(temp, name)
		})
	})
	return done, err
}

// reflink lets a staged file share an old file's blocks.
func (r *reuser) reflink(fresh *os.Root, name string, before *os.File, is fs.FileInfo) (bool, error) {
	if err := r.snapshot.Truncate(0); err != nil {
		return false, err
	}
	if clone(r.snapshot, before) != nil {
		return false, nil // this one can't be: without copy on write, in use as swap
	}
	return r.replace(fresh, name, is)
}

// replace gives a staged file the blocks of the snapshot if that is equal.
func (r *reuser) replace(fresh *os.Root, name string, is fs.FileInfo) (shared bool, err error) {
	mode := settable(is.Mode())
	f, err := fresh.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		if err = fresh.Chmod(name, mode|0o600); err == nil {
			f, err = fresh.OpenFile(name, os.O_RDWR, 0)
		}
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	same, err := r.same(r.snapshot, f)
	if err != nil {
		return false, err
	}
	if same {
		if shared, err = r.refill(f); err != nil {
			return false, err
		}
	}
	// Writing takes the setuid bit away and changes the time.
	if err := f.Chmod(mode); err != nil {
		return false, err
	}
	return shared, fresh.Chtimes(name, time.Time{}, is.ModTime())
}

// refill replaces the content of f, which is equal to the snapshot, by the
// snapshot's blocks. Emptied first, f has nothing to be written before it is
// cloned into.
func (r *reuser) refill(f *os.File) (bool, error) {
	if err := f.Truncate(0); err != nil {
		return false, err
	}
	if clone(f, r.snapshot) == nil {
		return true, nil
	}
	_, err := io.Copy(io.NewOffsetWriter(f, 0), io.NewSectionReader(r.snapshot, 0, 1<<62))
	return false, err
}

// same tells whether two files have the same content.
func (r *reuser) same(x, y *os.File) (bool, error) {
	for off := int64(0); ; off += compareSize {
		n, err := x.ReadAt(r.a, off)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, err := y.ReadAt(r.b, off)
		if err != nil && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(r.a[:n], r.b[:m]) {
			return false, nil
		}
		if n < compareSize {
			return true, context.Cause(r.ctx)
		}
	}
}
