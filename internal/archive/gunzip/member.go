package gunzip

import (
	"bytes"
	"io"
)

// emptyMember has no content.
const emptyMember = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// NewReaderAfter is NewReader for what follows a whole member, or nothing.
func NewReaderAfter(r io.Reader) (*Reader, error) {
	return NewReader(io.MultiReader(bytes.NewReader([]byte(emptyMember)), r))
}

// reset makes ready for another file. The memory stays.
func (z *Reader) reset(src io.Reader) error {
	d := &z.inflater
	*d = inflater{input: input{src: src, buf: d.buf}, out: d.out, meanings: d.meanings, own: d.own, fixed: d.fixed}
	z.err = nil
	first, ok := z.next()
	if !ok {
		return z.fault(io.ErrUnexpectedEOF)
	}
	return z.header(first)
}

// Members decompresses members that are in memory, one at a time.
type Members struct {
	z  *Reader
	in bytes.Reader
}

// NewMembers makes one, which is for one goroutine.
func NewMembers() *Members {
	z := &Reader{lone: true}
	z.init(nil)
	return &Members{z: z}
}

// Content gives the content of a whole member, in the memory of dst if it is
// enough. The error is ErrChecksum if the trailer says more than most bytes, and
// ErrHeader or ErrChecksum if anything is behind the member's end.
func (m *Members) Content(dst, member []byte, most int) ([]byte, error) {
	if len(member) < leastMember || ContentLength(member) > uint32(most) {
		return nil, ErrChecksum
	}
	size := int(ContentLength(member))
	room := size + 1 + slack // that there is more shows when all of it is full
	if cap(dst) < room {
		dst = make([]byte, room)
	}
	m.in.Reset(member)
	m.z.out = dst[:room]
	if err := m.z.reset(&m.in); err != nil {
		return nil, err
	}
	err := m.z.more()
	if err == nil || err == io.EOF && m.z.w != size {
		err = ErrChecksum
	}
	if err != io.EOF {
		return nil, err
	}
	return dst[:size], nil
}
