package state

import (
	"slices"

	"golang.org/x/sys/unix"
)

// isKernels tells whether the directory at path is on a file system of the kernel's
// own, as /proc is: nobody keeps files there, though root may write.
func isKernels(path string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false
	}
	return slices.Contains([]uint32{
		unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC,
		unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.BPF_FS_MAGIC,
		unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC,
	}, uint32(st.Type)) // it has another type on other machines
}
