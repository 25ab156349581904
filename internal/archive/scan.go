package archive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"time"
)

// NoID is an owner or group that is the caller's, to be left alone. chown(2)
// takes it for the same.
const NoID = math.MaxUint32

// Entry is what an archive puts at one path when all its entries have been
// read: the one that wins where several name the path. Its fields stand in the
// order that takes the least memory.
type Entry struct {
	Path    string      // relative, slash-separated, without "." and ".."; "" = the root
	Link    string      // target of a symlink
	MTime   int64       // nanoseconds since 1970, clamped to what fits (1677 to 2262); where there is none, the scan's
	Size    int64       // of a regular file, in bytes, holes included
	Mode    fs.FileMode // type, permissions, setuid, setgid and sticky, as they are to be set: for root without the umask
	UID     uint32      // or NoID
	GID     uint32      // or NoID
	Implied bool        // a directory that entries lie in and that the archive has no entry for: MTime says nothing
}

// Sink takes the regular files of a scan, one call at a time, in the order of
// the archive and from the goroutine that called Scan. An error from it ends
// the scan and is wrapped; the strings of an Entry are those of the result.
type Sink interface {
	// File is offered the content of e, good until it returns; what it leaves
	// unread is skipped.
	File(e Entry, content *Content) error
	// Link is told of a hard link: e has the content and metadata of the
	// regular file old, which File or Link was called for before.
	Link(e Entry, old string) error
	// Drop says that a later entry replaces the regular file at path. It comes
	// before the call for that entry, if there is one. Hard links to the file
	// keep its content.
	Drop(path string) error
}

// Finisher is a Sink that may be behind.
type Finisher interface {
	// Finish comes after the last entry of an archive without a fault, and returns when
	// nothing is left to be done.
	Finish() error
}

// Late is an error of a sink that speaks of an earlier entry than the one that it was
// called for.
type Late struct {
	Path string
	Err  error
}

// Error names the entry.
func (l *Late) Error() string { return fmt.Sprintf("archive entry %q: %v", l.Path, l.Err) }

// Unwrap gives the cause.
func (l *Late) Unwrap() error { return l.Err }

// Scan reads an archive under the rules of Extract, but keeps the tree in
// memory instead of writing it. It returns what Extract would have made, with
// the entries sorted by path (bytewise, so a directory comes before what is in
// it), the root always first; nil after an error.
//
// What Extract leaves to the directory it works in, Scan can't know: limits of
// the file system, a default ACL, a setgid bit to inherit. It returns 64 bytes
// and the path for each entry, and takes twice the 64 on the way, so that
// Limits.Entries bounds the memory.
func Scan(ctx context.Context, r io.Reader, opts Options, sink Sink) ([]Entry, Result, error) {
	rules := newRules(opts.Mode)
	rules.umask = processUmask()
	count := &tally{lim: opts.Limits.withDefaults(), progress: opts.Progress}
	t := newMemory(rules, count, sink, time.Now().UnixNano())
	res, err := readInto(ctx, r, opts, rules, count, t)
	if err != nil {
		return nil, res, err
	}
	return t.list, res, nil
}
