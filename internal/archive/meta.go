package archive

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive/members"
	"stretcher/internal/disk/confined"
)

// meta is what an entry says of itself besides its content.
type meta struct {
	mode     os.FileMode
	uid, gid int
	mtime    unix.Timespec
}

// rules says which part of the metadata this process applies, as GNU tar
// decides it: root applies everything, others let the umask work.
type rules struct {
	strict  bool
	exact   bool // root: modes as they are, not through the umask
	owners  bool
	umask   os.FileMode // for Extract unless exact
	ids     owners
	implied os.FileMode // of directories without an entry, before the umask
}

// newRules leaves the umask to the caller.
func newRules(mode Mode) *rules {
	r := &rules{strict: mode == Strict, exact: os.Geteuid() == 0, implied: 0o777}
	r.owners = r.exact && !r.strict
	if r.strict {
		r.implied = 0o755
	}
	return r
}

// symlinkTo judges the target of a symlink at path.
func (r *rules) symlinkTo(to, path string) error {
	if !r.strict {
		return nil
	}
	return strictTarget(to, depthOf(path))
}

// probeUmask asks the file system, since umask(2) can only be read by setting
// it for the whole process. It knows better than processUmask, too: a default
// ACL of the root goes before the umask.
func probeUmask(root *os.Root) (os.FileMode, error) {
	const name = ".umask"
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o777)
	if err != nil {
		return 0, fmt.Errorf("write in extraction root: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil {
		err = root.Remove(name)
	}
	if err != nil {
		return 0, fmt.Errorf("probe umask: %w", err)
	}
	return 0o777 &^ fi.Mode().Perm(), nil
}

// swapUmask reads the umask of the process by setting it. What others create
// in between comes out private.
func swapUmask() os.FileMode {
	old := unix.Umask(0o077)
	unix.Umask(old)
	return os.FileMode(old & 0o777)
}

// of reads an entry's metadata. A time the system can't hold becomes now.
func (r *rules) of(ctx context.Context, h *members.Member) (meta, error) {
	m := meta{mode: r.mode(h.Mode, isDirType(h)), uid: -1, gid: -1}
	ts, err := unix.TimeToTimespec(time.Unix(h.Sec, h.Nsec))
	if err != nil {
		ts.Nsec = confined.TimeNow
	}
	m.mtime = ts
	if !r.owners {
		return m, nil
	}
	if m.uid, err = r.ids.id(ctx, users, h.Uname, h.UID); err != nil {
		return m, err
	}
	m.gid, err = r.ids.id(ctx, groups, h.Gname, h.GID)
	return m, err
}

// mode is the mode to set; the umask is not applied to it.
func (r *rules) mode(bits int64, dir bool) os.FileMode {
	mode := os.FileMode(bits & 0o777)
	switch {
	case r.strict && dir:
		return mode&^0o022 | 0o700
	case r.strict:
		if mode &= ^os.FileMode(0o022); mode&0o100 == 0 {
			mode &^= 0o011
		}
		return mode | 0o600
	case !r.exact:
		return mode
	}
	for _, b := range []struct {
		bit  int64
		mode os.FileMode
	}{{0o4000, os.ModeSetuid}, {0o2000, os.ModeSetgid}, {0o1000, os.ModeSticky}} {
		if bits&b.bit != 0 {
			mode |= b.mode
		}
	}
	return mode
}

// finalMode is the mode an entry ends up with.
func (r *rules) finalMode(m meta) os.FileMode {
	if r.exact {
		return m.mode
	}
	return m.mode &^ r.umask
}

// openMode is the mode to create a file with: for others than root the kernel
// applies the umask and nothing is left to do.
func (r *rules) openMode(m meta) os.FileMode {
	if r.exact {
		return 0o600
	}
	return m.mode
}

// applyFile sets owner and mode; the owner first, since chown clears setuid.
func (r *rules) applyFile(f *os.File, m meta) error {
	if r.owners {
		if err := confined.Chown(int(f.Fd()), m.uid, m.gid); err != nil {
			return err
		}
	}
	if r.exact {
		return f.Chmod(m.mode)
	}
	return nil
}

// applyDir sets everything of a finished directory. The mode comes last, as
// it may take away the right to do the rest.
func (r *rules) applyDir(fd int, m meta) error {
	if r.owners {
		if err := confined.Chown(fd, m.uid, m.gid); err != nil {
			return err
		}
	}
	if err := confined.SetTime(fd, ".", m.mtime); err != nil {
		return err
	}
	mode := m.mode
	if !r.exact {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		mode = mode&^r.umask | confined.FileMode(&st)&os.ModeSetgid // inherited from above the root
	}
	return unix.Fchmod(fd, confined.Perm(mode))
}
