//go:build unix && !linux

package disk

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func nameless(int, fs.FileMode) (*os.File, error) { return nil, unix.ENOTSUP }

func linkNameless(*os.File, int, string) error { return unix.ENOTSUP }
