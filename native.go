package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"

	"stretcher/internal/archive"
	"stretcher/internal/hooks"
	"stretcher/internal/journal"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/text/failure"
)

// nativeStrategy makes dest what `rsync -a --delete` makes of it, without
// rsync and without a second copy: what is staged is only what differs.
// Killed in the middle, it leaves each file old or new.
type nativeStrategy struct {
	entries []archive.Entry
	whole   bool                   // all of the tree is staged, not only what differs
	differs func(path string) bool // in content; nil = to be found out
}

func (*nativeStrategy) checkLayout(r *run) error { return r.sparesReleases() }

func (*nativeStrategy) check(r *run) error { return checkDir(r.manifest.Dest) }

func (*nativeStrategy) live(r *run) string { return r.manifest.Dest }

// stage reads the archive once and writes what dest does not have. Hooks that
// run before the sync may look at the tree, and get all of it.
func (n *nativeStrategy) stage(ctx context.Context, r *run, f *os.File) (dir string, err error) {
	if n.whole = r.hasHooksAt(hooks.PostExtract, hooks.PreSync); n.whole {
		if dir, err = r.unpack(ctx, f, nativeParents(r.manifest.Dest)); err == nil {
			n.entries, err = readTree(ctx, dir)
		}
		return dir, err
	}
	if dir, err = r.stagingDir(nativeParents(r.manifest.Dest)); err != nil {
		return "", err
	}
	return dir, n.stageDifferences(ctx, r, f, dir)
}

func (n *nativeStrategy) stageDifferences(ctx context.Context, r *run, f *os.File, dir string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	opts, err := mirrorOptions(r.manifest, nil)
	if err != nil {
		return err
	}
	if r.manifest.ExcludeFrom != "" {
		opts.Excludes = nil // not known before the archive's own are read
	}
	dest, closeDest, err := openPlace(r.manifest.Dest)
	if err != nil {
		return err
	}
	defer closeDest()
	staging, closeStaging, err := openPlace(dir)
	if err != nil {
		return err
	}
	defer closeStaging()
	stage := mirror.NewStage(dest.Dir, staging.Dir, opts)
	defer stage.Close()
	if r.manifest.ExcludeFrom != "" {
		stage.Always(path.Clean(r.manifest.ExcludeFrom))
	}
	entries, res, err := archive.Scan(ctx, f, r.archiveOptions(), stage)
	if err != nil {
		return r.archiveError(err)
	}
	if !res.HasRoot {
		entries[0].Mode = fs.ModeDir | r.destMode()
	}
	n.entries, n.differs = entries, stage.Differs
	r.log.Info(fmt.Sprintf("read %d entries", res.Entries), "entries", res.Entries, "bytes", res.Bytes)
	return stage.Close()
}

// openPlace opens a directory, which may be missing, and the one above it.
// release gives both back.
func openPlace(path string) (at mirror.Place, release func(), err error) {
	real := policy.Real(path)
	at = mirror.Place{Path: path, Name: filepath.Base(real)}
	at.Parent, err = os.OpenRoot(filepath.Dir(real))
	if errors.Is(err, fs.ErrNotExist) { // of a release, when there is none
		return at, func() {}, nil
	}
	if err != nil {
		return at, nil, err
	}
	at.Dir, err = os.OpenRoot(real)
	if errors.Is(err, fs.ErrNotExist) {
		return at, func() { _ = at.Parent.Close() }, nil
	}
	if err != nil {
		_ = at.Parent.Close()
		return at, nil, err
	}
	return at, func() { _, _ = at.Dir.Close(), at.Parent.Close() }, nil
}

// readTree is the table of a tree that is staged.
func readTree(ctx context.Context, dir string) ([]archive.Entry, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return mirror.FromDir(ctx, root)
}

// nativeParents are the places on dest's own file system: beside it, or in it
// where it is a mount point or its parent can't be written.
func nativeParents(dest string) []string {
	dest = policy.Real(dest)
	beside := filepath.Dir(dest)
	here, err := os.Stat(dest)
	if err != nil {
		return []string{beside}
	}
	if parent, err := os.Stat(beside); err == nil && device(here) != device(parent) {
		return []string{dest}
	}
	return []string{beside, dest}
}

func device(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}

