package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"stretcher/internal/disk"
)

// ErrShared: a shared path is neither in DEST/shared nor in the release.
var ErrShared = errors.New("shared path is nowhere")

// nowhereError is ErrShared for one path; dir is DEST/shared.
type nowhereError struct{ name, dir string }

// Error names the path and where it was looked for.
func (e *nowhereError) Error() string {
	return fmt.Sprintf("shared path %q is neither in the archive nor in %q", e.name, e.dir)
}

// Unwrap is ErrShared.
func (*nowhereError) Unwrap() error { return ErrShared }

// sharedError says which path an error is about.
func sharedError(p string, err error) error {
	if errors.Is(err, ErrShared) {
		return err // it says so itself
	}
	return fmt.Errorf("shared path %q: %w", p, err)
}

// CheckShared judges the paths that releases share. A path is relative and
// clean, without "..", and may end in one "/", which says that it is a
// directory to be made when it is nowhere. No path may be given twice or lie
// in another.
func CheckShared(paths []string) error {
	seen := make(map[string]bool, len(paths))
	for _, p := range paths {
		name := strings.TrimSuffix(p, "/")
		switch {
		case name == "" || name == ".":
			return fmt.Errorf("shared path %q names nothing", p)
		case !filepath.IsLocal(name):
			return fmt.Errorf("shared path %q leads out of the release", p)
		case path.Clean(name) != name:
			return fmt.Errorf("shared path %q is not clean: write %q", p, path.Clean(name))
		case strings.ContainsRune(name, 0):
			return fmt.Errorf("shared path %q holds a NUL byte", p)
		case seen[name]:
			return fmt.Errorf("shared path %q is given twice", p)
		}
		seen[name] = true
	}
	for _, p := range paths {
		for dir := path.Dir(strings.TrimSuffix(p, "/")); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return fmt.Errorf("shared path %q lies in shared path %q", p, dir)
			}
		}
	}
	return nil
}

// linker links shared paths into a staged tree. All it does is done inside
// the two roots: the tree is an archive's, and what runs from the releases
// may be allowed to write in shared.
type linker struct {
	release, shared *os.Root
	dir             string // DEST/shared
	id              string // of the release
	uid, gid        int    // of the release's root
	sync            bool
	synced          bool // what is staged is on the disk
}

// linkShared makes each of the paths a symlink in the staged tree.
func (d *Dir) linkShared(ctx context.Context, staged *os.Root, id string, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	if err := CheckShared(paths); err != nil {
		return err
	}
	if err := d.makeShared(); err != nil {
		return err
	}
	l, err := d.linker(staged, id)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		name := strings.TrimSuffix(p, "/")
		err := l.fill(ctx, name, name != p)
		if err == nil {
			err = l.point(name)
		}
		if err != nil {
			return sharedError(p, err)
		}
	}
	return nil
}

// makeShared makes the directory of what releases share where it is missing.
func (d *Dir) makeShared() error {
	_, err := d.openShared()
	if errors.Is(err, fs.ErrNotExist) {
		d.shared, err = d.make(d.at.Dir, sharedName)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", d.sharedPath(), err)
	}
	return nil
}

