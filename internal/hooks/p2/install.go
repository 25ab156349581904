package p2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
	"stretcher/internal/hooks"
)

// Bundle is a hook pod to be installed.
type Bundle struct {
	Root    *disk.Dir // holds pods/ and exec/
	Event   string    // p2's name of the point
	Pod     string    // name of the pod
	Version string    // of its content: names the directory it is kept in
	// Work is a private directory on Root's file system. Tree is the unpacked
	// pod's name in it: the pod is moved from there, and what it takes the
	// place of may be moved there. It holds bin/launch, and is then one
	// launchable with the pod's name, or one directory with bin/launch for
	// each launchable. bin/launch is a script or a directory of scripts.
	Work *disk.Dir
	Tree string

	testExchange func(a *os.Root, name string, b *os.Root, other string) error // testOnly: takes disk.Exchange's part
}

// ExecDir is the hook directory that Install fills below root.
func ExecDir(root string) string { return filepath.Join(root, "exec") }

// Install lays a pod out as p2 does and returns the links in exec/EVENT, by
// name. Launchable L of pod P at event E lives in pods/E/P/L/installs/VERSION,
// with the symlink current beside installs; its scripts are linked as
// exec/E/P_L_SCRIPT. Links and launchables of an earlier version that this
// one does not have are removed.
//
// Everything is checked before anything is changed, and each link is replaced
// in one step: a hook is either the old one or the new one. No symlink is
// followed below Root, whoever owns it. What is laid out is the caller's,
// whoever has packed it: nobody else may write it, and nothing is setuid.
func Install(b Bundle) (links []string, err error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	tree, err := b.Work.Sub(b.Tree)
	if err != nil {
		return nil, fmt.Errorf("hook pod: %w", err)
	}
	defer tree.Close()
	if err := own(tree.Root()); err != nil {
		return nil, fmt.Errorf("hook pod: %w", err)
	}
	parts, err := b.launchables(tree)
	if err != nil {
		return nil, err
	}
	wanted, err := b.links(parts)
	if err != nil {
		return nil, err
	}
	s, err := b.open(parts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.removeLinks(b, wanted); err != nil {
		return nil, err
	}
	if err := s.place(b, parts); err != nil {
		return nil, err
	}
	for name, target := range wanted {
		if err := s.replaceLink(target, s.exec, name); err != nil {
			return nil, err
		}
		links = append(links, name)
	}
	sort.Strings(links)
	return links, s.removeOrphans(parts)
}

// linkDir is the pod's directory as links in exec/EVENT name it.
func (b Bundle) linkDir() string { return filepath.Join("..", "..", "pods", b.Event, b.Pod) }

func (b Bundle) check() error {
	if _, ok := hooks.ByP2(b.Event); !ok {
		return fmt.Errorf("event %q is not one of %s", b.Event, strings.Join(Events(), ", "))
	}
	if !isName(b.Pod) {
		return fmt.Errorf("hook pod %q can't name a directory", b.Pod)
	}
	if !isName(b.Version) {
		return fmt.Errorf("version %q of hook pod %q can't name a directory", b.Version, b.Pod)
	}
	return nil
}

// own gives the caller all of a tree that nobody else can get at.
func own(tree *os.Root) error {
	uid, gid := os.Geteuid(), os.Getegid()
	give := func(path string, mode fs.FileMode) (err error) {
		if uid == 0 { // what a user has unpacked is his
			err = tree.Lchown(path, uid, gid)
		}
		if err == nil && mode&fs.ModeSymlink == 0 {
			err = tree.Chmod(path, mode.Perm()&^0o022) // after the owner, whose change may reset it
		}
		return err
	}
	top, err := tree.Stat(".")
	if err == nil {
		err = give(".", top.Mode())
	}
	if err != nil {
		return err
	}
	return confined.Each(context.Background(), tree, func(path string, st *unix.Stat_t, err error) error {
		if err != nil {
			return err
		}
		return give(path, confined.FileMode(st))
	})
}

// Events lists p2's events in process order.
func Events() (events []string) {
	for _, n := range hooks.Points() {
		if n.P2 != "" {
			events = append(events, n.P2)
		}
	}
	return events
}

// isName tells whether s is the name of something in a directory, and not a
// hidden one.
func isName(s string) bool {
	return s != "" && !strings.HasPrefix(s, ".") && !strings.ContainsAny(s, "/\x00\n")
}

// part is one launchable.
type part struct {
	name    string
	from    *disk.Dir // where it is unpacked
	entry   string    // its name there
	scripts []string  // relative to it
	version string    // its name among its versions, once it is one of them
}

// launchables finds the parts of the tree.
func (b Bundle) launchables(tree *disk.Dir) (parts []part, err error) {
	launch := filepath.Join("bin", "launch")
	if _, err := tree.Root().Lstat(launch); err == nil {
		p := part{name: b.Pod, from: b.Work, entry: b.Tree}
		p.scripts, err = p.list()
		return []part{p}, err
	}
	entries, err := entriesOf(tree)
	if err != nil {
		return nil, fmt.Errorf("hook pod: %w", err)
	}
	for _, e := range entries {
		p := part{name: e.Name(), from: tree, entry: e.Name()}
		if !e.IsDir() || !isName(p.name) {
			continue
		}
		if _, err := tree.Root().Lstat(filepath.Join(p.entry, launch)); err != nil {
			continue
		}
		if p.scripts, err = p.list(); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("hook pod %q has neither bin/launch nor LAUNCHABLE/bin/launch", b.Pod)
	}
	return parts, nil
}

// list lists the launch scripts of a part: bin/launch or all in it.
func (p part) list() (found []string, err error) {
	dir, err := p.from.Sub(p.entry)
	if err != nil {
		return nil, fmt.Errorf("launchable %q: %w", p.name, err)
	}
	defer dir.Close()
	root, launch := dir.Root(), filepath.Join("bin", "launch")
	if info, err := root.Stat(launch); err != nil || !info.IsDir() {
		return []string{launch}, p.runnable(root, launch)
	}
	entries, err := fs.ReadDir(root.FS(), launch)
	if err != nil {
		return nil, fmt.Errorf("launchable %q: %w", p.name, err)
	}
	for _, e := range entries {
		if e.IsDir() || !isName(e.Name()) {
			continue
		}
		s := filepath.Join(launch, e.Name())
		if err := p.runnable(root, s); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("launchable %q: bin/launch is empty", p.name)
	}
	return found, nil
}

// runnable makes sure that a script can run, and that it is in the part
// wherever symlinks lead.
func (p part) runnable(root *os.Root, script string) error {
	info, err := root.Stat(script)
	if err != nil {
		return fmt.Errorf("launchable %q: %w", p.name, err)
	}
	if err := problem(info.Mode(), nil); err != nil {
		return fmt.Errorf("launchable %q: %q %w", p.name, script, err)
	}
	return nil
}

// links maps the names in exec/EVENT to their targets. A name that belongs to
// another pod is refused: pod a_b's launchable c and pod a's b_c are both
// linked as a_b_c.
func (b Bundle) links(parts []part) (map[string]string, error) {
	exec, err := below(b.Root, (*disk.Dir).Sub, "exec", b.Event)
	switch {
	case err == nil:
		defer exec.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	links := map[string]string{}
	for _, p := range parts {
		for _, s := range p.scripts {
			name := b.Pod + "_" + p.name + "_" + filepath.Base(s)
			if _, twice := links[name]; twice {
				return nil, fmt.Errorf("hook pod %q has two scripts that would be linked as %q", b.Pod, name)
			}
			if exec != nil && !b.mayReplace(exec, name) {
				return nil, fmt.Errorf("%q exists and is not a link of hook pod %q", filepath.Join(exec.Path(), name), b.Pod)
			}
			links[name] = filepath.Join(b.linkDir(), p.name, current, s)
		}
	}
	return links, nil
}

func (b Bundle) mayReplace(exec *disk.Dir, link string) bool {
	_, err := exec.Root().Lstat(link)
	return errors.Is(err, fs.ErrNotExist) || b.owns(exec, link)
}

// owns tells whether link leads into the pod. Names can't tell: that of pod
// a_b's links begins with a_ too.
func (b Bundle) owns(exec *disk.Dir, link string) bool {
	target, err := exec.Root().Readlink(link)
	return err == nil && strings.HasPrefix(filepath.Clean(target), b.linkDir()+string(filepath.Separator))
}
