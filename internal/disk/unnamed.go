package disk

import (
	"crypto/rand"
	"os"
)

// Unnamed makes a file on the file system of an open directory. It has no
// name, and is gone when it is closed.
func Unnamed(dir *os.Root) (*os.File, error) {
	d, err := opened(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return unnamedIn(d, dir)
}

// UnnamedFor makes one in the best place that is wanted, and tells the directory.
func UnnamedFor(w Wanted) (f *os.File, dir string, err error) {
	place, err := Private(w)
	if err != nil {
		return nil, "", err
	}
	defer place.Close()
	f, err = Unnamed(place.Root())
	return f, place.Path(), err
}

// unlinked makes a file and takes its name away.
func unlinked(dir *os.Root) (*os.File, error) {
	name := ".stretcher-" + rand.Text()
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := dir.Remove(name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// SyncDir waits until the names in an open directory are on disk.
func SyncDir(dir *os.Root) error {
	d, err := opened(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
