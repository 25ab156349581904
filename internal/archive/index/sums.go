package index

import (
	"encoding/binary"
	"hash/maphash"
)

// frameKey is the key of all frame sums. Nobody outside of the process knows it, who would
// like to make two frames with one sum. With SHA-256, to decode an index takes twice as long.
var frameKey = maphash.MakeSeed()

// frameSums makes the sums of members' frames while the frame is read: of its
// bytes first, then of where contents lie between them, which says how many bytes
// those were.
type frameSums struct {
	x      *Index
	left   []Member // the first one is at hand
	at     int      // in it
	hash   maphash.Hash
	places []byte
}

func newFrameSums(x *Index) *frameSums {
	x.frames = make([]FrameSum, 0, len(x.Members))
	s := &frameSums{x: x, left: x.Members}
	s.hash.SetSeed(frameKey)
	return s
}

// Write takes what comes next of the frame. What lies behind all members is the
// caller's to refuse.
func (s *frameSums) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && len(s.left) > 0 {
		part := min(len(p), s.left[0].Unpacked-s.at)
		_, _ = s.hash.Write(p[:part])
		p = p[part:]
		s.pass(part)
	}
	return n, nil
}

// content goes on behind a content.
func (s *frameSums) content(size int64) {
	for size > 0 && len(s.left) > 0 {
		part := int(min(size, int64(s.left[0].Unpacked-s.at)))
		s.places = binary.LittleEndian.AppendUint32(s.places, uint32(s.at))
		s.places = binary.LittleEndian.AppendUint32(s.places, uint32(part))
		size -= int64(part)
		s.pass(part)
	}
}

// pass goes on in the member, and ends it.
func (s *frameSums) pass(n int) {
	if s.at += n; s.at < s.left[0].Unpacked {
		return
	}
	_, _ = s.hash.Write(binary.LittleEndian.AppendUint32(s.places, uint32(len(s.places))))
	s.x.frames = append(s.x.frames, FrameSum(max(s.hash.Sum64(), 1)))
	s.hash.Reset()
	s.left, s.at, s.places = s.left[1:], 0, s.places[:0]
}
