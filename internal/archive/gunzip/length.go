package gunzip

import "encoding/binary"

// The extra field of a header (RFC 1952, section 2.3.1.1) may hold the length
// of the member, so that a reader finds the next one without decompressing it:
// a subfield "ST" of four bytes, the lowest first, and nothing else.
const (
	subfield = "ST"
	lengthAt = 16
	// HeaderSize is that of a header with the length of its member.
	HeaderSize = lengthAt + 4
	// leastMember is a header, an empty block, and a trailer.
	leastMember = HeaderSize + 2 + 8
)

// marked is a header up to the length.
const marked = "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x08\x00" + subfield + "\x04\x00"

// AppendHeader appends the header of a member, whose length SetLength sets.
func AppendHeader(b []byte) []byte { return append(append(b, marked...), 0, 0, 0, 0) }

// SetLength sets the length of a whole member that AppendHeader has begun.
func SetLength(member []byte) {
	binary.LittleEndian.PutUint32(member[lengthAt:], uint32(len(member)))
}

// MemberLength tells how long the member is that begins with these bytes,
// HeaderSize of them, if it says so.
func MemberLength(b []byte) (n int64, ok bool) {
	if len(b) < HeaderSize || string(b[:lengthAt]) != marked {
		return 0, false
	}
	n = int64(binary.LittleEndian.Uint32(b[lengthAt:]))
	return n, n >= leastMember
}

// ContentLength is how long a trailer says that the content of a whole member
// is, modulo 2^32.
func ContentLength(member []byte) uint32 {
	return binary.LittleEndian.Uint32(member[len(member)-4:])
}
