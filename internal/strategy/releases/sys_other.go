//go:build unix && !linux

package releases

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFS asks for everything to be put on the disk; these systems don't wait.
func syncFS(*os.File) error { return unix.Sync() }

// clone and scratch are not for these systems: nothing is reflinked.
func clone(_, _ *os.File) error { return errors.ErrUnsupported }

func scratch(*os.Root) (*os.File, error) { return nil, errors.ErrUnsupported }
