package archive

import (
	"os"
	"strconv"
	"strings"
)

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
