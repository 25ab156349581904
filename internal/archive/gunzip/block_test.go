package gunzip

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// blockCase is DEFLATE data, and what they decompress to, or why they don't.
type blockCase struct {
	name string
	w    *bitWriter
	want string
	err  error
}

func storedCases() []blockCase {
	noise := random(200_000)
	over := &bitWriter{}
	for i := range 3 {
		over.stored(i/2, noise[i*65535:(i+1)*65535])
	}
	lits, _ := fixedLengths()
	bits := (&bitWriter{}).put(0, 1).put(1, 2).literals(lits, "\xff").symbol(lits, endSymbol)
	wrong := (&bitWriter{}).stored(1, []byte("abc"))
	wrong.b[4] ^= 0x80
	return []blockCase{
		{"stored", (&bitWriter{}).stored(1, []byte("abc")), "abc", nil},
		{"stored, length 0", (&bitWriter{}).stored(0, nil).stored(1, nil), "", nil},
		{"stored over boundaries", over, string(noise[:3*65535]), nil},
		{"stored after bits", bits.stored(0, []byte("abc")).stored(1, []byte("d")), "\xffabcd", nil},
		{"stored, wrong complement", wrong, "", ErrData},
		{"stored, complement is the length", (&bitWriter{}).put(1, 8).put(3, 16).put(3, 16).put(0, 99), "", ErrData},
		{"kind 3", (&bitWriter{}).put(7, 3).put(0, 99), "", ErrData},
		{"kind 3, not final", (&bitWriter{}).put(6, 3).put(0, 99), "", ErrData},
	}
}

func fixedCases() []blockCase {
	lits, dists := fixedLengths()
	begin := func(text string) *bitWriter { return (&bitWriter{}).put(3, 3).literals(lits, text) }
	end := func(w *bitWriter) *bitWriter { return w.symbol(lits, endSymbol).put(0, 99) }
	cases := []blockCase{
		{"fixed", end(begin("ab\x90")), "ab\x90", nil},
		{"fixed, repeats", end(begin("ab").match(lits, dists, 5, 2).match(lits, dists, 3, 7)), "abababaaba", nil},
		{"fixed, longest", end(begin("x").match(lits, dists, maxLength, 1)), strings.Repeat("x", 259), nil},
		{"fixed, 258 by extra bits", end(begin("x").symbol(lits, 284).put(31, 5).symbol(dists, 0)),
			strings.Repeat("x", 259), nil},
		{"too far at the start", end(begin("").match(lits, dists, 3, 1)), "", ErrData},
		{"too far by one", end(begin("abc").match(lits, dists, 3, 4)), "abc", ErrData},
		{"too far by all", end(begin("abc").match(lits, dists, 3, window)), "abc", ErrData},
	}
	one := lengths(257, map[int]uint8{'-': 1, endSymbol: 1})
	mixed := (&bitWriter{}).put(2, 3).literals(lits, "ab").symbol(lits, endSymbol).
		dynamic(0, one, []uint8{0}).literals(one, "--").symbol(one, endSymbol).
		put(3, 3).literals(lits, "cd").match(lits, dists, 5, 6)
	cases = append(cases, blockCase{"fixed after dynamic after fixed", end(mixed), "ab--cdab--c", nil})
	for _, s := range []int{286, 287} {
		cases = append(cases, blockCase{"fixed, symbol", end(begin("abc").symbol(lits, s).symbol(dists, 0)), "abc", ErrData})
	}
	for _, s := range []int{30, 31} {
		cases = append(cases, blockCase{"fixed, distance",
			end(begin("abc").symbol(lits, 257).symbol(dists, s)), "abc", ErrData})
	}
	return cases
}

func dynamicCases() []blockCase {
	lits := lengths(258, map[int]uint8{'a': 2, 'b': 2, endSymbol: 2, 257: 2})
	one, two, none := []uint8{1}, []uint8{1, 1}, []uint8{0}
	begin := func(lits, dists []uint8) *bitWriter {
		return (&bitWriter{}).dynamic(1, lits, dists).literals(lits, "ab")
	}
	end := func(w *bitWriter) *bitWriter { return w.symbol(lits, endSymbol).put(0, 99) }
	repeat := func(w *bitWriter) *bitWriter { return w.symbol(lits, 257) }
	return []blockCase{
		{"dynamic", end(repeat(begin(lits, two)).symbol(two, 1)), "ababa", nil},
		{"one distance of one bit", end(repeat(begin(lits, one)).put(0, 1)), "abbbb", nil},
		{"one distance of one bit, the other bit", end(repeat(begin(lits, one)).put(1, 1)), "ab", ErrData},
		{"second distance of one bit", end(repeat(begin(lits, []uint8{0, 1})).put(0, 1)), "ababa", nil},
		{"one distance of two bits", end(begin(lits, []uint8{2})), "", ErrData},
		{"no distances, literals only", end(begin(lits, none)), "ab", nil},
		{"no distances, a repetition", end(repeat(begin(lits, none)).put(0, 1)), "ab", ErrData},
		{"only an end", (&bitWriter{}).dynamic(1, lengths(257, map[int]uint8{256: 1}), none).put(0, 99), "", nil},
		{"only an end, the other bit", (&bitWriter{}).dynamic(1, lengths(257, map[int]uint8{256: 1}), none).put(1, 99),
			"", ErrData},
		{"no end", begin(lengths(257, map[int]uint8{'a': 1, 'b': 1}), none).put(0, 99), "", ErrData},
		{"no literals", (&bitWriter{}).dynamic(1, lengths(257, nil), none).put(0, 99), "", ErrData},
		{"literals, incomplete", end(begin(lengths(257, map[int]uint8{'a': 2, 'b': 2, endSymbol: 2}), none)), "", ErrData},
		{"literals, too many", end(begin(lengths(257, map[int]uint8{'a': 1, 'b': 1, endSymbol: 1}), none)), "", ErrData},
		{"distances, incomplete", end(begin(lits, []uint8{2, 2, 2})), "", ErrData},
		{"distances, too many", end(begin(lits, []uint8{1, 1, 1})), "", ErrData},
		{"287 literals", end(begin(append(lits, make([]uint8, 29)...), one)), "", ErrData},
		{"286 literals", end(begin(append(lits, make([]uint8, 28)...), one)), "ab", nil},
		{"31 distances", end(begin(lits, append([]uint8{1}, make([]uint8, 30)...))), "", ErrData},
		{"30 distances", end(begin(lits, append([]uint8{1}, make([]uint8, 29)...))), "ab", nil},
	}
}

