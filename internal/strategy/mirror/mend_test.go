package mirror

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// TestMendExchanged: who owns directories of dest puts another file in the place of one that
// only gets another mode or owner, after it was compared. The other one stays as it is.
func TestMendExchanged(t *testing.T) {
	for name, c := range map[string]struct{ has, gets string }{
		"a mode":                 {"d/ d/f=x:644 e/ e/f=secret:600", "d/ d/f=x:664 e/ e/f=secret:600"},
		"the same content":       {"d/ d/f=x:644 e/ e/f=x:600", "d/ d/f=x:664 e/ e/f=x:600"},
		"of a FIFO":              {"d/ d/f|:644 e/ e/f|:600", "d/ d/f|:664 e/ e/f|:600"},
		"of what dest alone has": {"d/ d/f=x:644 e/ e/f=secret:600", "d/ d/f=x:664 e/"},
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
		check(t, unix.Lstat(filepath.Join(dest, "e/f"), &was))
		exchange(t, filepath.Join(dest, "d/f"), filepath.Join(dest, "e/f"))
		err = plan.Apply(t.Context(), place(t, staging))
		if !errors.Is(err, confined.ErrReplaced) || !strings.Contains(err.Error(), `change "d/f": something else has taken`) {
			t.Errorf("%s: %v", name, err)
		}
		check(t, unix.Lstat(filepath.Join(dest, "d/f"), &is))
		if is.Ino != was.Ino || is.Mode != was.Mode || is.Uid != was.Uid {
			t.Errorf("%s: %s, it was %s", name, fs.FileMode(is.Mode&0o777), fs.FileMode(was.Mode&0o777))
		}
	}
}
