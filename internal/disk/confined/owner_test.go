package confined

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOwnerErrorNamesWhatWasToBeSet(t *testing.T) {
	all := uint32(unset)
	for _, c := range []struct {
		uid, gid int
		want     string
	}{
		{1, 2, "set owner 1 and group 2: operation not permitted"},
		{-1, 2, "set group 2: operation not permitted"},
		{int(all), 2, "set group 2: operation not permitted"},
		{1, -1, "set owner 1: operation not permitted"},
	} {
		err := &OwnerError{c.uid, c.gid, unix.EPERM}
		if err.Error() != c.want || !errors.Is(err, unix.EPERM) {
			t.Errorf("%d, %d: %q, want %q", c.uid, c.gid, err, c.want)
		}
	}
}
