package staging

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"stretcher/internal/archive"
	"stretcher/internal/text/failure"
)

// maxLinks bounds the symlinks on the way to a file, as the kernel does.
const maxLinks = 40

// Resolve follows the symlinks of an archive's tree on the way to
// exclude_from, a clean path, to a regular file of the archive.
func Resolve(entries []archive.Entry, name string) (string, error) {
	path, err := resolve(entries, name)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(entries, func(e archive.Entry) bool { return e.Path == path })
	switch {
	case i < 0:
		return "", failure.Malformed("exclude_from %q is not in the archive", name)
	case !entries[i].Mode.IsRegular():
		return "", failure.Malformed("exclude_from %q is not a regular file", name)
	}
	return path, nil
}

// resolve follows the symlinks alone.
func resolve(entries []archive.Entry, name string) (string, error) {
	links := map[string]string{}
	for _, e := range entries {
		if e.Mode&fs.ModeSymlink != 0 {
			links[e.Path] = e.Link
		}
	}
	for range maxLinks {
		next, ok := follow(links, name)
		if !ok {
			return name, nil
		}
		if !filepath.IsLocal(next) {
			return "", failure.Refused("exclude_from %q leads out of the archive", name)
		}
		name = next
	}
	return "", failure.Refused("exclude_from %q leads out of the archive: too many symlinks", name)
}

// follow replaces the first symlink on the way to name by where it leads.
func follow(links map[string]string, name string) (string, bool) {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		target, ok := links[name[:i]]
		if !ok {
			continue
		}
		if path.IsAbs(target) {
			return target, true
		}
		return path.Join(path.Dir(name[:i]), target, name[i:]), true
	}
	return name, false
}
