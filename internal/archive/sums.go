package archive

import (
	"crypto/sha256"

	"stretcher/internal/archive/members"
	"stretcher/internal/archive/parallel"
	"stretcher/internal/text/hashing"
)

// digests finds files in a segment of an archive, and makes the digests of their
// contents. It may be wrong about what a file is: a digest is of these bytes all
// the same, and counts where a content is found to be exactly these.
func digests(dst []parallel.Digest, segment []byte, pos int64) []parallel.Digest {
	members.Contents(segment, pos, func(start, size int) {
		sum := sha256.Sum256(segment[start : start+size])
		dst = append(dst, parallel.Digest{Start: start, Size: size, Sum: sum})
	})
	return dst
}

// aside is the least content that is hashed on a goroutine of its own, in bytes. To
// hand over less is not worth it.
const aside = 64 << 10

// summing makes the digests of contents, one after the other, as they are read: by
// itself, on a goroutine where they are long, or not at all where who decompressed
// them has done so.
type summing struct {
	known bool // and made is the digest
	made  [sha256.Size]byte
	aside bool          // what is added is handed over
	hash  *hashing.Hash // nil until there is something
}

// begin begins a content of size bytes, which the stream is going to read next.
func (s *summing) begin(in *stream, size int64) {
	if in.dec.segments != nil {
		if s.made, s.known = in.dec.segments.sum(size); s.known {
			return
		}
	}
	s.known, s.aside = false, size >= aside
	if s.hash == nil {
		s.hash = hashing.New(sha256.New())
	}
	s.hash.Settled().Reset() // all of the content before may not have been read
}

// add takes what has been read. Nobody may want it: s is nil then.
func (s *summing) add(p []byte) {
	switch {
	case s == nil || s.known:
	case s.aside:
		s.hash.Write(p)
	default:
		_, _ = s.hash.Settled().Write(p)
	}
}

// sum is the digest, once all of the content has been added.
func (s *summing) sum() [sha256.Size]byte {
	if !s.known {
		s.made, s.known = [sha256.Size]byte(s.hash.Settled().Sum(nil)), true
	}
	return s.made
}

// close ends what hashes.
func (s *summing) close() {
	if s != nil && s.hash != nil {
		s.hash.Close()
	}
}
