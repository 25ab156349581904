package gunzip

import (
	"fmt"
	"io"
)

const (
	// window is how far back a distance goes at most.
	window = 32 << 10
	// slack is what is free in out before a symbol is looked at: a length, and
	// what is written beyond it.
	slack   = maxLength + 38
	outSize = window + 128<<10 + slack

	maxLength = 258
	endSymbol = 256
	// maxLits and maxDists are how many literals and lengths, and how many
	// distances have a meaning.
	maxLits  = 286
	maxDists = 30
)

// inflater decompresses the data of one member after the other.
type inflater struct {
	input
	out   []byte
	r, w  int // out[r:w] has not been read yet
	base  int // in out, where the member's content begins, or has been thrown away before
	final bool
	// The block is one of symbols, or has this many stored bytes left, or is
	// over.
	coded  bool
	stored int
	*tables
	own, fixed *tables // those of a block with lengths of its own, and of all without
	meanings   meanings
}

// tables are what the codes of a block are looked up in.
type tables struct {
	lits  [litSize]uint32
	dists [distSize]uint32
}

func (d *inflater) init(src io.Reader) {
	d.src, d.buf, d.out = src, make([]byte, inSize+padding), make([]byte, outSize)
	d.meanings, d.own = newMeanings(), &tables{}
}

// restart makes ready for the data of a member.
func (d *inflater) restart() {
	d.base, d.final, d.coded, d.stored = d.w, false, false, 0
}

// makeRoom moves what distances refer to to the beginning of out when it is
// full. All of it has been read.
func (d *inflater) makeRoom() {
	if past := d.w - window; d.isFull() {
		copy(d.out, d.out[past:d.w])
		d.r, d.w, d.base = window, window, max(d.base-past, 0)
	}
}

func (d *inflater) isFull() bool { return d.w > len(d.out)-slack }

// inflate decompresses until out is full, or to the end of the data: io.EOF.
func (d *inflater) inflate() error {
	for !d.isFull() {
		var err error
		switch {
		case d.stored > 0:
			err = d.store()
		case d.coded:
			err = d.code()
		case d.final:
			return io.EOF
		default:
			err = d.block()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// store copies stored bytes. They are whole bytes of the input: no bits are
// left of the one before.
func (d *inflater) store() error {
	if d.pos >= d.end {
		if err := d.fill(); err != nil {
			return err
		}
		if d.end == 0 {
			return io.ErrUnexpectedEOF
		}
	}
	n := copy(d.out[d.w:min(d.w+d.stored, len(d.out))], d.in[d.pos:d.end])
	d.w += n
	d.pos += n
	d.stored -= n
	return nil
}

// code decodes symbols until out is full or the block ends.
func (d *inflater) code() error {
	for {
		before := d.w
		why := d.symbols()
		err := d.settle()
		switch {
		case err != nil:
			d.w = before // some of it may be of the padding
			return err
		case why == damaged:
			return d.damage("a code or distance that there is not")
		case why == blockEnd:
			d.coded = false
			return nil
		case d.isFull():
			return nil
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

func (d *inflater) damage(what string) error { return fmt.Errorf("%w: %s", ErrData, what) }

// block reads the header of a block, RFC 1951 section 3.2.3.
func (d *inflater) block() error {
	d.final = d.take(1) == 1
	kind := d.take(2)
	var ok bool
	switch kind {
	case 0:
		d.align()
		n := d.take(16)
		ok = d.take(16) == n^0xffff
		d.stored = int(n)
	case 1:
		d.tables, d.coded, ok = d.fixedTables(), true, true
	case 2:
		d.tables, d.coded = d.own, true
		ok = d.make(d.dynamicLengths())
	}
	if err := d.settle(); err != nil {
		return err
	}
	if !ok {
		return d.damage("the header of a block")
	}
	return nil
}

// make fills the tables by the lengths of the codes.
func (d *inflater) make(lits, dists []uint8) bool {
	return len(lits) > endSymbol && lits[endSymbol] > 0 &&
		build(d.lits[:], litBits, lits, d.meanings.lits[:]) &&
		build(d.dists[:], distBits, dists, d.meanings.dists[:])
}

// fixedTables are made once: a block of ten bits would take most of its time
// to make them.
func (d *inflater) fixedTables() *tables {
	if d.fixed == nil {
		d.fixed = &tables{}
		d.tables = d.fixed
		d.make(fixedLengths())
	}
	return d.fixed
}

// fixedLengths are those of section 3.2.6.
func fixedLengths() (lits, dists []uint8) {
	lits, dists = make([]uint8, 288), make([]uint8, 32)
	for i := range lits {
		switch {
		case i < 144, i >= 280:
			lits[i] = 8
		case i < 256:
			lits[i] = 9
		default:
			lits[i] = 7
		}
	}
	for i := range dists {
		dists[i] = 5
	}
	return lits, dists
}

// dynamicLengths reads those of section 3.2.7; nil when they mean nothing.
func (d *inflater) dynamicLengths() (lits, dists []uint8) {
	nLits, nDists, nCodes := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if nLits > maxLits || nDists > maxDists {
		return nil, nil
	}
	var codes [19]uint8
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:nCodes] {
		codes[i] = uint8(d.take(3))
	}
	var table [1 << lengthBits]uint32
	if !build(table[:], lengthBits, codes[:], d.meanings.lengths[:]) {
		return nil, nil
	}
	all := make([]uint8, 0, maxLits+maxDists)
	for len(all) < nLits+nDists {
		value, n := d.length(table[:], all)
		if n == 0 || len(all)+n > nLits+nDists {
			return nil, nil
		}
		for range n {
			all = append(all, value)
		}
	}
	return all[:nLits], all[nLits:]
}

// length reads a code of the lengths, and what it says: n times value. It
// means nothing if n is 0.
func (d *inflater) length(table []uint32, before []uint8) (value uint8, n int) {
	d.need(lengthBits)
	e := table[d.bits&(1<<lengthBits-1)]
	if e&exception != 0 || d.fail != nil {
		return 0, 0
	}
	d.drop(uint8(e & 31))
	switch symbol := e >> valueShift; symbol {
	case 16:
		n = int(d.take(2)) + 3
		if len(before) == 0 {
			return 0, 0
		}
		return before[len(before)-1], n
	case 17:
		return 0, int(d.take(3)) + 3
	case 18:
		return 0, int(d.take(7)) + 11
	default:
		return uint8(symbol), 1
	}
}
