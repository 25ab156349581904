//go:build !linux

package mirror

import "golang.org/x/sys/unix"

// utimeNow stands for the current time in a Timespec's Nsec (sys/stat.h).
const utimeNow = -1

// exchange swaps two paths in one step. This system is not asked to: the
// caller does it in several.
func exchange(int, string, int, string) error { return unix.ENOSYS }

// mkfifo is not there: these systems have no mkfifoat(2) to call, and a path
// might lead elsewhere.
func mkfifo(int, string) error { return unix.ENOTSUP }
