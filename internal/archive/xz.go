package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

const (
	xzMagic       = "\xfd7zXZ\x00"
	xzFooterMagic = "YZ"
	xzLZMA2       = 0x21
	xzMaxBlocks   = 1 << 20 // kept in memory until the index is checked
)

var errXZ = errors.New("invalid structure")

// xzReader reads xz files after xz-file-format 1.2.1. The container is read
// here because the library's own reader takes up to 4 GiB for a dictionary at
// the word of the archive.
type xzReader struct {
	r       countReader
	flags   [2]byte // of the current stream
	open    bool    // inside a stream
	blocks  []xzBlock
	cur     xzBlock
	data    io.Reader // of the current block, nil between blocks
	check   hash.Hash // nil for none
	started bool      // a first stream was read
}

// xzBlock holds what the index repeats, and what the block header claims.
type xzBlock struct {
	start, header        int64 // place in the input, length of the header
	unpadded, size       uint64
	wantPacked, wantSize int64 // -1: not said
}

func newXZ(r *bufio.Reader) *xzReader { return &xzReader{r: countReader{r: r}} }

// Read reads on through all streams and their padding.
func (z *xzReader) Read(p []byte) (int, error) {
	for {
		if z.data == nil {
			if err := z.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := z.data.Read(p)
		z.cur.size += uint64(n)
		if z.check != nil {
			z.check.Write(p[:n])
		}
		if err == io.EOF {
			err = noEOF(z.endBlock())
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// next goes to the next block, through the end of a stream if need be.
func (z *xzReader) next() error {
	if !z.open {
		return z.startStream()
	}
	size, err := z.r.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	if size == 0 {
		return noEOF(z.endStream())
	}
	return noEOF(z.startBlock(size))
}

// startStream returns io.EOF when nothing but padding follows.
func (z *xzReader) startStream() error {
	var h [12]byte
	for {
		n, err := io.ReadFull(&z.r, h[:4])
		if err == io.EOF && !z.started {
			return io.ErrUnexpectedEOF
		}
		if n < 4 {
			return err
		}
		if !z.started || h != [12]byte{} {
			break
		}
	}
	if _, err := io.ReadFull(&z.r, h[4:]); err != nil {
		return noEOF(err)
	}
	sum := binary.LittleEndian.Uint32(h[8:])
	if string(h[:6]) != xzMagic || crc32.ChecksumIEEE(h[6:8]) != sum {
		return errXZ
	}
	z.flags, z.open, z.started, z.blocks = [2]byte(h[6:8]), true, true, nil
	return z.newCheck()
}

func (z *xzReader) newCheck() error {
	switch z.flags {
	case [2]byte{0, 0}:
		z.check = nil
	case [2]byte{0, 1}:
		z.check = crc32.NewIEEE()
	case [2]byte{0, 4}:
		z.check = crc64.New(crc64.MakeTable(crc64.ECMA))
	case [2]byte{0, 10}:
		z.check = sha256.New()
	default:
		return errors.New("unsupported check")
	}
	return nil
}

// startBlock reads a block header whose first byte, size, was read.
func (z *xzReader) startBlock(size byte) error {
	z.cur = xzBlock{start: z.r.n - 1, wantPacked: -1, wantSize: -1}
	h := make([]byte, (int(size)+1)*4)
	h[0], z.cur.header = size, int64(len(h))
	if _, err := io.ReadFull(&z.r, h[1:]); err != nil {
		return err
	}
	body, sum := h[:len(h)-4], binary.LittleEndian.Uint32(h[len(h)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return errXZ
	}
	dict, err := z.cur.parseHeader(body)
	if err != nil {
		return err
	}
	if dict > maxWindow {
		return exceeded("xz needs more than %d bytes of memory", maxWindow)
	}
	if z.check != nil {
		z.check.Reset()
	}
	z.data, err = lzma.Reader2Config{DictCap: int(dict)}.NewReader2(&z.r)
	return err
}

// parseHeader takes the sizes, and returns the dictionary size of the one
// filter understood here.
func (b *xzBlock) parseHeader(h []byte) (dict uint64, err error) {
	flags, r := h[1], bytes.NewReader(h[2:])
	if flags&^0xc0 != 0 {
		return 0, errors.New("unsupported filter chain")
	}
	for _, f := range []struct {
		bit  byte
		dest *int64
	}{{0x40, &b.wantPacked}, {0x80, &b.wantSize}} {
		if flags&f.bit == 0 {
			continue
		}
		v, err := xzInt(r)
		if err != nil {
			return 0, err
		}
		*f.dest = int64(v)
	}
	var filter [3]byte // id, size of properties, properties
	if _, err := io.ReadFull(r, filter[:]); err != nil {
		return 0, errXZ
	}
	if filter[0] != xzLZMA2 || filter[1] != 1 || filter[2] > 40 {
		return 0, errors.New("unsupported filter")
	}
	for c, err := r.ReadByte(); err == nil; c, err = r.ReadByte() {
		if c != 0 {
			return 0, errXZ
		}
	}
	return uint64(2|filter[2]&1) << (filter[2]/2 + 11), nil
}

// endBlock verifies sizes, padding and check.
func (z *xzReader) endBlock() error {
	z.data = nil
	used := z.r.n - z.cur.start
	var pad [3]byte
	if _, err := io.ReadFull(&z.r, pad[:-used&3]); err != nil {
		return err
	}
	var sum []byte
	if z.check != nil {
		sum = make([]byte, z.check.Size())
	}
	if _, err := io.ReadFull(&z.r, sum); err != nil {
		return err
	}
	if pad != [3]byte{} || z.check != nil && !bytes.Equal(sum, z.sum()) {
		return errors.New("checksum mismatch")
	}
	z.cur.unpadded = uint64(used) + uint64(len(sum))
	if z.cur.wantSize >= 0 && uint64(z.cur.wantSize) != z.cur.size ||
		z.cur.wantPacked >= 0 && z.cur.wantPacked != used-z.cur.header {
		return errXZ
	}
	if len(z.blocks) == xzMaxBlocks {
		return exceeded("xz data holds more than %d blocks", xzMaxBlocks)
	}
	z.blocks = append(z.blocks, z.cur)
	return nil
}

// sum is the check of the current block in the byte order of the file:
// CRCs are stored with the low byte first.
func (z *xzReader) sum() []byte {
	switch h := z.check.(type) {
	case hash.Hash32:
		return binary.LittleEndian.AppendUint32(nil, h.Sum32())
	case hash.Hash64:
		return binary.LittleEndian.AppendUint64(nil, h.Sum64())
	}
	return z.check.Sum(nil)
}

// endStream verifies the index, whose first byte was read, and the footer.
func (z *xzReader) endStream() error {
	start := z.r.n - 1
	z.r.crc = crc32.NewIEEE()
	z.r.crc.Write([]byte{0})
	err := z.readIndex(start)
	index := z.r.crc.Sum32()
	z.r.crc = nil
	if err != nil {
		return err
	}
	var f [16]byte // CRC32 of the index, then the footer
	if _, err := io.ReadFull(&z.r, f[:]); err != nil {
		return err
	}
	size := z.r.n - 12 - start
	le := binary.LittleEndian
	if le.Uint32(f[:]) != index || le.Uint32(f[4:]) != crc32.ChecksumIEEE(f[8:14]) ||
		(int64(le.Uint32(f[8:]))+1)*4 != size || [2]byte(f[12:14]) != z.flags || string(f[14:]) != xzFooterMagic {
		return errXZ
	}
	z.open, z.blocks = false, nil
	return nil
}

// readIndex compares the records of the index with the blocks read.
func (z *xzReader) readIndex(start int64) error {
	count, err := xzInt(&z.r)
	if err != nil {
		return err
	}
	if count != uint64(len(z.blocks)) {
		return errXZ
	}
	for _, b := range z.blocks {
		unpadded, err := xzInt(&z.r)
		if err != nil {
			return err
		}
		size, err := xzInt(&z.r)
		if err != nil {
			return err
		}
		if unpadded != b.unpadded || size != b.size {
			return errXZ
		}
	}
	for (z.r.n-start)%4 != 0 {
		c, err := z.r.ReadByte()
		if err != nil {
			return err
		}
		if c != 0 {
			return errXZ
		}
	}
	return nil
}

// xzInt reads a variable-length integer: 7 bits a byte, low ones first, at
// most 9 bytes.
func xzInt(r io.ByteReader) (v uint64, err error) {
	for i := range 9 {
		c, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errXZ
}

// noEOF makes an end inside a structure an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// countReader counts what it reads, and sums it while crc is set.
type countReader struct {
	r   *bufio.Reader
	n   int64
	crc hash.Hash32
}

// Read counts and sums what it reads.
func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.crc != nil {
		c.crc.Write(p[:n])
	}
	return n, err
}

// ReadByte counts and sums one byte.
func (c *countReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
		if c.crc != nil {
			c.crc.Write([]byte{b})
		}
	}
	return b, err
}
