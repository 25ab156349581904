package gunzip

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"slices"
	"testing"
)

const untouched = ^uint32(0)

// lookUp finds a symbol as symbols does, and the bits of its code.
func lookUp(table []uint32, tableBits int, next uint32) (e, l uint32) {
	e = table[next&(1<<tableBits-1)]
	if e&exception != 0 && e>>valueShift != 0 {
		l = e & 31
		e = table[e>>valueShift+next>>l&(1<<(e>>8&15)-1)]
	}
	return e, l + e&31
}

// built makes a table in which the meaning of a symbol is its number, looks
// up each code with other bits behind it, and returns the entries it has
// taken.
func built(t *testing.T, tableBits, size int, lengths []uint8) int {
	t.Helper()
	table, numbers := slices.Repeat([]uint32{untouched}, size), make([]uint32, len(lengths))
	for i := range numbers {
		numbers[i] = literal | uint32(i)<<valueShift
	}
	if !build(table, tableBits, lengths, numbers) {
		t.Fatalf("no codes of these lengths: %v", lengths)
	}
	for s, l := range lengths {
		if l == 0 {
			continue
		}
		code := (&bitWriter{}).symbol(lengths, s).put(0, 16).b
		for _, rest := range []uint32{0, 1<<16 - 1, 0x5555} {
			next := uint32(code[0]) | uint32(code[1])<<8 | rest<<l
			if e, n := lookUp(table, tableBits, next); e&^literal>>valueShift != uint32(s) || n != uint32(l) {
				t.Fatalf("code of symbol %d gives %#x, of %d bits and not %d", s, e, n, l)
			}
		}
	}
	used := len(table)
	for ; table[used-1] == untouched; used-- {
	}
	if i := slices.Index(table[:used], untouched); i >= 0 {
		t.Fatalf("entry %d of %d is left out", i, used)
	}
	return used
}

func TestBuildAnyCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	second := 0
	for i := range 600 {
		deep := i%2 == 0
		if built(t, litBits, litSize, split(r, 2+r.IntN(287), 288, maxBits, deep)) > 1<<litBits {
			second++
		}
		if built(t, distBits, distSize, split(r, 2+r.IntN(31), 32, maxBits, deep)) > 1<<distBits {
			second++
		}
		built(t, lengthBits, 1<<lengthBits, split(r, 2+r.IntN(18), 19, lengthBits, deep))
	}
	if second < 300 {
		t.Errorf("only %d of the tables had second ones", second)
	}
}

// counted gives so many codes of each length.
func counted(counts ...int) (lengths []uint8) {
	for l, n := range counts {
		lengths = append(lengths, slices.Repeat([]uint8{uint8(l)}, n)...)
	}
	return lengths
}

// TestBuildLargest has the codes that need the most entries, as a search over
// all sets of lengths has found.
func TestBuildLargest(t *testing.T) {
	for _, c := range []struct{ bits, size, need int }{{litBits, litSize, 2342}, {distBits, distSize, 402}} {
		lengths := counted(0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 3, 221, 57, 2)
		if c.bits == distBits {
			lengths = counted(0, 1, 1, 1, 1, 1, 1, 0, 0, 3, 1, 17, 1, 1, 1, 2)
		}
		if used := built(t, c.bits, c.size, lengths); used != c.need {
			t.Errorf("%d codes take %d entries, not %d", len(lengths), used, c.need)
		}
	}
}

func TestBuildBadCodes(t *testing.T) {
	var table [distSize]uint32
	accepts := func(lengths []uint8) bool {
		return build(table[:], distBits, lengths, make([]uint32, len(lengths)))
	}
	for _, lengths := range [][]uint8{{}, {0, 0}, {1}, {0, 1, 0}} {
		if !accepts(lengths) || table[1] != exception || table[1<<distBits-1] != exception {
			t.Errorf("codes of %v: %#x", lengths, table[1])
		}
	}
	for _, lengths := range [][]uint8{{2}, {15}, {1, 2}, {1, 1, 1}, {1, 1, 15}, {2, 2, 2}, {0, 1, 3, 3, 3}} {
		if accepts(lengths) {
			t.Errorf("there are codes of %v", lengths)
		}
	}
	r := rand.New(rand.NewPCG(4, 5))
	for range 300 {
		lengths := split(r, 3+r.IntN(28), 32, maxBits, true)
		for s, l := range lengths {
			if lengths[s] = 0; l > 0 && accepts(lengths) {
				t.Fatalf("one code is not there, of %d bits: %v", l, lengths)
			}
			if lengths[s] = l - 1; l > 1 && accepts(lengths) {
				t.Fatalf("one code is shorter than its %d bits: %v", l, lengths)
			}
			lengths[s] = l
		}
	}
}

// TestLongCodes has bytes that are as frequent as Fibonacci's numbers, which
// takes codes of all lengths.
func TestLongCodes(t *testing.T) {
	var content []byte
	for i, a, b := 0, 1, 1; i < 22; i, a, b = i+1, b, a+b {
		content = append(content, bytes.Repeat([]byte{byte(i * 11)}, a)...)
	}
	rand.New(rand.NewPCG(6, 7)).Shuffle(len(content), func(i, j int) {
		content[i], content[j] = content[j], content[i]
	})
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.HuffmanOnly)
	check(t, err)
	_, err = w.Write(content)
	check(t, err)
	check(t, w.Close())
	z, err := NewReader(&b)
	check(t, err)
	var got []byte
	links := false
	for p := make([]byte, 1000); err == nil; {
		var n int
		n, err = z.Read(p)
		got = append(got, p[:n]...)
		for _, e := range z.lits[:1<<litBits] {
			links = links || e&exception != 0 && e>>valueShift != 0
		}
	}
	same(t, got, content)
	if !links {
		t.Error("no code was longer than the first table's")
	}
}
