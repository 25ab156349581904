package confined

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// OwnerError is an owner that could not be set: in a container that knows no
// such number, or on a file system that keeps none.
type OwnerError struct {
	UID, GID int
	Err      error
}

// unset is the number that leaves an owner or group as it is; see chown(2).
const unset = math.MaxUint32

// Error names what of owner and group was to be set.
func (e *OwnerError) Error() string {
	switch {
	case uint32(e.UID) == unset:
		return fmt.Sprintf("set group %d: %v", e.GID, e.Err)
	case uint32(e.GID) == unset:
		return fmt.Sprintf("set owner %d: %v", e.UID, e.Err)
	}
	return fmt.Sprintf("set owner %d and group %d: %v", e.UID, e.GID, e.Err)
}

// Unwrap gives the cause.
func (e *OwnerError) Unwrap() error { return e.Err }

// Chown sets owner and group of what is open at fd.
func Chown(fd, uid, gid int) error { return owned(uid, gid, unix.Fchown(fd, uid, gid)) }

// ChownAt sets owner and group of what stands at name in fd, and follows no
// symlink.
func ChownAt(fd int, name string, uid, gid int) error {
	return owned(uid, gid, unix.Fchownat(fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW))
}

func owned(uid, gid int, err error) error {
	if err != nil {
		return &OwnerError{uid, gid, err}
	}
	return nil
}
