//go:build unix && !linux

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

func unnamedIn(_ *os.File, root *os.Root) (*os.File, error) { return unlinked(root) }

// Link gives a file that Unnamed made a name, where the system can.
func Link(file *os.File, _ *os.Root, name string) error {
	return &os.LinkError{Op: "link", Old: file.Name(), New: name, Err: unix.ENOTSUP}
}

// LinkOwn gives a file a further name, where the system can.
func LinkOwn(file *os.File, dir *os.Root, name string) error { return Link(file, dir, name) }
