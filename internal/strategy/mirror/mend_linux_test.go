package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// TestMendExchanged: who owns directories of dest puts another file in the place of one that
// only gets another mode or owner, after it was compared. The other one stays as it is.
func TestMendExchanged(t *testing.T) {
	for name, c := range map[string]struct {
		has, gets, other string
	}{
		"a mode":                 {"d/ d/f=x:644 e/ e/f=secret:600", "d/ d/f=x:664 e/ e/f=secret:600", "e/f"},
		"the same content":       {"d/ d/f=x:644 e/ e/f=x:600", "d/ d/f=x:664 e/ e/f=x:600", "e/f"},
		"of a FIFO":              {"d/ d/f|:644 e/ e/f|:600", "d/ d/f|:664 e/ e/f|:600", "e/f"},
		"of what dest alone has": {"d/ d/f=x:644 e/ e/f=secret:600", "d/ d/f=x:664 e/", "e/f"},
	} {
		top := tempDir(t)
		dest, staging := filepath.Join(top, "dest"), filepath.Join(top, "staging")
		plant(t, dest, parse(t, c.has))
		opts := Options{}
		entries, err := scan(t, tarball(t, parse(t, c.gets)), dest, staging, &opts)
		check(t, err)
		plan, err := Compare(t.Context(), entries, place(t, dest), opts)
		check(t, err)
		var was, is unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dest, c.other), &was))
		check(t, unix.Renameat2(unix.AT_FDCWD, filepath.Join(dest, "d/f"), unix.AT_FDCWD, filepath.Join(dest, c.other),
			unix.RENAME_EXCHANGE))
		err = plan.Apply(t.Context(), place(t, staging))
		if !errors.Is(err, confined.ErrReplaced) || !strings.Contains(err.Error(), `change "d/f": something else has taken`) {
			t.Errorf("%s: %v", name, err)
		}
		check(t, unix.Lstat(filepath.Join(dest, "d/f"), &is))
		if is.Ino != was.Ino || is.Mode != was.Mode || is.Uid != was.Uid {
			t.Errorf("%s: %s, it was %s", name, fs.FileMode(is.Mode&0o777), fs.FileMode(was.Mode&0o777))
		}
		check(t, os.Chmod(filepath.Join(dest, "d/f"), 0o700))
	}
}
