package members

import (
	"io"
	"strconv"
	"strings"
)

// readMap reads where the pieces of a sparse file belong, and makes Size what
// it is with its holes.
func (r *Reader) readMap(m *Member) error {
	var err error
	switch {
	case m.Type == Sparse:
		m.Sparse = true
		m.Pieces, m.Size, err = r.oldMap()
	case !m.Sparse:
		return nil
	case !hasContent(m.Type):
		err = invalid("a sparse file that is none")
	default:
		err = r.paxMap(m)
	}
	if err != nil {
		return err
	}
	return checkMap(m, r.left)
}

// checkMap wants the pieces in order, within the file, and as long as what the
// archive has of them. Empty ones, which mark the end, are taken out.
func checkMap(m *Member, stored int64) error {
	end, sum, kept := int64(0), int64(0), m.Pieces[:0]
	for _, p := range m.Pieces {
		past := addUp(p.Start, p.Size)
		if p.Start < end || p.Size < 0 || past < 0 || past > m.Size {
			return invalid("sparse map")
		}
		end, sum = past, sum+p.Size
		if p.Size > 0 {
			kept = append(kept, p)
		}
	}
	if m.Size < 0 || sum != stored {
		return invalid("sparse map of %d bytes for %d", sum, stored)
	}
	m.Pieces = kept
	return nil
}

// oldMap reads the map of old GNU tar: four pieces in the header, and more in
// blocks of their own behind it.
func (r *Reader) oldMap() (pieces []Piece, size int64, err error) {
	if !r.block.isGNU() {
		return nil, 0, invalid("a sparse file of an unknown format")
	}
	if size, err = number(r.block.field(483, 12)); err != nil {
		return nil, 0, invalid("size of a sparse file")
	}
	pieces, err = addOld(nil, r.block[386:482])
	for more := r.block[482] != 0; more && err == nil; more = r.block[504] != 0 {
		if _, err = io.ReadFull(r.in, r.block[:]); err != nil {
			if isEnd(err) {
				err = io.ErrUnexpectedEOF
			}
			break
		}
		pieces, err = addOld(pieces, r.block[:504])
	}
	return pieces, size, err
}

// addOld reads the pieces of one block, up to the first that is not there.
func addOld(pieces []Piece, b []byte) ([]Piece, error) {
	for ; len(b) >= 24 && b[12] != 0; b = b[24:] {
		start, err := number(b[:12])
		size, serr := number(b[12:24])
		if err != nil || serr != nil {
			return nil, invalid("sparse map")
		}
		if len(pieces) == MaxPieces {
			return nil, ErrPieces
		}
		pieces = append(pieces, Piece{start, size})
	}
	return pieces, nil
}

// paxMap reads the map of pax' formats.
func (r *Reader) paxMap(m *Member) error {
	size := r.own[keySparseSize]
	if size == "" {
		size = r.own[keySparseReal]
	}
	var err error
	if size != "" {
		if m.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return invalid("size %q of a sparse file", size)
		}
	}
	if r.own.sparseFormat() == mapInRecord {
		m.Pieces, err = parsePieces(r.own[keySparseMap])
		return err
	}
	m.Pieces, err = r.contentMap()
	return err
}

// parsePieces reads "START,SIZE,START,SIZE".
func parsePieces(s string) ([]Piece, error) {
	if s == "" {
		return nil, nil
	}
	count := strings.Count(s, ",") + 1
	switch {
	case count%2 != 0:
		return nil, invalid("sparse map")
	case count/2 > MaxPieces:
		return nil, ErrPieces
	}
	pieces := make([]Piece, 0, count/2)
	for s != "" {
		var start, size string
		start, s, _ = strings.Cut(s, ",")
		size, s, _ = strings.Cut(s, ",")
		p, err := parsePiece(start, size)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

func parsePiece(start, size string) (p Piece, err error) {
	if p.Start, err = strconv.ParseInt(start, 10, 64); err == nil {
		p.Size, err = strconv.ParseInt(size, 10, 64)
	}
	if err != nil {
		return p, invalid("sparse map")
	}
	return p, nil
}

// contentMap reads the map that stands before the pieces in the content: the
// number of pieces, then start and size of each, a line for each number, filled
// up to a block.
func (r *Reader) contentMap() ([]Piece, error) {
	lines := &lines{r: r}
	first, err := lines.next()
	if err != nil {
		return nil, err
	}
	count, perr := strconv.ParseUint(first, 10, 63)
	switch {
	case perr != nil:
		return nil, invalid("sparse map")
	case count > MaxPieces:
		return nil, ErrPieces
	}
	var pieces []Piece // count may claim more than there is
	for range count {
		start, err := lines.next()
		if err != nil {
			return nil, err
		}
		size, err := lines.next()
		if err != nil {
			return nil, err
		}
		p, err := parsePiece(start, size)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// lines reads lines from blocks of the content.
type lines struct {
	r    *Reader
	rest string
}

// maxLine is longer than any number.
const maxLine = 32

func (l *lines) next() (string, error) {
	for {
		line, rest, ok := strings.Cut(l.rest, "\n")
		if ok {
			l.rest = rest
			return line, nil
		}
		if len(l.rest) > maxLine {
			return "", invalid("sparse map")
		}
		if l.r.left < blockSize {
			return "", invalid("sparse map does not fit")
		}
		var block [blockSize]byte
		if _, err := io.ReadFull(l.r, block[:]); err != nil {
			if isEnd(err) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		l.rest += string(block[:])
	}
}
