package staging

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// newDirMode is the mode of a dest that is made, before it gets its own.
const newDirMode = 0o755

// MakeDest returns the open dest, which it makes if it is not there.
func MakeDest(d *disk.Dest) (*disk.Dir, error) {
	if d.Dir != nil {
		return d.Dir, nil
	}
	dir, err := d.Parent.Make(d.Name, newDirMode)
	if err != nil {
		return nil, fmt.Errorf("dest: %w", err)
	}
	d.Dir = dir
	return dir, nil
}

// OpenDest opens dest for a caller who closes it, also where the run has made
// it.
func OpenDest(t *strategy.Target) (*disk.Dir, error) {
	if t.NoDest != nil {
		return nil, t.NoDest
	}
	return t.Dest.OpenDir()
}

// CanMake tells whether a dest that is not there could be made by now.
func CanMake(d *disk.Dest) error {
	err := unix.Faccessat(int(d.Parent.File().Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err != nil {
		return fmt.Errorf("dest: %w", &fs.PathError{Op: "write", Path: d.Parent.Path(), Err: err})
	}
	return nil
}

// Spares refuses a sync that would delete deployments of another strategy, or
// what belongs to them.
func Spares(t *strategy.Target) error {
	for _, other := range t.Others() {
		if excludesAll(t, other.Names) {
			continue
		}
		return failure.Hinted(
			fmt.Sprintf("move it away first, exclude %s, or stay with sync_strategy %s", listed(other.Names), other.Strategy),
			failure.Refused("dest %q holds %s, which sync_strategy %s would delete", t.Dest.Given, other.What, t.Strategy))
	}
	return nil
}

func excludesAll(t *strategy.Target, names []string) bool {
	list, err := Excludes(t, nil)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool {
		plain := strings.TrimSuffix(name, "/")
		return !list.Excluded(plain, plain != name)
	})
}

// listed is "/a, /b and /c".
func listed(names []string) string {
	var b strings.Builder
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString("/" + strings.TrimSuffix(name, "/"))
	}
	return b.String()
}
