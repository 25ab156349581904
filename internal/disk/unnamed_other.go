//go:build unix && !linux

package disk

import "os"

func unnamedIn(_ *os.File, root *os.Root) (*os.File, error) { return unlinked(root) }
