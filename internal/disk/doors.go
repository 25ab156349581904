package disk

// Dir is an open directory: everything below it is reached through its
// descriptor, never by its name again.
type Dir struct{}

// Dest is the place of a deployment, resolved once: the directory above it,
// open; its name there; and it itself, open, where it exists.
type Dest struct {
	Parent  *Dir
	Name    string
	Dir     *Dir   // nil: it does not exist
	IsMount bool   // it is another file system than Parent
	Given   string // as the manifest names it
}
