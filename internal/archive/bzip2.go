package archive

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"
)

// bzip2Reader reads all streams of bzip2 data. As bzip2(1), it ignores what
// follows them and is no stream.
type bzip2Reader struct {
	in       *zeroEnd
	z        io.Reader
	level    bool // the first stream says a level that there is
	followed bool // something was ignored
}

func newBzip2(r *bufio.Reader) *bzip2Reader {
	head, _ := r.Peek(4)
	in := &zeroEnd{r: r}
	return &bzip2Reader{
		in: in, z: bzip2.NewReader(in),
		level: len(head) == 4 && head[3] >= '1' && head[3] <= '9',
	}
}

// Read ends at the first byte that begins no stream.
func (b *bzip2Reader) Read(p []byte) (int, error) {
	n, err := b.z.Read(p)
	if err == nil {
		return n, nil
	}
	switch next := b.isNext(err); {
	case next && b.in.zeros == 1 && b.in.last == 'B': // perhaps a stream that breaks off
		err = io.ErrUnexpectedEOF
	case next && b.in.zeros < 2:
		b.followed = true
		err = io.EOF
	case next:
		err = io.EOF
	case b.in.zeros > 0 && b.in.err == nil:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// isNext tells whether the library stumbled at the head of a further stream:
// what comes before has been verified then.
func (b *bzip2Reader) isNext(err error) bool {
	var s bzip2.StructuralError
	if !errors.As(err, &s) {
		return false
	}
	switch s {
	case "bad magic value in continuation file":
		return true
	case "non-Huffman entropy encoding", "invalid compression level":
		return b.level && b.in.zeros == 0
	}
	return false
}

// zeroEnd appends two zeros to the input. The library tells an input that ends
// within a stream from one with a single byte after it only if that byte has a
// successor.
type zeroEnd struct {
	r     *bufio.Reader
	zeros int   // how many were read
	last  byte  // of the input
	err   error // of the input
}

// ReadByte reads a byte of the input, then two zeros.
func (z *zeroEnd) ReadByte() (byte, error) {
	c, err := z.r.ReadByte()
	switch {
	case err == io.EOF && z.zeros < 2:
		z.zeros++
		return 0, nil
	case err != nil && err != io.EOF:
		z.err = err
	case err == nil:
		z.last = c
	}
	return c, err
}

// Read is for callers that do not know ReadByte; the library does.
func (z *zeroEnd) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := z.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
