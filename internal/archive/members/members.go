// Package members reads the members of a tar archive, one after the other, as
// GNU tar does: V7, ustar, old and new GNU, and pax, with its global headers.
//
// Its words: a member is a file of the archive, with what its headers say of
// it; a record is a key with a value in an extended header, of one member (x)
// or of all that follow (g); a piece is a part of a sparse file that the
// archive has, between its holes.
//
// The standard library's archive/tar hides what its callers here must know: the
// holes of a sparse file, global records, whether an owner is a record's or a
// name's, and how the archive ends. It also drops a member's records when a
// global header follows them, and refuses junk where a regular file has
// nothing. Its reading of everything else is what this one is tested against.
//
// It judges no names, and bounds what it keeps: an extended header at a
// mebibyte, as archive/tar does, a sparse file's map at MaxPieces.
//
// It imports no other package of this module.
package members

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Types of members that the readers of this package know by name. The others
// are handed over as they are.
const (
	Regular    = '0'
	Link       = '1'
	Symlink    = '2'
	Char       = '3'
	Block      = '4'
	Dir        = '5'
	FIFO       = '6'
	Contiguous = '7'
	DumpDir    = 'D' // of GNU tar's incremental archives
	MultiVol   = 'M' // the rest of a file of another volume
	Sparse     = 'S' // of old GNU tar
	Label      = 'V' // of a volume
	Solaris    = 'X' // an extended header, before there were pax's
)

// Types of headers that speak of other members.
const (
	typeV7       = 0
	typeExtended = 'x'
	typeGlobal   = 'g'
	typeLongName = 'L'
	typeLongLink = 'K'
)

const (
	blockSize = 512
	// maxExtended bounds an extended header or long name.
	maxExtended = 1 << 20
	// maxSize leaves room for what fills the last block.
	maxSize = math.MaxInt64 - blockSize
	// MaxPieces bounds the map of a sparse file.
	MaxPieces = 1 << 19
)

// Member is what the headers say of one member.
type Member struct {
	Type       byte
	Name, Link string
	Size       int64 // of its content, holes included
	Mode       int64
	UID, GID   int64
	// Uname and Gname are the header's names, "" where a record has the number:
	// that goes before them. Records with names are for lists, not for owners.
	Uname, Gname string
	Sec, Nsec    int64   // modification time
	Pieces       []Piece // of a sparse file: what is between its holes, in order
	Sparse       bool
}

// Piece is a part of a sparse file that the archive has.
type Piece struct{ Start, Size int64 }

// Errors that those of this package match. Data that ends too early is
// io.ErrUnexpectedEOF, and an error of the reader stays what it is.
var (
	// ErrHeader is for a header that is none.
	ErrHeader = errors.New("invalid header")
	// ErrGlobal is for a global record that would make all members one file.
	ErrGlobal = errors.New("global header")
	// ErrPieces is for a sparse file of more than MaxPieces.
	ErrPieces = fmt.Errorf("sparse file has more than %d pieces", MaxPieces)
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrHeader}, args...)...)
}

// End says how an archive ended.
type End int

// What may stand where no member follows. All but the first is an oddity.
const (
	Marked   End = iota // two blocks of zeros
	Unmarked            // the end of the data: no marker, or a part of one
	Lone                // one block of zeros, and something else behind it
	Dangling            // a marker, but an extended header waits for its member
)

// Reader reads one archive.
type Reader struct {
	// Global, when set, is called for each global header; its error is Next's.
	Global func() error

	in     io.Reader
	left   int64 // content of the member that has not been read
	pad    int64 // and what fills its last block: less than one
	end    End
	global records
	own    records // of the next member
	name   string  // long name and
	link   string  // target of the next member, of GNU tar
	waits  bool    // for the member that those speak of
	block  header
	space  [2 * blockSize]byte // to read a block, and what is before it
}

// NewReader reads r.
func NewReader(r io.Reader) *Reader { return &Reader{in: r} }

// End tells how the archive ended, once Next has returned io.EOF.
func (r *Reader) End() End { return r.end }

// Next gives the next member, after what is left of the one before. At the end
// it returns io.EOF; what follows the end has not been read.
func (r *Reader) Next() (*Member, error) {
	r.own, r.name, r.link, r.waits = nil, "", "", false
	for {
		if err := r.finish(); err != nil {
			return nil, err
		}
		if err := r.readHeader(); err != nil {
			return nil, err
		}
		meta, err := r.meta()
		if err != nil {
			return nil, err
		}
		if !meta {
			return r.member()
		}
	}
}

// finish reads on to the end of the member's content. What fills its last block is
// read with the header behind it.
func (r *Reader) finish() error {
	if r.left == 0 {
		return nil
	}
	n, err := io.CopyN(io.Discard, r.in, r.left)
	if err == io.EOF && n < r.left {
		err = io.ErrUnexpectedEOF
	}
	r.left = 0
	return err
}