// lengthCases are dynamic blocks whose lengths are repeated: "a", an end,
// and a distance or two.
func lengthCases() []blockCase {
	open := func(dists int) *bitWriter { return (&bitWriter{}).header(1, 257, dists) }
	to := func(w *bitWriter, s uint8, zeros int) *bitWriter { return w.length(s).put(zeros-11, 7) }
	begin := func(dists int) *bitWriter { return to(to(open(dists), 18, 97).length(1), 18, 138).length(18).put(9, 7) }
	text := func(w *bitWriter) *bitWriter { return w.put(2, 2).put(0, 99) } // a, end
	codes := func(code func(w *bitWriter)) *bitWriter {
		w := (&bitWriter{}).put(5, 3).put(0, 10).put(15, 4)
		code(w)
		return w.put(0, 99)
	}
	return []blockCase{
		{"repeats of zeros", text(begin(1).length(1, 1)), "a", nil},
		{"repeat over the two sets", text(begin(2).length(1, 0, 17)), "", ErrData},
		{"repeat of the one before", text(begin(9).length(1, 1, 1, 16).put(0, 2).length(17).put(1, 3)), "", ErrData},
		{"repeat of zeros before", text(begin(7).length(1, 1, 0, 16).put(2, 2)), "a", nil},
		{"repeat of zeros, more", text(begin(13).length(1, 1, 0, 18).put(0, 7)), "a", nil},
		{"repeat from the literals",
			text(to(to(open(3), 18, 97).length(1), 18, 138).length(18).put(9, 7).length(1, 16).put(0, 2)), "", ErrData},
		{"repeat without one before", text(open(1).length(16).put(0, 2)), "", ErrData},
		{"repeat beyond the end by one", text(begin(4).length(1, 1, 0, 17).put(0, 3)), "", ErrData},
		{"repeat to the end", text(begin(4).length(1, 1, 17).put(0, 3)), "a", nil},
		{"repeat far beyond the end", text(begin(1).length(1, 18).put(127, 7)), "", ErrData},
		{"lengths, no codes", codes(func(w *bitWriter) { w.put(0, 57) }), "", ErrData},
		{"lengths, incomplete", codes(func(w *bitWriter) { w.put(0, 9).put(2, 3).put(2, 3).put(0, 42) }), "", ErrData},
		{"lengths, too many", codes(func(w *bitWriter) { w.put(1, 3).put(1, 3).put(1, 3).put(0, 48) }), "", ErrData},
		{"lengths, one code", codes(func(w *bitWriter) { w.put(0, 9).put(1, 3).put(0, 300) }), "", ErrData},
	}
}

func allBlockCases() []blockCase {
	return slices.Concat(storedCases(), fixedCases(), dynamicCases(), lengthCases())
}

func TestBlocks(t *testing.T) {
	for _, c := range allBlockCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, src := range []io.Reader{bytes.NewReader(c.w.b), iotest.OneByteReader(bytes.NewReader(c.w.b))} {
				got, err := inflate(src)
				fails(t, err, c.err)
				same(t, got, []byte(c.want))
			}
		})
	}
}

// TestBlocksAfterAnother holds that nothing of a block's tables is left for
// the next one.
func TestBlocksAfterAnother(t *testing.T) {
	lits, dists := fixedLengths()
	for _, c := range allBlockCases() {
		w := (&bitWriter{}).put(0, 1).put(1, 2).literals(lits, "x").match(lits, dists, maxLength, 1).symbol(lits, endSymbol)
		before := strings.Repeat("x", 1+maxLength)
		for i := range 8 * len(c.w.b) {
			w.put(int(c.w.b[i/8]>>(i%8)), 1)
		}
		if strings.HasPrefix(c.name, "stored") || strings.HasPrefix(c.name, "too far") {
			continue // other bits stand before the length, and there is more to repeat
		}
		got, err := inflate(bytes.NewReader(w.b))
		if fails(t, err, c.err); string(got) != before+c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestFixedTablesAreMadeOnce: a block of ten bits would otherwise take 3 µs.
func TestFixedTablesAreMadeOnce(t *testing.T) {
	var d inflater
	d.init(bytes.NewReader(nil))
	first := d.fixedTables()
	if n := testing.AllocsPerRun(10, func() {
		if d.fixedTables() != first {
			t.Error("the tables of fixed blocks were made again")
		}
	}); n != 0 {
		t.Errorf("%.0f allocations for tables that are there", n)
	}
}
