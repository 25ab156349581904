package gunzip

import "encoding/binary"

// ending is why symbols has returned.
type ending int

const (
	starved  ending = iota // no input, or no room in out
	blockEnd               // the block is over
	damaged                // a code that stands for nothing, or a distance that goes back too far
)

// symbols decodes symbols of a block, as many as there are bytes in in and
// there is room in out. It is the loop that unpacking a .tar.gz spends its time
// in: all that it changes is in variables of its own, nothing in it is called
// (to take a literal is written out, since a loop costs 3 %), and what it looks
// up for the next round does not wait for this one's copy.
//
// A round begins with 56 bits or more. It takes at most 11 for each of two
// literals, and 20 for a length; then, of 56 again, 28 for a distance. So the
// 11 that the next round's first symbol is looked up by are always there.
func (d *inflater) symbols() ending {
	in, out, lits, dists := d.in, d.out, &d.tables.lits, &d.tables.dists
	bits, n, pos, w := d.bits, d.n, d.pos, d.w
	inLast, outLast := len(in)-ahead, len(out)-slack
	if pos > inLast {
		return starved
	}
	bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
	pos += int((63 - n) >> 3)
	n |= 56
	why, e := starved, lits[bits&(1<<litBits-1)]
	for pos <= inLast && w <= outLast {
		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		if e&literal != 0 {
			bits >>= e & 31
			n -= uint8(e)
			out[w] = byte(e >> valueShift)
			w++
			e = lits[bits&(1<<litBits-1)]
			if e&literal != 0 {
				bits >>= e & 31
				n -= uint8(e)
				out[w] = byte(e >> valueShift)
				w++
				e = lits[bits&(1<<litBits-1)]
			}
		}
		if e&exception != 0 && e>>valueShift != 0 { // a link
			bits >>= e & 31
			n -= uint8(e)
			e = lits[(uint64(e>>valueShift)+bits&(1<<(e>>8&15)-1))&(litSize-1)]
		}
		if e&literal != 0 {
			bits >>= e & 31
			n -= uint8(e)
			out[w] = byte(e >> valueShift)
			w++
			e = lits[bits&(1<<litBits-1)]
			continue
		}
		if e&exception != 0 {
			if why = damaged; e&end != 0 {
				bits >>= e & 31
				n -= uint8(e)
				why = blockEnd
			}
			break
		}
		length := int(e>>valueShift) + int(bits&^(^uint64(0)<<(e&31))>>(e>>8&15))
		bits >>= e & 31
		n -= uint8(e)

		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		x := dists[bits&(1<<distBits-1)]
		if x&exception != 0 && x>>valueShift != 0 { // a link
			bits >>= x & 31
			n -= uint8(x)
			x = dists[(uint64(x>>valueShift)+bits&(1<<(x>>8&15)-1))&(distSize-1)]
		}
		distance := int(x>>valueShift) + int(bits&^(^uint64(0)<<(x&31))>>(x>>8&15))
		bits >>= x & 31
		n -= uint8(x)
		e = lits[bits&(1<<litBits-1)]
		from, to := w-distance, w+length
		if x&exception != 0 || from < d.base {
			why = damaged
			break
		}
		for ; distance < 8 && w < to; w, from = w+1, from+1 {
			out[w] = out[from]
		}
		for ; w < to; w, from = w+8, from+8 { // up to 7 bytes too many
			binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:]))
		}
		w = to
	}
	d.bits, d.n, d.pos, d.w = bits, n, pos, w
	return why
}