func (d *Dir) linker(staged *os.Root, id string) (*linker, error) {
	info, err := staged.Stat(".")
	if err != nil {
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return &linker{
		release: staged, shared: d.shared.Root(), dir: d.sharedPath(), id: id,
		uid: int(st.Uid), gid: int(st.Gid), sync: d.opts.Sync,
	}, nil
}

// fill makes sure that shared has name: what it has, else what the release
// has, else, for isDir, a new directory.
func (l *linker) fill(ctx context.Context, name string, isDir bool) error {
	in := places{dir: l.dir, shared: l.shared, own: func(name string) (fs.FileMode, error) {
		info, err := lookup(l.release, name)
		if err != nil {
			return 0, err
		}
		return info.Mode(), nil
	}}
	from, err := in.source(name, isDir)
	switch {
	case err != nil:
		return err
	case from == fromRelease:
		return l.adopt(ctx, name)
	case from == fromNothing:
		return l.inShared(ctx, path.Dir(name), func(to *os.Root) error {
			return l.makeIn(ctx, to, path.Base(name), 0o755, l.uid, l.gid)
		})
	}
	return nil
}

// source is where shared gets a path from.
type source int

const (
	fromShared  source = iota // it is there
	fromRelease               // the release's own copy
	fromNothing               // a new directory
)

// places are where a shared path may be.
type places struct {
	dir    string                                 // DEST/shared
	shared *os.Root                               // dir, nil = it isn't there
	own    func(name string) (fs.FileMode, error) // what name is in the release, or an error like lookup's
}

// source finds and judges what name is or would be in shared.
func (p places) source(name string, isDir bool) (source, error) {
	if p.shared != nil {
		there, err := lookup(p.shared, name)
		if err == nil {
			return fromShared, p.checkShared(name, there.Mode(), isDir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("in %q: %w", sharedName, err)
		}
	}
	mode, err := p.own(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isDir:
		return fromNothing, nil
	case errors.Is(err, fs.ErrNotExist):
		return 0, &nowhereError{name, p.dir}
	case err != nil:
		return 0, fmt.Errorf("in the release: %w", err)
	case isDir && !mode.IsDir(), !mode.IsDir() && !mode.IsRegular():
		return 0, fmt.Errorf("it is %s in the release and can't be shared as %q", kind(mode), name)
	}
	return fromRelease, nil
}

// checkShared judges what shared has: somebody may have put a symlink there,
// to elsewhere even; that is theirs to say.
func (p places) checkShared(name string, mode fs.FileMode, isDir bool) error {
	if isDir && !mode.IsDir() && mode&fs.ModeSymlink == 0 {
		return fmt.Errorf("%q is %s, not a directory", filepath.Join(p.dir, name), kind(mode))
	}
	return nil
}

// adopt moves the release's own copy to shared, whole and at once.
func (l *linker) adopt(ctx context.Context, name string) error {
	from, err := descend(l.release, path.Dir(name), nil)
	if err != nil {
		return err
	}
	defer from.Close()
	return l.inShared(ctx, path.Dir(name), func(to *os.Root) error {
		return l.move(ctx, from, path.Base(name), to, path.Base(name))
	})
}

// inShared runs f in a directory of shared, which it makes where missing,
// with mode and owner of the release's own.
func (l *linker) inShared(ctx context.Context, dir string, f func(*os.Root) error) error {
	to, err := descend(l.shared, dir, func(at *os.Root, rel string) error {
		mode, uid, gid := fs.FileMode(0o755), l.uid, l.gid
		if info, err := lookup(l.release, rel); err == nil && info.IsDir() {
			st := info.Sys().(*syscall.Stat_t)
			mode, uid, gid = settable(info.Mode())|0o700, int(st.Uid), int(st.Gid)
		}
		return l.makeIn(ctx, at, path.Base(rel), mode, uid, gid)
	})
	if err != nil {
		return fmt.Errorf("in %q: %w", sharedName, err)
	}
	defer to.Close()
	return f(to)
}

// makeIn makes a directory in to. It is made complete in the staged tree,
// where nothing has to be swept, and moved.
func (l *linker) makeIn(ctx context.Context, to *os.Root, name string, mode fs.FileMode, uid, gid int) error {
	temp := newShared + l.id
	return keepTime(l.release, ".", func() error {
		return writable(l.release, func() error {
			if err := l.makeOwned(l.release, temp, mode, uid, gid); err != nil {
				return err
			}
			if err := l.move(ctx, l.release, temp, to, name); err != nil {
				return err
			}
			if err := l.release.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err // a copy was made
			}
			return nil
		})
	})
}

// makeOwned makes a directory with that mode, whatever the umask, and, for
// root, that owner.
func (*linker) makeOwned(in *os.Root, name string, mode fs.FileMode, uid, gid int) error {
	if err := in.Mkdir(name, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := in.Lchown(name, uid, gid); err != nil {
			return err
		}
	}
	return in.Chmod(name, mode)
}

// move moves a file or directory into a directory of shared: a rename, or a
// copy, with the source left, where shared is another file system.
func (l *linker) move(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	if err := l.flush(); err != nil {
		return err
	}
	err := keepTime(from, ".", func() error {
		return writable(from, func() error { return move(from, name, to, newName) })
	})
	if errors.Is(err, syscall.EXDEV) {
		return l.copyTo(ctx, from, name, to, newName)
	}
	return err
}

// move renames a file or a directory.
func move(from *os.Root, name string, to *os.Root, newName string) error {
	err := moveDir(from, name, to, newName)
	if errors.As(err, new(*notDirError)) {
		return disk.RenameNew(from, name, to, newName)
	}
	return err
}

// flush puts what is staged on the disk, once: shared wins over every later
// release, and must not hold an empty file after a power cut.
func (l *linker) flush() error {
	if !l.sync || l.synced {
		return nil
	}
	l.synced = true
	return syncRoot(l.release)
}

// point makes name in the release a symlink to name in shared.
func (l *linker) point(name string) error {
	parent, err := descend(l.release, path.Dir(name), func(at *os.Root, rel string) error {
		return writable(at, func() error { return l.makeOwned(at, path.Base(rel), 0o755, l.uid, l.gid) })
	})
	if err != nil {
		return fmt.Errorf("in the release: %w", err)
	}
	defer parent.Close()
	base := path.Base(name)
	return keepTime(parent, ".", func() error {
		return writable(parent, func() error {
			if err := disk.RemoveAll(parent, base); err != nil {
				return err
			}
			if err := parent.Symlink(sharedTarget(name), base); err != nil {
				return err
			}
			if os.Geteuid() != 0 {
				return nil
			}
			return parent.Lchown(base, l.uid, l.gid)
		})
	})
}

// sharedTarget leads from where name stands in a release to DEST/shared/name.
func sharedTarget(name string) string {
	// Out of the directories of name, of the release and of the releases.
	return strings.Repeat("../", strings.Count(name, "/")+2) + sharedName + "/" + name
}
