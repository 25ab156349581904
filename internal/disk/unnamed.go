package disk

import (
	"crypto/rand"
	"io/fs"
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

// WriteFile makes or replaces a file in an open directory. Whoever reads it
// finds all of the old content or all of the new, also after a crash.
func WriteFile(dir *os.Root, name string, content []byte, mode fs.FileMode) (err error) {
	temp := "." + name + "." + rand.Text()
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = dir.Remove(temp)
		}
	}()
	if err := fill(f, content); err != nil {
		return err
	}
	if err := dir.Rename(temp, name); err != nil {
		return err
	}
	return SyncDir(dir)
}

// fill writes a file that is on disk when it returns, and closes it.
func fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
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
