package archive

import (
	"crypto/sha256"
	"hash"
	"sync"

	"stretcher/internal/archive/members"
	"stretcher/internal/archive/parallel"
)

// digests finds files in a segment of an archive, and makes the digests of their
// contents. It may be wrong about what a file is: a digest is of these bytes all
// the same, and counts where a content is found to be exactly these.
func digests(dst []parallel.Digest, segment []byte) []parallel.Digest {
	members.Contents(segment, func(start, size int) {
		sum := sha256.Sum256(segment[start : start+size])
		dst = append(dst, parallel.Digest{Start: start, Size: size, Sum: sum})
	})
	return dst
}

const (
	// aside is the least content that is hashed on a goroutine of its own. To hand
	// over less is not worth it.
	aside = 64 << 10
	// sumBlocks and sumBlock bound what waits to be hashed, in bytes.
	sumBlocks = 4
	sumBlock  = 128 << 10
)

// summing makes the digests of contents, one after the other, as they are read: by
// itself, on a goroutine where they are long, or not at all where who decompressed
// them has done so.
type summing struct {
	known   bool // and made is the digest
	made    [sha256.Size]byte
	hash    hash.Hash
	aside   bool        // what is added is handed over
	todo    chan []byte // nil until there is something
	free    chan []byte
	pending sync.WaitGroup
	hashing sync.WaitGroup
}

// begin begins a content of size bytes, which the stream is going to read next.
func (s *summing) begin(in *stream, size int64) {
	s.pending.Wait() // all of the one before may not have been read
	if in.dec.segments != nil {
		if s.made, s.known = in.dec.segments.sum(size); s.known {
			return
		}
	}
	s.known, s.aside = false, size >= aside
	if s.hash == nil {
		s.hash = sha256.New()
	}
	s.hash.Reset()
}

// add takes what has been read. Nobody may want it: s is nil then.
func (s *summing) add(p []byte) {
	switch {
	case s == nil || s.known:
	case s.aside:
		s.hand(p)
	default:
		_, _ = s.hash.Write(p)
	}
}

// hand has a copy of p hashed.
func (s *summing) hand(p []byte) {
	if s.todo == nil {
		s.start()
	}
	for len(p) > 0 {
		b := <-s.free
		n := copy(b[:sumBlock], p)
		p = p[n:]
		s.pending.Add(1)
		s.todo <- b[:n]
	}
}

func (s *summing) start() {
	s.todo, s.free = make(chan []byte, sumBlocks), make(chan []byte, sumBlocks)
	for range sumBlocks {
		s.free <- make([]byte, sumBlock)
	}
	s.hashing.Go(func() {
		for b := range s.todo {
			_, _ = s.hash.Write(b)
			s.free <- b
			s.pending.Done()
		}
	})
}

// sum is the digest, once all of the content has been added.
func (s *summing) sum() [sha256.Size]byte {
	if !s.known {
		s.pending.Wait()
		s.made, s.known = [sha256.Size]byte(s.hash.Sum(nil)), true
	}
	return s.made
}

// close ends the goroutine, and waits for that.
func (s *summing) close() {
	if s != nil && s.todo != nil {
		close(s.todo)
		s.hashing.Wait()
	}
}
