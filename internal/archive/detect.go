package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/gunzip"
)

const (
	blockSize = 512
	// zstdWindow is the largest window, as that of zstd(1) without options:
	// `zstd --ultra -22` claims it for whatever comes from a pipe.
	zstdWindow = 128 << 20
)

// decoder decompresses one whole input. Its Read returns io.EOF only after
// the last checksum was verified.
type decoder struct {
	io.Reader
	format   string
	sums     *summing  // of contents, as they are read; nil = nobody wants them
	segments *segments // set: they are to be read, before the Reader is there
	close    func()
	// followed tells, after io.EOF, that something follows the data that is
	// none of it.
	followed func() bool
}

// newDecoder tells the compression of r by its first bytes. A tar header wins
// over a magic number, as in GNU tar: a file may be named "BZh".
func newDecoder(r *bufio.Reader, sums bool) (*decoder, error) {
	head, err := r.Peek(blockSize)
	if len(head) == 0 && err == io.EOF {
		return nil, malformed("archive is empty")
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	err = nil // a short input is no error yet
	format := sniff(head)
	d := plainDecoder(r)
	if d.format = format; sums {
		d.sums = &summing{}
	}
	if d.openSegments(r) {
		return d, nil
	}
	switch format {
	case "gzip":
		d.Reader, err = gunzip.NewReader(r)
	case "bzip2":
		b := newBzip2(r)
		d.Reader, d.followed = b, func() bool { return b.followed }
	case "xz":
		d.Reader, err = newXZ(r)
	case "zstd":
		err = d.openZstd(r)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, decodeFault(format, err)
	}
	return d, nil
}

// plainDecoder is one of what is not compressed.
func plainDecoder(r io.Reader) *decoder {
	return &decoder{Reader: r, format: "tar", close: func() {}, followed: func() bool { return false }}
}

func (d *decoder) openZstd(r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return err
	}
	d.Reader, d.close = z, z.Close
	return nil
}

// sniff names the format of an input that starts with head. Magic numbers:
// RFC 1952, RFC 8878 (with skippable frames), xz-file-format 1.2.1.
func sniff(head []byte) string {
	switch {
	case isTarHeader(head):
		return "tar"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(head, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(head, []byte(xzMagic)):
		return "xz"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return "zstd"
	}
	return "tar"
}

// isTarHeader verifies the checksum of a header block: the sum of its bytes
// with the checksum field (octal, at 148, 8 bytes) read as spaces.
func isTarHeader(b []byte) bool {
	if len(b) < blockSize {
		return false
	}
	sum := 8 * int(' ')
	for i, c := range b[:blockSize] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	want := 0
	for _, c := range bytes.Trim(b[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int(c-'0')
	}
	return sum == want
}

// decodeFault words what a decompressor said of its input.
func decodeFault(format string, err error) error {
	var f *fault
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return exceeded("%s needs more than %d bytes of memory: %w", format, zstdWindow, err)
	case errors.Is(err, bzip2.StructuralError("deprecated randomized files")):
		return hinted("unpack it and pack it again by any bzip2 since 0.9.5",
			malformed("bzip2 data is not supported: it has randomised blocks"))
	case format == "xz":
		return xzFault(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("%s data is truncated: %w", format, err)
	}
	return malformed("%s data is damaged: %w", format, err)
}
