//go:build !linux

package state

// isKernels tells whether the directory at path is on a file system of the kernel's
// own. That is known on Linux alone.
func isKernels(string) bool { return false }
