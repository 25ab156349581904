// Package index writes and reads the index that lies beside an archive: what
// a host must know to fetch only parts of it.
//
// Its words: a member is a part of the archive that is decompressed by itself:
// a gzip member, or a zstd frame. The stream is the tar archive that all members
// make, one after the other. A file is a regular file's content in the stream;
// all the rest of the stream, headers and padding, is the frame: the index holds
// it, so that with the contents, from wherever they come, the stream is put
// together again byte by byte, and unpacked by the rules of any archive.
//
// An index says nothing twice. Members and contents follow one another, so that
// their places are sums of lengths: none can overlap another or lie outside.
// What it says of paths is where to look for a content; which file gets it, the
// frame says.
//
// A file of an index is a line with its version, then sizes and counts, the
// members, the digests of the files, and, compressed by zstd, the frame with
// paths and sizes. All of it is bounded before it is read. Nothing in it is
// trusted, and nothing may follow it. Its own digest is the manifest's affair.
//
// It imports no other package of this module.
package index

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sum is a SHA-256.
type Sum [sha256.Size]byte

// Bounds of what an index may say. An archive beyond them has none.
const (
	// MaxSize is that of an index, in bytes.
	MaxSize = 256 << 20
	// MaxMember is how many bytes a member may have, packed or not.
	MaxMember = 1 << 20
	// MaxPath is the length of a path.
	MaxPath = 4096
	// maxFrame bounds the frame with the paths, decompressed: more than a
	// million entries have, and some seconds.
	maxFrame = 1 << 30
)

// ErrInvalid is of what is no index, or of a version that is not known, or that
// contradicts itself.
var ErrInvalid = errors.New("invalid index")

// Index is what is known of an archive.
type Index struct {
	Archive Sum   // of the archive
	Size    int64 // of the archive, in bytes
	Stream  int64 // of the stream, in bytes
	Members []Member
	Files   []File
	frame   []byte     // compressed, with paths and sizes
	frames  []FrameSum // by members; nil = not known
}

// Member is a part of the archive.
type Member struct {
	Offset   int64 // in the archive
	Length   int   // there
	Start    int64 // in the stream
	Unpacked int   // there
	Sum      Sum   // of what lies in the archive
}

// FrameSum is a sum of what is frame in a member, and of where that lies. It can be
// compared with others of this process, which has made up its key. Zero is none.
type FrameSum uint64

// FrameOf is that of a member, or zero where the index was not decoded.
func (x *Index) FrameOf(member int) FrameSum {
	if x.frames == nil {
		return 0
	}
	return x.frames[member]
}

// File is the content of a regular file that is not empty.
type File struct {
	Path  string // relative, slash-separated, without "." and ".."
	Start int64  // in the stream
	Size  int64
	Sum   Sum
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
