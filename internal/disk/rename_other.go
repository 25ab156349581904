//go:build unix && !linux

package disk

// RenameNew renames from to to, which must not exist; if it does, nothing
// happens and the error is fs.ErrExist.
func RenameNew(from, to string) error { return renameChecked(from, to) }
