package disk

import "golang.org/x/sys/unix"

// mount tells one mount from another. Where the kernel (before 5.8) does not
// number them it is the device, which bind mounts share.
type mount struct {
	id     uint64
	device [2]uint32
}

// mountOf returns the mount that an open file is on.
func mountOf(fd int) (mount, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	if err != nil {
		return deviceOf(fd)
	}
	m := mount{device: [2]uint32{st.Dev_major, st.Dev_minor}}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		m.id = st.Mnt_id
	}
	return m, nil
}

func deviceOf(fd int) (mount, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return mount{device: [2]uint32{unix.Major(st.Dev), unix.Minor(st.Dev)}}, err
}