// mirrorOptions say what of dest the native strategy leaves alone, and how it
// compares. excludeFrom is the text of the archive's exclude list.
func mirrorOptions(m *manifest.Manifest, excludeFrom []byte) (mirror.Options, error) {
	list, err := excludeList(m, excludeFrom)
	if err != nil {
		return mirror.Options{}, err
	}
	return mirror.Options{
		Excludes: list,
		Checksum: m.Native.Checksum,
		Owners:   os.Geteuid() == 0,
		Protect:  journal.TempPattern.MatchString, // runs stage in dest where they must
	}, nil
}

// excludeList is the manifest's excludes as rsync gets them.
func excludeList(m *manifest.Manifest, excludeFrom []byte) (*filter.List, error) {
	rules, err := filter.ParseFile(strings.NewReader(string(excludeFrom)))
	if err != nil {
		return nil, failure.Malformed("exclude_from: %w", err)
	}
	for _, pattern := range m.Excludes {
		rule, ok, err := filter.Parse(pattern)
		if err != nil {
			return nil, failure.Malformed("exclude %q: %w", pattern, err)
		}
		if ok {
			rules = append(rules, rule)
		}
	}
	return filter.New(rules...), nil
}

func (n *nativeStrategy) sync(ctx context.Context, r *run) (err error) {
	if r.excludeText, err = n.excludeFrom(r); err != nil {
		return err
	}
	opts, err := mirrorOptions(r.manifest, r.excludeText)
	if err != nil {
		return err
	}
	opts.TempName = journal.TempPrefix(r.id) + "0"
	opts.Warn = func(msg string) { r.log.Warn(msg) }
	dest, closeDest, err := openPlace(r.manifest.Dest)
	if err != nil {
		return err
	}
	defer closeDest()
	staging, closeStaging, err := openPlace(r.staging)
	if err != nil {
		return err
	}
	defer closeStaging()
	opts.Differs, opts.Tree = n.differs, staging.Dir
	plan, err := mirror.Compare(ctx, n.entries, dest, opts)
	if err != nil {
		return err
	}
	logChanges(r, plan)
	err = plan.Apply(ctx, staging)
	if errors.Is(err, mirror.ErrStale) {
		return failure.Hinted("something else writes there: exclude that, or deploy again", err)
	}
	if err != nil {
		return fmt.Errorf("sync to %q: %w", r.manifest.Dest, err)
	}
	n.entries, n.differs = nil, nil
	return nil
}

// excludeFrom is the text of exclude_from. It may be reached through
// symlinks, which are not staged where they differ not, so that the file may
// be in dest alone: unchanged then.
func (n *nativeStrategy) excludeFrom(r *run) ([]byte, error) {
	name := r.manifest.ExcludeFrom
	if n.whole || name == "" {
		return readExcludeFrom(r.staging, name)
	}
	name, err := resolve(n.entries, path.Clean(name))
	if err != nil {
		return nil, err
	}
	text, err := readExcludeFrom(r.staging, name)
	if !errors.Is(err, failure.ErrMalformed) {
		return text, err
	}
	if _, serr := os.Stat(r.manifest.Dest); serr != nil {
		return nil, err
	}
	return readExcludeFrom(r.manifest.Dest, name)
}

// maxLinks bounds the symlinks on the way to a file, as the kernel does.
const maxLinks = 40

// resolve follows the symlinks of an archive's tree.
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

// maxNamed is how many changed paths the log names.
const maxNamed = 20

// logChanges says what a sync is about to do.
func logChanges(r *run, plan *mirror.Plan) {
	count, all := map[mirror.Kind]int{}, 0
	plan.Each(func(c mirror.Change) {
		count[c.Kind]++
		if all++; all <= maxNamed {
			r.log.Info("sync: " + describeChange(c))
		}
	})
	if all > maxNamed {
		r.log.Info(fmt.Sprintf("sync: and %d more", all-maxNamed))
	}
	r.log.Info(fmt.Sprintf("sync to %q: %d to add, %d to change, %d to delete, %s to write",
		r.manifest.Dest, count[mirror.Add], count[mirror.Modify], count[mirror.Delete], humanize.IBytes(uint64(plan.Bytes()))),
		"added", count[mirror.Add], "changed", count[mirror.Modify], "deleted", count[mirror.Delete], "bytes", plan.Bytes())
}

// describeChange is one change in one line.
func describeChange(c mirror.Change) string {
	name := cmp.Or(c.Path, ".")
	if c.Dir {
		name += "/"
	}
	text := fmt.Sprintf("%s %s", c.Kind, printable(name))
	if c.Kind == mirror.Modify {
		text += " (" + strings.Join(c.What, ", ") + ")"
	}
	return text
}
