package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"stretcher/internal/archive/index"
)

// cutter cuts the stream into members. Small files come into groups. A large
// file is cut into pieces where its content says so, so that most of the pieces
// of two versions are the same, also behind what was put in: a host that has the
// one fetches little of the other. No header is in a piece, because the time of
// a file changes by itself.
type cutter struct {
	line  *line
	made  *index.Builder
	most  int64 // of a group, and half of it behind early
	total int64 // of the stream, without what part has
	least int   // of a piece
	part  []byte
	isOf  kind // what comes next
	gears *gears
	trial *trial // of the large file that is written; nil = none
	hash  uint64 // of the content's last bytes
	err   error  // the first stays
}

// kind is what is written.
type kind int

const (
	ofFrame kind = iota
	ofSmall      // file's content
	ofLarge
)

// group makes room for an entry with that much content: a small one comes to
// the others, as long as that is not too much. A group of at least half of that
// ends before an entry whose name says so. So groups begin at the same names again
// soon after a file that has become longer: by their lengths alone, all groups
// behind it would be other ones.
func (c *cutter) group(path string, size int64) {
	if size > c.most/2 { // only its header comes to them
		size = 0
	}
	most := c.most
	if c.total >= early {
		most /= 2
	}
	if n := int64(len(c.part)); n > 0 && n+size > most || n >= most/2 && isSeam(path, size) {
		_ = c.cut() // which keeps its error
	}
}

// isSeam tells whether a group may end before an entry: as one in four does of 4
// KiB and more, and by far fewer of smaller ones, which groups have many of. All
// groups of those would be half ones else.
func isSeam(path string, size int64) bool {
	const header, most = 512, 1 << 14 // of 1<<16
	sum := sha256.Sum256([]byte(path))
	size += header
	return int64(binary.BigEndian.Uint16(sum[:])) < min(size*size>>10, most)
}

// begin says that what comes next is a content.
func (c *cutter) begin(size int64) error {
	if c.isOf = ofSmall; size <= c.most/2 {
		return nil
	}
	err := c.cut()
	if c.isOf = ofLarge; size >= tried {
		c.trial = &trial{done: make(chan struct{})}
	}
	return err
}

// end says that the content is over.
func (c *cutter) end() { c.isOf, c.trial = ofFrame, nil }

// Write takes what comes next of the stream.
func (c *cutter) Write(p []byte) (int, error) {
	if c.isOf == ofFrame && c.err == nil {
		c.err = c.made.Frame(p)
	}
	for rest := p; len(rest) > 0 && c.err == nil; {
		n, whole := min(len(rest), maxPiece-len(c.part)), false
		if c.isOf == ofLarge {
			n, whole = c.chop(rest[:n])
		}
		c.part, rest = append(c.part, rest[:n]...), rest[n:]
		if whole || len(c.part) == maxPiece {
			_ = c.cut()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	return len(p), nil
}

// gears are numbers for the values of a byte: any, but always the same.
type gears [256]uint64

func newGears() *gears {
	g := &gears{}
	random := rand.NewPCG(0, 0)
	for i := range g {
		g[i] = random.Uint64()
	}
	return g
}

// chop tells how many of these bytes belong to the piece, and whether it ends
// there: where the last 64 bytes have a hash with 16 zeros, which is each 64 KiB
// on average, wherever the piece began.
func (c *cutter) chop(p []byte) (n int, whole bool) {
	skip := min(len(p), max(0, c.least-64-len(c.part)))
	for i, b := range p[skip:] {
		c.hash = c.hash<<1 + c.gears[b]
		if c.hash>>48 == 0 && len(c.part)+skip+i+1 >= c.least {
			return skip + i + 1, true
		}
	}
	return len(p), false
}

// cut ends the member.
func (c *cutter) cut() error {
	if len(c.part) > 0 && c.err == nil {
		c.total += int64(len(c.part))
		c.err = c.line.add(c.part, c.trial)
		c.part, c.hash = nil, 0
	}
	return c.err
}
