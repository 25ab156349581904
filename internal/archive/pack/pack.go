// Package pack writes the archive of a directory: the same bytes for the same
// files, on any machine and any number of cores, and an index of it.
//
// Its words: the tree is the directory, open, with what is below it; an entry
// is what becomes a header of the archive, and perhaps a content. Entries are in
// the order of a walk with sorted names. They are gathered in groups, and large
// files cut into pieces, where their content says so: each is a member of the
// archive, compressed by itself, so that it can be fetched and decompressed
// without the others.
//
// The archive is a tar file in ustar's format, with GNU's extensions for what
// that has no room for: GNU tar, bsdtar, busybox and this program read both,
// while busybox knows no pax records. It is compressed as a gzip file of many
// members, which carry their length in their header (gunzip.MemberLength), or as
// a zstd file of many frames.
//
// Nothing is reached by a name that was judged before: directories are open,
// files are judged when they are open, and what changes while it is packed is an
// error (ErrChanged), since nobody knows what was packed then.
//
// Of this module it imports index and gunzip, disk/confined and text/*. It
// knows nothing of manifests, and not where an archive goes.
package pack

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"stretcher/internal/archive/index"
)

// Compression is how an archive is compressed.
type Compression int

// The compressions of an archive.
const (
	Gzip Compression = iota
	Zstd
)

// Options says what is packed, and how.
type Options struct {
	Compression Compression
	// Skip, when set, tells what is left out, with all below it. Paths are
	// relative and slash-separated. See Excludes.
	Skip func(path string, isDir bool) bool
	// Owners keeps the numbers of owners and groups. All is root's else.
	Owners bool
	// Time, when set, is that of every entry, and the files' own count for
	// nothing.
	Time *time.Time
	// Cores is how many to use; all of them when it is 0. The archive does not
	// depend on it.
	Cores int
	// Warn, when set, gets one line for each thing that is left out unasked.
	Warn func(msg string)
	// Progress, when set, is told how many bytes of content were read.
	Progress func(n int64)
}

// Result says what was packed.
type Result struct {
	Index   *index.Index
	Entries int64
	Bytes   int64 // of content
}

// ErrChanged: the tree was changed while it was packed.
var ErrChanged = errors.New("changed while it was packed")

// Write packs the tree of root into w. After an error, w holds a part of an
// archive. The root stays the caller's to close.
func Write(ctx context.Context, root *os.Root, w io.Writer, opts Options) (Result, error) {
	return write(ctx, root, w, opts)
}
