// Package gunzip decompresses gzip files. To decompress is most of what the
// deployment of a .tar.gz takes, and this does it in half the time that the
// libraries for Go take: they may not read beyond the end of the compressed
// data, and so take it byte by byte. Here the reader owns all that follows, takes
// eight bytes at a time, and finds most symbols by one look into a table.
//
// Its words: a file is members, one after the other; zeros after the last one
// are padding, as gzip(1) has it. A member is a header, data, and a trailer with
// the CRC-32 and the size of what the data decompress to (RFC 1952). The data
// are blocks of stored bytes or of symbols; a symbol is a literal byte, a length
// (a distance follows: so much is repeated from so far back), or the block's
// end (RFC 1951).
//
// The input is not trusted: what is damaged gives an error, and the memory that
// is taken, some 300 KB, depends on nothing in it. Every byte that is handed out
// has gone into the CRC-32, so that nothing is taken for the content that isn't.
//
// It imports the standard library alone.
package gunzip

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var (
	// ErrHeader is of input that is no gzip file, or has something else behind
	// its last member.
	ErrHeader = errors.New("invalid gzip header")
	// ErrChecksum is of a member whose content has another CRC-32 or size than
	// its trailer says.
	ErrChecksum = errors.New("invalid gzip checksum")
	// ErrData is of compressed data that mean nothing.
	ErrData = errors.New("invalid compressed data")
)

// Flags of a member's header, RFC 1952 section 2.3.1.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 0xe0
)

// Reader decompresses a gzip file.
type Reader struct {
	inflater
	crc  uint32 // of the member's content so far
	size uint32 // its bytes, modulo 2^32
	err  error  // comes after out[r:w]
	lone bool   // nothing may follow the first member
}

// NewReader reads the first header of r, which it will read to the end, in
// large pieces. An empty r gives io.EOF, any other error is as from Read.
func NewReader(r io.Reader) (*Reader, error) {
	z := &Reader{}
	z.init(r)
	first, ok := z.next()
	if !ok {
		return nil, z.fault(io.EOF)
	}
	if err := z.header(first); err != nil {
		return nil, err
	}
	return z, nil
}

// Read reads on through all members. It returns io.EOF only after the last
// checksum was found right; io.ErrUnexpectedEOF for a file that is cut short;
// the reader's own error as it is; else an error that wraps one of this
// package's. What was read before an error is not verified.
func (z *Reader) Read(p []byte) (int, error) {
	for z.r == z.w {
		if z.err != nil {
			return 0, z.err
		}
		z.err = z.more()
	}
	n := copy(p, z.out[z.r:z.w])
	z.r += n
	return n, nil
}

// more decompresses up to the end of a member, or as much as there is room
// for.
func (z *Reader) more() error {
	z.makeRoom()
	err := z.inflate()
	fresh := z.out[z.r:z.w]
	z.crc = crc32.Update(z.crc, crc32.IEEETable, fresh)
	z.size += uint32(len(fresh))
	if err == io.EOF {
		err = z.trailer()
	}
	return err
}

// trailer checks a member's, and goes to the next one; io.EOF when there is
// none.
func (z *Reader) trailer() error {
	z.align()
	crc, size := z.take(32), z.take(32)
	if err := z.settle(); err != nil {
		return err
	}
	if crc != z.crc || size != z.size {
		return ErrChecksum
	}
	b, ok := z.next()
	if ok && z.lone {
		return ErrHeader
	}
	for padded := false; ok && (b == 0 || padded); b, ok = z.next() {
		if padded = true; b != 0 {
			return ErrHeader
		}
	}
	if !ok {
		return z.fault(io.EOF)
	}
	return z.header(b)
}

// header reads what follows a header's first byte, and makes ready for its
// data.
func (z *Reader) header(first byte) error {
	sum, b := crc32.NewIEEE(), []byte{first}
	_, _ = sum.Write(b)
	get := func() byte {
		b[0] = byte(z.take(8))
		_, _ = sum.Write(b)
		return b[0]
	}
	magic, method, flags := get(), get(), get()
	err := z.settle()
	if first != 0x1f || err == nil && (magic != 0x8b || method != 8 || flags&flagReserved != 0) {
		return ErrHeader
	}
	for range 6 { // the time, how hard it was tried, and on which system
		get()
	}
	if flags&flagExtra != 0 {
		for n := int(get()) | int(get())<<8; n > 0; n-- {
			get()
		}
	}
	for _, text := range []byte{flagName, flagComment} {
		if flags&text != 0 {
			for get() != 0 { // nor does it go on after the end of the input
			}
		}
	}
	want := uint16(sum.Sum32())
	if flags&flagHeaderCRC != 0 && uint16(z.take(16)) != want && z.settle() == nil {
		return fmt.Errorf("%w: its checksum is wrong", ErrHeader)
	}
	z.crc, z.size = 0, 0
	z.restart()
	return z.fail
}
