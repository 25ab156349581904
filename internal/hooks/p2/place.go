package p2

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	current  = "current"
	installs = "installs"
)

// place moves the parts into the pod and makes them current.
func (b Bundle) place(parts []part) error {
	if err := os.MkdirAll(b.execDir(), 0o755); err != nil {
		return err
	}
	for _, p := range parts {
		dir := filepath.Join(b.podDir(), p.name)
		version := filepath.Join(dir, installs, b.Version)
		if err := os.MkdirAll(filepath.Dir(version), 0o755); err != nil {
			return err
		}
		if err := swap(p.tree, version); err != nil {
			return fmt.Errorf("launchable %q: %w", p.name, err)
		}
		if err := b.replaceLink(filepath.Join(installs, b.Version), filepath.Join(dir, current)); err != nil {
			return err
		}
	}
	return nil
}

// swap moves tree to dir, in whose place there may be the same version of an
// earlier installation.
func swap(tree, dir string) error {
	old := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".old")
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tree, dir); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// replaceLink makes link a symlink to target in one step. Its temporary name
// is in the pod: one left in exec/EVENT by a crash would be run.
func (b Bundle) replaceLink(target, link string) error {
	temp := filepath.Join(b.podDir(), ".link")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, link)
}

// removeOrphans removes what earlier installations of the pod left and this
// one does not have: links, launchables and versions.
func (b Bundle) removeOrphans(wanted map[string]string, parts []part) error {
	var errs []error
	errs = append(errs, removeOthers(b.execDir(), func(name string) bool {
		_, ok := wanted[name]
		return ok || !b.owns(filepath.Join(b.execDir(), name))
	}))
	errs = append(errs, removeOthers(b.podDir(), func(name string) bool {
		return slices.ContainsFunc(parts, func(p part) bool { return p.name == name })
	}))
	for _, p := range parts {
		errs = append(errs, removeOthers(filepath.Join(b.podDir(), p.name, installs),
			func(name string) bool { return name == b.Version }))
	}
	return errors.Join(errs...)
}

// removeOthers removes the entries of dir that are not to be kept.
func removeOthers(dir string, keep func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !keep(e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
