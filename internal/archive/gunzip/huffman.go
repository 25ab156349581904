package gunzip

import "math/bits"

// Tables are looked up by the next bits of the input. Codes that are longer
// than a table's bits are found in second tables behind it, which it links to.
const (
	litBits    = 11
	distBits   = 8
	lengthBits = 7 // no second table: these codes are not longer

	// What a table and its second tables need at most is 2342 and 402, as enough.c
	// of zlib counts for 288 symbols and 11 bits, 32 and 8. Powers of 2 need no
	// check when they are indexed.
	litSize  = 4096
	distSize = 512

	maxBits = 15
)

// An entry of a table says what a code stands for:
//
//	bits 0 to 4    how many bits to take: of the code, and those after it that
//	               are part of a length or distance
//	bits 8 to 11   the bits of the code alone; of a link, by how many bits its
//	               second table is looked up
//	bits 16 to 30  the literal; the least length or distance; where the second
//	               table is
//
// and these flags. An exception that is neither the end nor a link (its value
// is 0) stands for nothing.
const (
	literal    = 1 << 31
	exception  = 1 << 14
	end        = 1 << 13
	valueShift = 16
)

// meanings are entries without the bits of the codes, by symbol: RFC 1951
// sections 3.2.5 and 3.2.7.
type meanings struct {
	lits    [288]uint32
	dists   [32]uint32
	lengths [19]uint32
}

func newMeanings() (m meanings) {
	for i := range endSymbol {
		m.lits[i] = literal | uint32(i)<<valueShift
	}
	m.lits[endSymbol] = exception | end
	least := uint32(3)
	for i := range uint32(28) {
		extra := max(i/4, 1) - 1
		m.lits[endSymbol+1+i] = least<<valueShift | extra
		least += 1 << extra
	}
	m.lits[maxLits-1] = maxLength << valueShift
	m.lits[maxLits], m.lits[maxLits+1] = exception, exception
	least = 1
	for i := range uint32(maxDists) {
		extra := max(i/2, 1) - 1
		m.dists[i] = least<<valueShift | extra
		least += 1 << extra
	}
	m.dists[maxDists], m.dists[maxDists+1] = exception, exception
	for i := range uint32(len(m.lengths)) {
		m.lengths[i] = i << valueShift
	}
	return m
}

// build fills a table by the lengths of the symbols' codes, RFC 1951 section
// 3.2.2; false when there are no such codes.
func build(table []uint32, tableBits int, lengths []uint8, meanings []uint32) bool {
	b := builder{table: table, bits: tableBits, prefix: -1, free: 1 << tableBits}
	for _, l := range lengths {
		b.left[l]++
	}
	b.left[0] = 0
	if !b.check() {
		return false
	}
	var sorted [288]uint16
	code, last := 0, 0
	for _, symbol := range b.sort(lengths, &sorted) {
		l := int(lengths[symbol])
		code <<= l - last
		b.add(int(bits.Reverse16(uint16(code))>>(16-l)), l, meanings[symbol])
		code, last = code+1, l
	}
	return true
}

// builder adds codes to a table, shorter ones first.
type builder struct {
	table []uint32
	bits  int
	left  [maxBits + 1]int // by length, how many codes are still to come
	// The second table in work is for the codes that begin with prefix. It is
	// looked up by second bits.
	prefix, start, second int
	free                  int // where the next one begins
}

// check tells whether there are codes of these lengths, and that no other code
// is possible. There may be none, or one of one bit: a block of literals
// has no distances. What is possible then and not there stands for nothing.
func (b *builder) check() bool {
	room, codes := 1, 0
	for _, n := range b.left[1:] {
		room = room<<1 - n
		codes += n
		if room < 0 {
			return false
		}
	}
	if room == 0 {
		return true
	}
	for i := range b.table[:1<<b.bits] {
		b.table[i] = exception
	}
	return codes == b.left[1] && codes <= 1
}

// sort returns the symbols that have a code, in the order of their codes.
func (b *builder) sort(lengths []uint8, sorted *[288]uint16) []uint16 {
	var at [maxBits + 2]int
	for l, n := range b.left {
		at[l+1] = at[l] + n
	}
	for symbol, l := range lengths {
		if l > 0 {
			sorted[at[l]] = uint16(symbol)
			at[l]++
		}
	}
	return sorted[:at[maxBits]]
}

// add puts a code of l bits, the first one the lowest, into each place that
// is looked up by it and some more bits.
func (b *builder) add(code, l int, meaning uint32) {
	table, size := b.table, 1<<b.bits
	if l > b.bits {
		if prefix := code & (size - 1); prefix != b.prefix {
			b.link(prefix, l)
		}
		code >>= b.bits
		l -= b.bits
		table, size = b.table[b.start:], 1<<b.second
		b.left[l+b.bits]--
	}
	for e := meaning + uint32(l) + uint32(l)<<8; code < size; code += 1 << l {
		table[code] = e
	}
}

// link begins a second table, as large as the codes from now on need it: all
// that begin with prefix, the first of them of l bits.
func (b *builder) link(prefix, l int) {
	b.prefix, b.start, b.second = prefix, b.free, l-b.bits
	for codes := b.left[l]; codes < 1<<b.second; {
		b.second++
		codes = codes<<1 + b.left[b.bits+b.second]
	}
	b.free += 1 << b.second
	b.table[prefix] = exception | uint32(b.start)<<valueShift | uint32(b.second)<<8 | uint32(b.bits)
}
