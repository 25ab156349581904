package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime/debug"
	"slices"

	"github.com/mikelolasagasti/xz"
)

const (
	xzMagic = "\xfd7zXZ\x00"
	// xzDictionary is the largest dictionary: `xz -9` needs this much.
	xzDictionary = 64 << 20
	// xzMaxFilters bounds what one stream takes for the filters of its blocks:
	// the library keeps up to 300 bytes for each until the stream ends.
	xzMaxFilters = 1 << 16
)

var (
	errXZFilters = errors.New("too many filters")
	errXZOptions = errors.New("it uses a filter, a check or an option that is not known here")
)

// newXZ reads all streams of r and their padding.
func newXZ(r io.Reader) (io.Reader, error) {
	z, err := xz.NewReader(newXZBlocks(r), xzDictionary)
	if err != nil {
		return nil, err
	}
	return z, nil
}

// xzFault words the library's errors.
func xzFault(err error) error {
	switch {
	case errors.Is(err, xz.ErrMemlimit):
		return exceeded("xz needs more than %d bytes of memory", xzDictionary)
	case errors.Is(err, errXZFilters):
		return exceeded("xz data has more than %d filters in its blocks", xzMaxFilters)
	case errors.Is(err, xz.ErrOptions), errors.Is(err, xz.ErrUnsupportedCheck):
		return hinted("unpack it and pack it again by plain xz", malformed("xz data is not supported: %w", errXZOptions))
	case errors.Is(err, xz.ErrBuf):
		return malformed("xz data is truncated: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, xz.ErrFormat):
		return malformed("xz data is damaged: something else follows a stream")
	case errors.Is(err, xz.ErrData):
		return malformed("xz data is damaged: checksum or structure mismatch")
	}
	return malformed("xz data is damaged: %w", err)
}

// xzBlocks counts the filters of the blocks that are read through it. It
// follows the lengths of xz-file-format 1.2.1 and of LZMA2 chunks; whether they
// are right the library judges.
type xzBlocks struct {
	r       io.Reader
	rest    []byte          // read and not seen yet
	n       int64           // bytes seen
	skip    int64           // bytes before the next field
	want    int             // length of the next field
	field   []byte          // what of it was seen
	next    func(*xzBlocks) // takes the field; nil for damage
	start   int64           // of the block's data, or of the index
	check   int64           // length of a block's check
	blocks  int64           // of the current stream
	filters int             // of the current stream, LZMA2 aside
	numbers int64           // still to come in the index
	wrong   bool            // what the library takes and xz(1) refuses
	largest byte            // dictionary so far, as a header writes its size
	grown   bool            // it has taken the place of another one
}

func newXZBlocks(r io.Reader) *xzBlocks {
	x := &xzBlocks{r: r}
	x.expect(0, 4, xzPadding)
	return x
}

// Read reads from the archive and follows what it has read. It ends at a header
// with a larger dictionary than before: when the library asks for more, it has
// made that, and the memory of the last one can be given back.
func (x *xzBlocks) Read(p []byte) (int, error) {
	if x.grown {
		x.grown = false
		debug.FreeOSMemory()
	}
	n, err := copy(p, x.rest), error(nil)
	if x.rest = x.rest[n:]; n == 0 {
		n, err = x.r.Read(p)
	}
	if seen := x.follow(p[:n]); seen < n {
		x.rest = slices.Concat(p[seen:n], x.rest)
		n, err = seen, nil
	}
	if x.filters > xzMaxFilters {
		return 0, errXZFilters
	}
	if x.wrong {
		return 0, xz.ErrData
	}
	return n, err
}

// follow returns how many bytes it has looked at: not all where a dictionary
// grows.
func (x *xzBlocks) follow(b []byte) int {
	all := len(b)
	for len(b) > 0 && x.next != nil && !x.grown {
		k := min(x.skip, int64(len(b)))
		x.skip, x.n, b = x.skip-k, x.n+k, b[k:]
		k = min(int64(x.want-len(x.field)), int64(len(b)))
		x.field, x.n, b = append(x.field, b[:k]...), x.n+k, b[k:]
		if len(x.field) == x.want {
			x.next(x)
			x.field = x.field[:0]
		}
	}
	if x.next == nil {
		return all
	}
	return all - len(b)
}

// expect says what comes after the next skip bytes.
func (x *xzBlocks) expect(skip int64, want int, next func(*xzBlocks)) {
	x.skip, x.want, x.next = skip, want, next
}

// xzPadding takes four bytes between streams, or the first four of a stream.
func xzPadding(x *xzBlocks) {
	if [4]byte(x.field) == [4]byte{} {
		return
	}
	x.expect(0, 8, xzStream)
}

func xzStream(x *xzBlocks) {
	x.check, x.blocks, x.filters = 0, 0, 0
	if id := x.field[3] & 0x0f; id > 0 {
		x.check = 4 << ((id - 1) / 3)
	}
	x.expect(0, 1, xzBlock)
}

// xzBlock takes the length of a block's header, or the mark of the index.
func xzBlock(x *xzBlocks) {
	if x.field[0] == 0 {
		x.start, x.numbers = x.n-1, 1+2*x.blocks
		x.expect(0, 1, xzIndex)
		return
	}
	x.blocks++
	x.expect(0, int(x.field[0])*4+3, xzHeader)
}

func xzHeader(x *xzBlocks) {
	x.filters += int(x.field[0] & 3)
	// LZMA2 is the last filter; zeros fill the header up to its sum.
	list := bytes.TrimRight(x.field[:len(x.field)-4], "\x00")
	if n := len(list); n >= 3 && list[n-3] == 0x21 && list[n-2] == 1 && list[n-1] > x.largest {
		x.grown = x.largest > 0
		x.largest = list[n-1]
	}
	x.start = x.n
	x.expect(0, 1, xzChunk)
}

func xzChunk(x *xzBlocks) {
	switch c := x.field[0]; {
	case c == 0:
		x.expect((x.start-x.n)&3+x.check, 1, xzBlock)
	case c >= 0xc0:
		x.expect(2, 4, xzPacked) // with a byte of properties
	case c >= 0x80:
		x.expect(2, 3, xzPacked)
	case c <= 2:
		x.expect(0, 2, xzStored)
	default:
		x.next = nil
	}
}

func xzStored(x *xzBlocks) {
	x.expect(int64(binary.BigEndian.Uint16(x.field))+1, 1, xzChunk)
}

// xzPacked takes the head of a compressed chunk and the first byte of its
// data. xz(1) wants a zero there, the library does not look.
func xzPacked(x *xzBlocks) {
	x.wrong = x.wrong || x.field[len(x.field)-1] != 0
	x.expect(int64(binary.BigEndian.Uint16(x.field)), 1, xzChunk)
}

// xzIndex takes a byte of the numbers in the index; the last one of a number
// has no high bit.
func xzIndex(x *xzBlocks) {
	if x.field[0] < 0x80 {
		x.numbers--
	}
	if x.numbers == 0 {
		const sumAndFooter = 4 + 12
		x.expect((x.start-x.n)&3+sumAndFooter, 4, xzPadding)
	}
}
