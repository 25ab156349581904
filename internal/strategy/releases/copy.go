package releases

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
)

// copyTo copies a tree under a temporary name, then renames it. What an
// earlier copy that was killed has left there is removed.
func (l *linker) copyTo(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	if err := sweep(to, newShared); err != nil {
		return err
	}
	temp := newShared + l.id
	if err := copyTree(ctx, from, name, to, temp); err != nil {
		_ = disk.RemoveAll(to, temp)
		return copyError(err)
	}
	if l.sync {
		if err := syncRoot(to); err != nil {
			return err
		}
	}
	return move(to, temp, to, newName)
}

func copyError(err error) error { return fmt.Errorf("copy to %q: %w", sharedName, err) }

// isCopied tells whether a file of that type can be copied.
func isCopied(mode fs.FileMode) bool {
	return mode.IsDir() || mode.IsRegular() || mode&fs.ModeSymlink != 0
}

// uncopied is the error for what can't be copied.
func uncopied(name string, mode fs.FileMode) error {
	return fmt.Errorf("%q is %s", name, kind(mode))
}

// copyTree copies a file, a symlink or a directory with all in it, with mode,
// owner and time, to where somebody else may write.
func copyTree(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	return inBoth(from, to, func(f, t *os.File) error {
		return confined.Copier{Refuse: uncopied}.Copy(ctx, int(f.Fd()), name, int(t.Fd()), newName)
	})
}
