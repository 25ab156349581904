package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// shape says where an archive lies that is in pieces. A file of parts begins with it.
type shape struct {
	size     int64  // of the archive, in bytes
	baseSize int64  // of its base
	baseKey  string // what that is called; "" = that is not known
	pieces   []piece
}

// piece is a run of bytes of an archive.
type piece struct {
	off, size int64 // in the archive
	at        int64 // in the file that it lies in
	inParts   bool  // which is that of the parts
}

// errShape is of a file of parts that is none.
var errShape = errors.New("not the parts of an archive")

// The head of a file of parts: the magic, the sizes of the archive, of the base and of
// what follows the pieces, how long the key of the base is, and how many pieces there
// are. The key and the pieces come next: where one lies, twice that, and one more for
// the parts; and its size. All numbers have 8 bytes, the lowest first.
const (
	magic     = "stretcherparts1\n"
	headSize  = len(magic) + 5*8
	pieceSize = 2 * 8
	maxKey    = 512
	// maxPieces bounds what is read into memory: 4 MiB.
	maxPieces = 1 << 18
)

// head is the beginning of a file of parts.
type head struct {
	size, baseSize, data int64
	key, pieces          int64
}

// length is how long all is that is before the parts themselves.
func (h head) length() int64 { return int64(headSize) + h.key + h.pieces*pieceSize }

// encode is the beginning of a file of parts. The pieces in it count from the end of
// that.
func (s *shape) encode(data int64) []byte {
	b := []byte(magic)
	for _, n := range []int64{s.size, s.baseSize, data, int64(len(s.baseKey)), int64(len(s.pieces))} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, s.baseKey...)
	for _, l := range s.pieces {
		at := uint64(l.at) << 1
		if l.inParts {
			at |= 1
		}
		b = binary.LittleEndian.AppendUint64(b, at)
		b = binary.LittleEndian.AppendUint64(b, uint64(l.size))
	}
	return b
}

// readHead reads and judges the beginning of a file of parts.
func readHead(f *os.File) (h head, err error) {
	info, err := f.Stat()
	if err != nil {
		return h, err
	}
	b := make([]byte, headSize)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return h, err
	}
	if string(b[:len(magic)]) != magic {
		return h, errShape
	}
	for i, n := range []*int64{&h.size, &h.baseSize, &h.data, &h.key, &h.pieces} {
		if *n = int64(binary.LittleEndian.Uint64(b[len(magic)+8*i:])); *n < 0 {
			return h, errShape
		}
	}
	if h.key > maxKey || h.pieces > maxPieces || info.Size()-h.length() != h.data {
		return h, fmt.Errorf("%w: it is damaged", errShape)
	}
	return h, nil
}

// readShape reads where an archive lies. What it says is in both files, and is all of
// the archive.
func readShape(f *os.File) (s shape, err error) {
	h, err := readHead(f)
	if err != nil {
		return s, err
	}
	b := make([]byte, h.length()-int64(headSize))
	if _, err := f.ReadAt(b, int64(headSize)); err != nil && err != io.EOF {
		return s, err
	}
	s = shape{size: h.size, baseSize: h.baseSize, baseKey: string(b[:h.key]), pieces: make([]piece, 0, h.pieces)}
	off := int64(0)
	for b = b[h.key:]; len(b) > 0; b = b[pieceSize:] {
		at, size := binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))
		l := piece{off: off, size: size, at: int64(at >> 1), inParts: at&1 == 1}
		room := h.baseSize
		if l.inParts {
			room = h.data
		}
		if size <= 0 || size > h.size-off || l.at > room-size {
			return s, fmt.Errorf("%w: a piece is outside", errShape)
		}
		if l.inParts {
			l.at += h.length()
		}
		s.pieces = append(s.pieces, l)
		off += size
	}
	if off != h.size {
		return s, fmt.Errorf("%w: not all of it is there", errShape)
	}
	return s, nil
}
