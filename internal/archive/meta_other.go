//go:build !linux

package archive

import "os"

// processUmask has nothing better: these systems show the umask nowhere.
func processUmask() os.FileMode { return swapUmask() }
