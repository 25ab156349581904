package tree

import (
	"os"
	"sync"
)

// Ahead loads what a record knows of files while its caller waits for something else.
// It is for one goroutine, but for what Plan gives. A nil Ahead loads when it is asked.
type Ahead struct {
	name   string // of the record; "" = none is being loaded
	device uint64
	loaded func() (*Contents, error)
}

// Plan says that a record will be taken for a tree. What it gives loads that: on which
// goroutine, and when, is the caller's affair. It may be called several times; what
// fails shows when the record is taken.
func (a *Ahead) Plan(name string, root *os.Root) (load func()) {
	if a == nil || root == nil {
		return func() {}
	}
	device, err := deviceOf(root)
	if err != nil {
		return func() {}
	}
	if a.name != name || a.device != device {
		a.name, a.device = name, device
		a.loaded = sync.OnceValues(func() (*Contents, error) { return loadContents(name, device) })
	}
	loaded := a.loaded
	return func() { _, _ = loaded() }
}

// Take is LoadContents, and what was planned to be loaded if it is that. It is the
// caller's: the next call loads once more.
func (a *Ahead) Take(name string, root *os.Root) (*Contents, error) {
	device, err := deviceOf(root)
	if a == nil || err != nil || a.name != name || a.device != device {
		return LoadContents(name, root)
	}
	a.name = ""
	return a.loaded()
}
