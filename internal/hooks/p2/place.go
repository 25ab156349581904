package p2

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

const (
	current  = "current"
	installs = "installs"
	tempLink = ".link"
)

// site is where a pod is laid out: its open directories.
type site struct {
	exec *disk.Dir // exec/EVENT
	pod  *disk.Dir // pods/EVENT/POD
}

// open opens where the pod is laid out. It makes what is not there, once it is
// sure that all the rest are directories.
func (b Bundle) open(parts []part) (site, error) {
	pod := []string{"pods", b.Event, b.Pod}
	for _, p := range parts {
		dir, err := below(b.Root, (*disk.Dir).Sub, append(slices.Clone(pod), p.name, installs)...)
		switch {
		case err == nil:
			_ = dir.Close()
		case !errors.Is(err, fs.ErrNotExist):
			return site{}, err
		}
	}
	var (
		s   site
		err error
	)
	if s.pod, err = below(b.Root, made, pod...); err != nil {
		return s, err
	}
	if s.exec, err = below(b.Root, made, "exec", b.Event); err != nil {
		_ = s.pod.Close()
		return s, err
	}
	for _, dir := range []*disk.Dir{s.pod, s.exec} { // renames go there
		if dir.Device() != b.Work.Device() {
			s.close()
			return s, fmt.Errorf("%q is on another file system than %q", dir.Path(), b.Work.Path())
		}
	}
	return s, nil
}

func (s site) close() {
	_ = s.exec.Close()
	_ = s.pod.Close()
}

// step opens a directory in another, never by a symlink.
type step func(dir *disk.Dir, name string) (*disk.Dir, error)

// below opens a directory below another, name by name.
func below(dir *disk.Dir, open step, names ...string) (*disk.Dir, error) {
	at := dir
	for _, name := range names {
		next, err := open(at, name)
		if at != dir {
			_ = at.Close()
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// made opens a directory, which it makes if it is not there.
func made(dir *disk.Dir, name string) (*disk.Dir, error) {
	d, err := dir.Sub(name)
	if errors.Is(err, fs.ErrNotExist) {
		return dir.Make(name, 0o755)
	}
	return d, err
}

// entriesOf lists an open directory.
func entriesOf(dir *disk.Dir) ([]fs.DirEntry, error) { return fs.ReadDir(dir.Root().FS(), ".") }

// place moves the parts into the pod and makes them current.
func (s site) place(b Bundle, parts []part) error {
	for i := range parts {
		if err := s.placePart(b, &parts[i]); err != nil {
			return fmt.Errorf("launchable %q: %w", parts[i].name, err)
		}
	}
	return nil
}

func (s site) placePart(b Bundle, p *part) error {
	dir, err := made(s.pod, p.name)
	if err != nil {
		return err
	}
	defer dir.Close()
	versions, err := made(dir, installs)
	if err != nil {
		return err
	}
	defer versions.Close()
	if p.version, err = b.swap(p, versions); err != nil {
		return err
	}
	return s.replaceLink(filepath.Join(installs, p.version), dir, current)
}

// swap moves a part to its version, and returns the name that it has there. The
// same version of an earlier installation, which somebody may have changed, is
// in the work directory then. Where a file system can't do that in one step,
// the part gets a name beside it.
func (b Bundle) swap(p *part, versions *disk.Dir) (string, error) {
	from, to := p.from.Root(), versions.Root()
	err := disk.RenameNew(from, p.entry, to, b.Version)
	if !errors.Is(err, fs.ErrExist) {
		return b.Version, err
	}
	exchange := disk.Exchange
	if b.testExchange != nil {
		exchange = b.testExchange
	}
	err = exchange(from, p.entry, to, b.Version)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return b.Version, err
	}
	for n := 2; ; n++ {
		name := fmt.Sprintf("%s-%d", b.Version, n)
		if err := disk.RenameNew(from, p.entry, to, name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// replaceLink makes link in dir a symlink to target in one step. Its temporary
// name is in the pod: one left in exec/EVENT by a crash would be run.
func (s site) replaceLink(target string, dir *disk.Dir, link string) error {
	if err := disk.RemoveAll(s.pod.Root(), tempLink); err != nil {
		return err
	}
	if err := s.pod.Root().Symlink(target, tempLink); err != nil {
		return err
	}
	return disk.Rename(s.pod.Root(), tempLink, dir.Root(), link)
}

// removeLinks removes the pod's links that are not wanted. It is done before
// what they lead to goes.
func (s site) removeLinks(b Bundle, wanted map[string]string) error {
	return removeOthers(s.exec, func(name string) bool {
		_, ok := wanted[name]
		return ok || !b.owns(s.exec, name)
	})
}

// removeOrphans removes what earlier installations of the pod left and this
// one does not have: launchables and versions.
func (s site) removeOrphans(parts []part) error {
	errs := []error{
		removeOthers(s.pod, func(name string) bool {
			return slices.ContainsFunc(parts, func(p part) bool { return p.name == name })
		}),
	}
	for _, p := range parts {
		versions, err := below(s.pod, (*disk.Dir).Sub, p.name, installs)
		if err == nil {
			err = removeOthers(versions, func(name string) bool { return name == p.version })
			_ = versions.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeOthers removes the entries of dir that are not to be kept.
func removeOthers(dir *disk.Dir, keep func(name string) bool) error {
	entries, err := entriesOf(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !keep(e.Name()) {
			errs = append(errs, disk.RemoveAll(dir.Root(), e.Name()))
		}
	}
	return errors.Join(errs...)
}

// Root is the directory below which hook pods are laid out: the flag's,
// or where the host's first directory of hooks lies.
func Root(flag string, dirs []string) (string, error) {
	switch {
	case flag != "":
		return filepath.Abs(flag)
	case len(dirs) > 0 && filepath.Base(dirs[0]) == filepath.Base(ExecDir("/")):
		return filepath.Dir(filepath.Clean(dirs[0])), nil
	default:
		return DefaultDir, nil
	}
}
