//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

// mount tells one mount from another, by the device.
type mount struct{ device uint64 }

// mountOf returns the mount that an open file is on.
func mountOf(fd int) (mount, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return mount{uint64(st.Dev)}, err
}
