package gunzip

import "io"

const (
	inSize = 64 << 10
	// padding is how many zeros are put after the end of the input, so that the
	// symbols close to the end need no code of their own. Whether more was taken
	// than there was is found afterwards.
	padding = 64
	// ahead is how many bytes symbols looks at in one round.
	ahead = 16
)

// input is the compressed file as bits: the lowest of each byte comes first.
type input struct {
	src  io.Reader
	buf  []byte
	in   []byte // of buf; the padding too when the input has ended
	pos  int    // in in, of the first byte that is not in bits
	end  int    // in in, where the padding begins
	done bool   // src has ended
	bits uint64 // the next ones; what is above n of them is 0, or as it comes next
	n    uint8  // how many of bits have been taken from in
	fail error  // io.ErrUnexpectedEOF, or src's own; all bits are 0 then
}

// settle gives whole bytes back, and finds whether more were taken than
// there are.
func (p *input) settle() error {
	p.pos -= int(p.n >> 3)
	p.n &= 7
	p.bits &= 1<<p.n - 1
	if p.fail == nil && p.done && p.pos > p.end {
		p.fail = io.ErrUnexpectedEOF
	}
	return p.fail
}

// fill gets more of the input into in: at least 1 KiB, or all that is left
// and the padding.
func (p *input) fill() error {
	if err := p.settle(); err != nil {
		return err
	}
	n := copy(p.buf, p.in[p.pos:p.end])
	// Not by io.ReadAtLeast: one could not tell its io.ErrUnexpectedEOF from
	// that of a download that was cut off.
	for tries := 0; !p.done && n < 1<<10; tries++ {
		more, err := p.src.Read(p.buf[n:inSize])
		if n += more; more > 0 {
			tries = 0
		} else if err == nil && tries == 100 {
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			p.done = true
		} else if err != nil {
			p.fail = err
			return err
		}
	}
	p.in, p.pos, p.end = p.buf[:n], 0, n
	if p.done {
		p.in = p.buf[:n+padding]
		clear(p.in[n:])
	}
	return nil
}

// need makes n at least k, which is at most 32.
func (p *input) need(k uint8) {
	for p.n < k {
		if p.pos == len(p.in) && p.fill() != nil {
			p.bits, p.n = 0, 32
			return
		}
		p.bits |= uint64(p.in[p.pos]) << p.n
		p.pos++
		p.n += 8
	}
}

// take returns the next k bits, at most 32; the first one is the lowest.
func (p *input) take(k uint8) uint32 {
	p.need(k)
	v := uint32(p.bits & (1<<k - 1))
	p.drop(k)
	return v
}

// drop takes k bits of those that are there.
func (p *input) drop(k uint8) {
	p.bits >>= k
	p.n -= k
}

// align goes to the next byte.
func (p *input) align() { p.drop(p.n & 7) }

// next takes a byte, if there is one more.
func (p *input) next() (byte, bool) {
	if p.settle() != nil {
		return 0, false
	}
	if p.pos >= p.end {
		if p.done || p.fill() != nil || p.end == 0 {
			return 0, false
		}
	}
	b := byte(p.take(8))
	return b, p.fail == nil
}

// fault is why there is nothing more: err, if the input has just ended.
func (p *input) fault(err error) error {
	if p.fail != nil {
		return p.fail
	}
	return err
}
