package members

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
)

// header is a block that starts a member.
type header [blockSize]byte

// Fields of a header, by their place and size.
func (h *header) field(start, size int) []byte { return h[start : start+size] }

func (h *header) typ() byte     { return h[156] }
func (h *header) magic() string { return string(h[257:265]) }

const (
	magicPOSIX = "ustar\x00"
	magicGNU   = "ustar  \x00"
)

// isPOSIX and isGNU tell formats apart as GNU tar does. What is neither has no
// names of owners, as in Version 7 of UNIX.
func (h *header) isPOSIX() bool { return strings.HasPrefix(h.magic(), magicPOSIX) }
func (h *header) isGNU() bool   { return h.magic() == magicGNU }

// open judges the checksum, and gives the size of what follows the header.
func (h *header) open() (int64, error) {
	want, err := number(h.field(148, 8))
	if err != nil {
		return 0, invalid("no checksum")
	}
	plain, signed := h.sums()
	if want != plain && want != signed {
		return 0, invalid("wrong checksum")
	}
	size, err := number(h.field(124, 12))
	if err != nil || size < 0 || size > maxSize {
		return 0, invalid("size %q", text(h.field(124, 12)))
	}
	return size, nil
}

// sums add up the bytes of the header, with spaces for its checksum: as they are, and
// as some old tars did, whose chars have a sign. It takes eight bytes at a time.
func (h *header) sums() (plain, signed int64) {
	const (
		low   = 0x00ff00ff00ff00ff // every other byte, with room for 257 of them
		signs = 0x8080808080808080
	)
	var pairs uint64
	var negative int
	for at := 0; at < blockSize; at += 8 {
		v := binary.LittleEndian.Uint64(h[at:])
		pairs += v&low + v>>8&low
		negative += bits.OnesCount64(v & signs)
	}
	for ; pairs > 0; pairs >>= 16 {
		plain += int64(pairs & 0xffff)
	}
	for _, c := range h.field(148, 8) {
		plain += ' ' - int64(c)
		negative -= int(c >> 7)
	}
	return plain, plain - int64(negative)<<8
}

// member reads what the header says by itself. The device of what is none is
// nobody's business: some writers leave junk there.
func (h *header) member() (*Member, error) {
	m := &Member{Type: h.typ(), Name: text(h.field(0, 100)), Link: text(h.field(157, 100))}
	for _, f := range []struct {
		to          *int64
		start, size int
		what        string
	}{
		{&m.Mode, 100, 8, "mode"}, {&m.UID, 108, 8, "uid"}, {&m.GID, 116, 8, "gid"},
		{&m.Size, 124, 12, "size"}, {&m.Sec, 136, 12, "time"},
	} {
		v, err := number(h.field(f.start, f.size))
		if err != nil {
			return nil, invalid("%s %q", f.what, text(h.field(f.start, f.size)))
		}
		*f.to = v
	}
	if h.isPOSIX() || h.isGNU() {
		m.Uname, m.Gname = text(h.field(265, 32)), text(h.field(297, 32))
	}
	if prefix := text(h.field(345, 155)); h.isPOSIX() && prefix != "" {
		m.Name = h.prefix() + "/" + m.Name
	}
	return m, nil
}

// prefix is the head of the name. That of star is shorter, and has times behind
// it, without a NUL between when it is full.
func (h *header) prefix() string {
	if string(h.field(508, 4)) == "tar\x00" {
		return text(h.field(345, 131))
	}
	return text(h.field(345, 155))
}

// text is what stands before the first NUL.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

func untilNUL(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
