package mirror

import "golang.org/x/sys/unix"

// utimeNow stands for the current time in a Timespec's Nsec.
const utimeNow = unix.UTIME_NOW

// exchange swaps two paths in one step, where the file system can.
func exchange(fd1 int, name1 string, fd2 int, name2 string) error {
	return unix.Renameat2(fd1, name1, fd2, name2, unix.RENAME_EXCHANGE)
}

func mkfifo(fd int, name string) error {
	return unix.Mkfifoat(fd, name, 0o600)
}
