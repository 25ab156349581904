package archive

import (
	"crypto/sha256"
	"sync/atomic"

	"stretcher/internal/archive/members"
	"stretcher/internal/archive/parallel"
	"stretcher/internal/text/hashing"
)

// digests finds files in a segment of an archive, and makes the digests of their
// contents, while there is a use for them. It may be wrong about what a file is: a
// digest is of these bytes all the same, and counts where a content is found to be
// exactly these.
func (s *summing) digests(dst []parallel.Digest, segment []byte, pos int64) []parallel.Digest {
	if s.demand.isLow() {
		return dst
	}
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
// them has done so, or nobody has a use for one.
type summing struct {
	known  bool // and made is the digest
	made   [sha256.Size]byte
	fed    int64         // so much of the content has been added
	off    bool          // it is put off
	aside  bool          // what is added is handed over
	hash   *hashing.Hash // nil until there is something
	demand demand
}

// begin begins a content of size bytes, which the stream is going to read next.
func (s *summing) begin(in *stream, size int64) {
	s.demand.see(size)
	s.fed, s.off, s.known, s.aside = 0, false, false, size >= aside
	if in.dec.segments != nil {
		if s.made, s.known = in.dec.segments.sum(size); s.known {
			return
		}
	}
	if s.hash == nil {
		s.hash = hashing.New(sha256.New())
	}
	s.hash.Settled().Reset() // all of the content before may not have been read
}

// putOff has nothing added until again.
func (s *summing) putOff() {
	if s != nil {
		s.off = true
	}
}

// again adds what was read while that was put off, and what will be.
func (s *summing) again(p []byte) {
	if s != nil {
		s.off = false
		s.add(p)
	}
}

// add takes what has been read. Nobody may want it: s is nil then.
func (s *summing) add(p []byte) {
	if s == nil || s.known || s.off {
		return
	}
	s.fed += int64(len(p))
	if s.aside {
		s.hash.Write(p)
		return
	}
	_, _ = s.hash.Settled().Write(p)
}

// sum is the digest of a content of size bytes, all of which has been read. If some
// of that was not added, there is none.
func (s *summing) sum(size int64) (sum [sha256.Size]byte, ok bool) {
	if !s.known {
		if s.fed < size {
			return sum, false
		}
		s.made, s.known = [sha256.Size]byte(s.hash.Settled().Sum(nil)), true
	}
	if !s.off {
		s.demand.use(size)
	}
	return s.made, true
}

// close ends what hashes.
func (s *summing) close() {
	if s != nil && s.hash != nil {
		s.hash.Close()
	}
}

// demand tells whether digests are made where contents are decompressed, before
// anybody knows which ones are of use: not if less than half were of late, by bytes.
// It is for one goroutine, save for isLow.
type demand struct {
	seen, used int64
	low        atomic.Bool
}

// late is how many bytes of contents are looked back upon.
const late = 4 << 20

// see takes in a content that comes next.
func (d *demand) see(size int64) {
	if size > parallel.Max { // nobody has decompressed all of it at once
		return
	}
	if d.seen += size; d.seen > late {
		d.seen, d.used = d.seen/2, d.used/2
		d.low.Store(d.used < d.seen/2)
	}
}

// use takes in that the digest of the last one is of use.
func (d *demand) use(size int64) {
	if size <= parallel.Max {
		d.used += size
	}
}

func (d *demand) isLow() bool { return d.low.Load() }
