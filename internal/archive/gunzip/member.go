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

// Append appends the content of a whole member to dst; with anything behind its
// end, the error is ErrHeader or ErrChecksum. If its trailer says more than most bytes, the error is ErrChecksum.
func (m *Members) Append(dst, member []byte, most int) ([]byte, error) {
	if len(member) < leastMember || ContentLength(member) > uint32(most) {
		return dst, ErrChecksum
	}
	m.in.Reset(member)
	if err := m.z.reset(&m.in); err != nil {
		return dst, err
	}
	start, size := len(dst), int(ContentLength(member))
	if cap(dst)-start < size+1 {
		dst = append(make([]byte, 0, start+size+1), dst...)
	}
	dst = dst[:start+size+1] // room to find out that there is more
	n, err := io.ReadFull(m.z, dst[start:])
	switch {
	case n != size:
		return dst[:start], ErrChecksum
	case err != io.ErrUnexpectedEOF && err != io.EOF:
		return dst[:start], err
	}
	return dst[:start+size], m.ended()
}

// ended is nil when the file ended with its last checksum.
func (m *Members) ended() error {
	if m.z.err == io.EOF {
		return nil
	}
	return m.z.err
}
