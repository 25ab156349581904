package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/index"
)

// version is the first line of an index.
const version = "stretcher index 1\n"

// liar is what an index says, taken apart, so that it can say something else.
type liar struct {
	archive      index.Sum
	size, stream int64
	members      []index.Member
	sums         []index.Sum // of files
	parts        []part
	claimed      int // members, when it is not 0
}

// part is some of the frame and, when there is a path, the content behind it.
type part struct {
	frame []byte
	size  uint64
	path  string
}

// liarOf takes an index apart.
func liarOf(tb testing.TB, r release) *liar {
	tb.Helper()
	x := r.decoded(tb)
	l := &liar{archive: x.Archive, size: x.Size, stream: x.Stream, members: x.Members}
	frame := len(r.index)
	for i := range x.Files {
		l.sums = append(l.sums, x.Files[i].Sum)
	}
	// The frame comes last; where it begins, its compression's first bytes tell.
	frame = bytes.LastIndex(r.index[:frame], []byte{0x28, 0xb5, 0x2f, 0xfd})
	z, err := zstd.NewReader(nil)
	check(tb, err)
	defer z.Close()
	raw, err := z.DecodeAll(r.index[frame:], nil)
	check(tb, err)
	in := bytes.NewReader(raw)
	for in.Len() > 0 {
		l.parts = append(l.parts, readPart(tb, in))
	}
	if !bytes.Equal(l.encode(tb)[:len(version)+32], r.index[:len(version)+32]) {
		tb.Fatal("an index is made otherwise")
	}
	return l
}

func readPart(tb testing.TB, in *bytes.Reader) (p part) {
	tb.Helper()
	next := func() []byte {
		n, err := binary.ReadUvarint(in)
		check(tb, err)
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		check(tb, err)
		return b
	}
	var err error
	p.frame = next()
	p.size, err = binary.ReadUvarint(in)
	check(tb, err)
	if p.size > 0 {
		p.path = string(next())
	}
	return p
}

// encode makes an index of what it says now.
func (l *liar) encode(tb testing.TB) []byte {
	tb.Helper()
	var raw []byte
	for _, p := range l.parts {
		raw = append(binary.AppendUvarint(raw, uint64(len(p.frame))), p.frame...)
		if raw = binary.AppendUvarint(raw, p.size); p.size > 0 {
			raw = append(binary.AppendUvarint(raw, uint64(len(p.path))), p.path...)
		}
	}
	z, err := zstd.NewWriter(nil)
	check(tb, err)
	frame := z.EncodeAll(raw, nil)
	b := append([]byte(version), l.archive[:]...)
	members := len(l.members)
	if l.claimed > 0 {
		members = l.claimed
	}
	for _, n := range []int64{l.size, l.stream, int64(members), int64(len(l.sums)), int64(len(frame))} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for i := range l.members {
		b = binary.AppendUvarint(b, uint64(l.members[i].Length))
		b = binary.AppendUvarint(b, uint64(l.members[i].Unpacked))
	}
	for i := range l.members {
		b = append(b, l.members[i].Sum[:]...)
	}
	for i := range l.sums {
		b = append(b, l.sums[i][:]...)
	}
	return append(b, frame...)
}

// file is the number of the file with a path, and of the part before it.
func (l *liar) file(path string) (file, of int) {
	for i, p := range l.parts {
		if p.path == path {
			return file, i
		}
		if p.size > 0 {
			file++
		}
	}
	return -1, -1
}

// header changes the field of 512 bytes of the frame that name a path, and
// makes their checksum right again.
func (l *liar) header(path string, at int, value string) {
	for i := range l.parts {
		f := slices.Clone(l.parts[i].frame)
		for block := 0; block+512 <= len(f); block += 512 {
			h := f[block : block+512]
			if !bytes.HasPrefix(h, append([]byte(path), 0)) {
				continue
			}
			copy(h[at:], value)
			sum := 0
			copy(h[148:], "        ")
			for _, b := range h {
				sum += int(b)
			}
			copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		}
		l.parts[i].frame = f
	}
}
