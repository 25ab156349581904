//go:build !linux

package disk

import "os"

// Unnamed makes a file in dir that has no name and is gone when it is closed.
func Unnamed(dir string) (*os.File, error) { return unlinked(dir) }