// readHeader reads a block. A part of one counts as the archive's end when it
// holds nothing, as the end of a marker that was cut off does.
func (r *Reader) readHeader() error {
	pad := int(r.pad)
	r.pad = 0
	n, err := io.ReadFull(r.in, r.space[:pad+blockSize])
	if n < pad && isEnd(err) {
		return io.ErrUnexpectedEOF
	}
	n = copy(r.block[:], r.space[pad:max(n, pad)])
	switch {
	case err == nil && !isZero(r.block[:]):
		return nil
	case err == nil:
		return r.readMarker()
	case !isEnd(err):
		return err
	case r.waits || !isZero(r.block[:n]):
		return io.ErrUnexpectedEOF
	}
	r.end = Unmarked
	return io.EOF
}

// readMarker reads what follows a block of zeros.
func (r *Reader) readMarker() error {
	n, err := io.ReadFull(r.in, r.block[:])
	if err != nil && !isEnd(err) {
		return err
	}
	switch {
	case !isZero(r.block[:n]):
		r.end = Lone
	case err != nil:
		r.end = Unmarked
	case r.waits:
		r.end = Dangling
	}
	return io.EOF
}

func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// meta reads a header that speaks of other members, if this is one.
func (r *Reader) meta() (bool, error) {
	size, err := r.block.open()
	if err != nil {
		return false, err
	}
	kind := r.block.typ()
	switch kind {
	case typeExtended, typeGlobal, typeLongName, typeLongLink:
	default:
		r.setContent(size)
		return false, nil
	}
	text, err := r.readText(size)
	if err != nil {
		return true, err
	}
	switch kind {
	case typeGlobal:
		return true, r.setGlobal(text)
	case typeExtended:
		r.own, err = parseRecords(text)
	case typeLongName:
		r.name = untilNUL(text)
	case typeLongLink:
		r.link = untilNUL(text)
	}
	r.waits = true
	return true, err
}

// setContent says that so much content follows.
func (r *Reader) setContent(size int64) {
	r.left, r.pad = size, -size&(blockSize-1)
}

// readText reads the content of an extended header.
func (r *Reader) readText(size int64) (string, error) {
	if size > maxExtended {
		return "", invalid("an extended header of %d bytes", size)
	}
	r.setContent(size)
	var b strings.Builder
	n, err := io.CopyN(&b, r.in, size)
	if r.left -= n; err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b.String(), err
}

// setGlobal takes records for all members that follow, in place of those of an
// earlier global header, as GNU tar has it.
func (r *Reader) setGlobal(text string) error {
	if r.Global != nil {
		if err := r.Global(); err != nil {
			return err
		}
	}
	g, err := parseRecords(text)
	if err != nil {
		return err
	}
	for key := range g {
		switch key {
		case keyUID, keyGID, keyTime:
		default:
			return fmt.Errorf("%w: sets %q of all entries", ErrGlobal, key)
		}
	}
	r.global = g
	return nil
}

// member makes one of the header, after all that speaks of it.
func (r *Reader) member() (*Member, error) {
	m, err := r.block.member()
	if err != nil {
		return nil, err
	}
	if r.name != "" {
		m.Name = r.name
	}
	if r.link != "" {
		m.Link = r.link
	}
	for _, rec := range []records{r.global.without(r.own), r.own} {
		if err := rec.apply(m); err != nil {
			return nil, err
		}
	}
	if m.Type == typeV7 {
		m.Type = Regular
		if strings.HasSuffix(m.Name, "/") {
			m.Type = Dir
		}
	}
	if !hasContent(m.Type) {
		r.setContent(0)
	} else {
		r.setContent(m.Size)
	}
	return m, r.readMap(m)
}

// hasContent tells what is followed by content, if its size says so.
func hasContent(kind byte) bool {
	switch kind {
	case Link, Symlink, Char, Block, Dir, FIFO:
		return false
	}
	return true
}

// skipper is a reader that may know how not to read.
type skipper interface {
	Skip(n int64) (int64, error)
}

// Skip goes on by n bytes of the content of the last member, without reading
// them if the archive's reader can do that. It returns io.ErrUnexpectedEOF where
// the archive ends before.
func (r *Reader) Skip(n int64) (passed int64, err error) {
	n = min(n, r.left)
	if s, ok := r.in.(skipper); ok {
		passed, err = s.Skip(n)
	} else {
		passed, err = io.CopyN(io.Discard, r.in, n)
	}
	if r.left -= passed; err == io.EOF && passed < n {
		err = io.ErrUnexpectedEOF
	}
	return passed, err
}

// Left is how much of the member's content has not been read; holes are none.
func (r *Reader) Left() int64 { return r.left }

// Read reads the content of the last member; of a sparse one, its pieces. It
// returns io.ErrUnexpectedEOF where the archive ends before.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF:
		err = nil
	}
	return n, err
}

// addUp is a+b, or less than 0 where that is too much.
func addUp(a, b int64) int64 {
	if a < 0 || b < 0 || a > math.MaxInt64-b {
		return -1
	}
	return a + b
}
