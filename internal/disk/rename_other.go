//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

func renameNewAt(from int, name string, to int, newName string) error {
	return renameChecked(from, name, to, newName)
}

func exchangeAt(int, string, int, string) error { return unix.ENOSYS }
