package strategy

import (
	"fmt"

	"github.com/dustin/go-humanize"

	"stretcher/internal/strategy/mirror"
)

type (
	// Kind is what happens to a path.
	Kind = mirror.Kind
	// Change is what happens to one path of what is live.
	Change = mirror.Change
)

// The kinds of changes.
const (
	Add    = mirror.Add
	Modify = mirror.Modify
	Delete = mirror.Delete
)

// Changes are what a sync would do.
type Changes struct {
	List  []Change // sorted by path
	Bytes int64    // of content to be written
	Notes []string // lines that are to be said beside that
}

// Tally is how many changes there are of each kind.
type Tally struct {
	Added, Changed, Deleted int
	Bytes                   int64 // of content to be written
}

// Tally counts the changes.
func (c *Changes) Tally() Tally {
	t := Tally{Bytes: c.Bytes}
	for _, change := range c.List {
		t.Count(change.Kind)
	}
	return t
}

// Count counts one change.
func (t *Tally) Count(k Kind) {
	switch k {
	case Add:
		t.Added++
	case Modify:
		t.Changed++
	case Delete:
		t.Deleted++
	}
}

// String is "1 to add, 2 to change, 0 to delete, 3.0 KiB to write".
func (t Tally) String() string {
	return fmt.Sprintf("%d to add, %d to change, %d to delete, %s to write",
		t.Added, t.Changed, t.Deleted, humanize.IBytes(uint64(t.Bytes)))
}
