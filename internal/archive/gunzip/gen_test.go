package gunzip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"
)

// bitWriter writes DEFLATE data that no compressor would.
type bitWriter struct {
	b []byte
	n int // bits in all
}

// put writes the lowest k bits of v, the lowest first.
func (w *bitWriter) put(v, k int) *bitWriter {
	for ; k > 0; v, k, w.n = v>>1, k-1, w.n+1 {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v & 1 << (w.n % 8))
	}
	return w
}

// code writes k bits of v, the highest first, as codes are.
func (w *bitWriter) code(v, k int) *bitWriter {
	for k--; k >= 0; k-- {
		w.put(v>>k, 1)
	}
	return w
}

// symbol writes the code of s, by the lengths of all codes.
func (w *bitWriter) symbol(lengths []uint8, s int) *bitWriter {
	code, own := 0, lengths[s]
	for i, l := range lengths {
		if l > 0 && (l < own || l == own && i < s) {
			code += 1 << (maxBits - l)
		}
	}
	return w.code(code>>(maxBits-own), int(own))
}

// literals writes a symbol for each byte.
func (w *bitWriter) literals(lengths []uint8, text string) *bitWriter {
	for _, c := range []byte(text) {
		w.symbol(lengths, int(c))
	}
	return w
}

// match writes a repetition.
func (w *bitWriter) match(lits, dists []uint8, length, distance int) *bitWriter {
	m := newMeanings()
	for _, part := range []struct {
		lengths  []uint8
		meanings []uint32
		first, v int
	}{{lits, m.lits[:maxLits], endSymbol + 1, length}, {dists, m.dists[:maxDists], 0, distance}} {
		s := len(part.meanings) - 1
		for ; int(part.meanings[s]>>valueShift) > part.v; s-- {
		}
		e := part.meanings[s]
		w.symbol(part.lengths, s).put(part.v-int(e>>valueShift), int(e&31))
	}
	return w
}

// stored writes a block.
func (w *bitWriter) stored(final int, b []byte) *bitWriter {
	w.put(final, 1).put(0, 2)
	w.n = 8 * len(w.b)
	w.put(len(b), 16).put(^len(b), 16)
	w.b = append(w.b, b...)
	w.n = 8 * len(w.b)
	return w
}

// header begins a dynamic block whose lengths are written by length.
func (w *bitWriter) header(final, lits, dists int) *bitWriter {
	w.put(final, 1).put(2, 2).put(lits-257, 5).put(dists-1, 5).put(15, 4)
	for _, s := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		w.put(4+s/13, 3)
	}
	return w
}

// length writes symbols of the lengths' own code, where 0 to 12 have 4
// bits, and 13 to 18 have 5.
func (w *bitWriter) length(symbols ...uint8) *bitWriter {
	for _, s := range symbols {
		if s < 13 {
			w.code(int(s), 4)
		} else {
			w.code(int(s)+13, 5)
		}
	}
	return w
}

// dynamic begins a block with these codes.
func (w *bitWriter) dynamic(final int, lits, dists []uint8) *bitWriter {
	return w.header(final, len(lits), len(dists)).length(lits...).length(dists...)
}

// lengths gives n codes, of which some have a length.
func lengths(n int, some map[int]uint8) []uint8 {
	l := make([]uint8, n)
	for s, v := range some {
		l[s] = v
	}
	return l
}

// split gives a complete set of codes of up to longest bits to n of size
// symbols. Deep ones are long.
func split(r *rand.Rand, n, size int, longest uint8, deep bool) []uint8 {
	leaves := []uint8{0}
	for len(leaves) < n {
		i := r.IntN(len(leaves))
		if deep && r.IntN(3) > 0 {
			i = len(leaves) - 1
		}
		if leaves[i] < longest {
			leaves[i]++
			leaves = append(leaves, leaves[i])
		}
	}
	all := make([]uint8, size)
	for i, s := range r.Perm(size)[:n] {
		all[s] = leaves[i]
	}
	return all
}

func random(n int) []byte {
	b, r := make([]byte, n), rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// member wraps DEFLATE data that decompress to content.
func member(data, content []byte) []byte {
	b := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), data...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(content))
	return binary.LittleEndian.AppendUint32(b, uint32(len(content)))
}

func readAll(src io.Reader) ([]byte, error) {
	z, err := NewReader(src)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// inflate decompresses data that are in no member.
func inflate(src io.Reader) (got []byte, err error) {
	var d inflater
	d.init(src)
	d.restart()
	for err == nil {
		d.makeRoom()
		err = d.inflate()
		got = append(got, d.out[d.r:d.w]...)
		d.r = d.w
	}
	if err == io.EOF {
		err = nil
	}
	return got, err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Fatalf("%d bytes, not %d; the first that differs is %d", len(got), len(want), i)
	}
}

func fails(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, not %v", err, want)
	}
}
