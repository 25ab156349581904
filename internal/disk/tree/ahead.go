package tree

import (
	"os"
	"sync"
)

// Ahead loads what a record knows of files while its caller waits for something else.
// It is for one goroutine. A nil Ahead loads when it is asked.
type Ahead struct {
	name   string // of the record; "" = none is being loaded
	device uint64
	loaded func() (*Contents, error)
}

// Begin begins to load a record for a tree. Failing at that shows when it is taken.
func (a *Ahead) Begin(name string, root *os.Root) {
	if a == nil || root == nil {
		return
	}
	device, err := deviceOf(root)
	if err != nil {
		return
	}
	a.name, a.device = name, device
	a.loaded = sync.OnceValues(func() (*Contents, error) { return loadContents(name, device) })
	go a.loaded()
}

// Take is LoadContents, and what was begun to be loaded if it is that. It is the
// caller's: the next call loads once more.
func (a *Ahead) Take(name string, root *os.Root) (*Contents, error) {
	device, err := deviceOf(root)
	if a == nil || err != nil || a.name != name || a.device != device {
		return LoadContents(name, root)
	}
	a.name = ""
	return a.loaded()
}
