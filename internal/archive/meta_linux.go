package archive

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// utimeNow stands for the current time in a Timespec's Nsec.
const utimeNow = unix.UTIME_NOW

// mkfifo creates a FIFO in dir.
func mkfifo(dir *os.File, name string, mode os.FileMode) error {
	if err := unix.Mkfifoat(int(dir.Fd()), name, uint32(mode.Perm())); err != nil {
		return &os.PathError{Op: "mkfifoat", Path: name, Err: err}
	}
	return nil
}

// processUmask reads the umask without setting it where proc(5) is mounted.
func processUmask() os.FileMode {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "Umask:"); ok {
			if bits, err := strconv.ParseUint(strings.TrimSpace(v), 8, 9); err == nil {
				return os.FileMode(bits)
			}
		}
	}
	return swapUmask()
}
