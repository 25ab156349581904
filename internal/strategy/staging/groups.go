package staging

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
)

// Groups gives entries without a group the one that files get in a directory,
// and takes away those that the caller is not in: for callers who are not
// root, whose archives have no owners. rsync does so, too, with what was
// unpacked there.
func Groups(entries []archive.Entry, made uint32) {
	if os.Geteuid() == 0 {
		return
	}
	own, err := os.Getgroups()
	own = append(own, os.Getegid())
	for i := range entries {
		e := &entries[i]
		if e.GID == archive.NoID {
			e.GID = made
		}
		if err != nil || !slices.Contains(own, int(e.GID)) {
			e.GID = archive.NoID
		}
	}
}

// GroupIn is the group of what is made in a directory.
func GroupIn(dir *disk.Dir) uint32 {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.File().Fd()), &st); err == nil && st.Mode&unix.S_ISGID != 0 {
		return st.Gid
	}
	return uint32(os.Getegid())
}
