package state

import (
	"crypto/sha256"
	"fmt"
	"os"
)

// unrecorded is the path of the mark of a dest. It has no content: on most file
// systems it can be made when nothing can be written any more.
func (d *Dir) unrecorded(dest string) string {
	return d.file("running", fmt.Sprintf("%x", sha256.Sum256([]byte(dest))), ".unrecorded")
}

// SetUnrecorded marks a dest on which a run is that the history does not take, or
// takes the mark away.
func (d *Dir) SetUnrecorded(dest string, is bool) error {
	if !is {
		return remove(d.unrecorded(dest))
	}
	f, err := os.OpenFile(d.unrecorded(dest), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Unrecorded tells whether a dest is marked, and why that can't be told.
func (d *Dir) Unrecorded(dest string) (is bool, err error) {
	_, err = os.Lstat(d.unrecorded(dest))
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// Unknown tells whether a dest is marked, or may be: that can't be told.
func (d *Dir) Unknown(dest string) bool {
	is, err := d.Unrecorded(dest)
	return is || err != nil
}
