package gunzip

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	kp "github.com/klauspost/compress/gzip"
)

// contents has what compresses to blocks of all kinds, and ends close to
// where out is full.
func contents() map[string][]byte {
	text := []byte(strings.Repeat("It was the best of times, it was the worst of times. ", 300))
	noise := random(100_000)
	far := slices.Concat(noise[:window], noise[:300], noise[:40_000], noise[:300], text, noise[:300])
	all := map[string][]byte{
		"empty": nil, "byte": {'x'}, "text": text, "zeros": make([]byte, 200_000), "noise": noise, "far": far,
		"mixture": slices.Concat(text, noise, make([]byte, 70_000), far, text, noise[50_000:], text),
	}
	for n := 1; n <= 40; n++ {
		all[fmt.Sprintf("period %d", n)] = bytes.Repeat(noise[:n], 2000/n)
	}
	for _, n := range []int{maxLength, window, inSize, outSize - slack, outSize, outSize + 128<<10} {
		for d := range 2 {
			all[fmt.Sprintf("size %d", n+d)] = bytes.Repeat(random(7919), 40)[:n+d]
		}
	}
	return all
}

// compressors are Go's, another one, and the tool itself.
func compressors(t *testing.T) map[string]func([]byte) []byte {
	all := map[string]func([]byte) []byte{}
	for _, level := range []int{gzip.HuffmanOnly, 0, 1, 6, 9} {
		w, err := gzip.NewWriterLevel(nil, level)
		check(t, err)
		all[fmt.Sprint("Go ", level)] = func(b []byte) []byte { return write(t, w, b) }
		other, err := kp.NewWriterLevel(nil, level)
		check(t, err)
		all[fmt.Sprint("klauspost ", level)] = func(b []byte) []byte { return write(t, other, b) }
	}
	tool, err := exec.LookPath("gzip")
	if err != nil {
		return all
	}
	for _, level := range []string{"-1", "-9"} {
		all["gzip "+level] = func(b []byte) []byte {
			cmd := exec.Command(tool, level)
			cmd.Stdin = bytes.NewReader(b)
			out, err := cmd.Output()
			check(t, err)
			return out
		}
	}
	return all
}

type resettable interface {
	io.WriteCloser
	Reset(io.Writer)
}

func write(t *testing.T, w resettable, b []byte) []byte {
	var to bytes.Buffer
	w.Reset(&to)
	_, err := w.Write(b)
	check(t, err)
	check(t, w.Close())
	return to.Bytes()
}

func TestRead(t *testing.T) {
	contents := contents()
	for writer, compress := range compressors(t) {
		t.Run(writer, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(contents)) {
				got, err := readAll(bytes.NewReader(compress(contents[name])))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				same(t, got, contents[name])
			}
		})
	}
}

// TestReadPieces has the input and the content in small pieces.
func TestReadPieces(t *testing.T) {
	want := contents()["mixture"]
	whole := compressors(t)["Go 6"](want)
	var all bytes.Buffer
	z, err := NewReader(bytes.NewReader(whole))
	check(t, err)
	if n, err := z.Read(nil); n != 0 || err != nil {
		t.Errorf("nothing read: %d, %v", n, err)
	}
	_, err = io.CopyBuffer(&all, iotest.OneByteReader(z), make([]byte, 1))
	check(t, err)
	same(t, all.Bytes(), want)
	for _, from := range []func(io.Reader) io.Reader{
		iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
	} {
		check(t, iotest.TestReader(mustOpen(t, from(bytes.NewReader(whole))), want))
	}
}

func mustOpen(t *testing.T, r io.Reader) *Reader {
	z, err := NewReader(r)
	check(t, err)
	return z
}

// TestReadStops holds that nothing comes after the end, and that errors stay.
func TestReadStops(t *testing.T) {
	good := member([]byte{3, 0}, nil)
	for want, b := range map[error][]byte{
		io.EOF: good, io.ErrUnexpectedEOF: good[:len(good)-1], ErrHeader: slices.Concat(good, []byte{1}),
		ErrData: member([]byte{7}, nil), ErrChecksum: member([]byte{3, 0}, []byte{1}),
	} {
		z := mustOpen(t, bytes.NewReader(b))
		for range 3 {
			n, err := z.Read(make([]byte, 10))
			fails(t, err, want)
			if n != 0 {
				t.Errorf("%d bytes with %v", n, err)
			}
		}
	}
}

// TestReadAnyBlocks compares what random blocks decompress to with what they
// were made of: codes of all lengths, repetitions of all lengths and
// distances.
func TestReadAnyBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for range 15 {
		var w bitWriter
		var want []byte
		for range 20 {
			want = anyBlock(r, &w, want)
		}
		w.put(3, 10)
		got, err := inflate(iotest.HalfReader(bytes.NewReader(w.b)))
		check(t, err)
		same(t, got, want)
	}
}

// anyBlock writes a random block and returns the content with it.
func anyBlock(r *rand.Rand, w *bitWriter, content []byte) []byte {
	lits, dists := fixedLengths()
	switch deep := r.IntN(2) == 0; r.IntN(4) {
	case 0:
		b := random(r.IntN(2000))
		w.stored(0, b)
		return append(content, b...)
	case 1:
		w.put(0, 1).put(1, 2)
	default:
		lits, dists = split(r, maxLits, maxLits, maxBits, deep), split(r, maxDists, maxDists, maxBits, deep)
		w.dynamic(0, lits, dists)
	}
	for range r.IntN(1500) {
		if c := r.IntN(256); r.IntN(3) > 0 || len(content) == 0 {
			w.symbol(lits, c)
			content = append(content, byte(c))
			continue
		}
		distance := 1 + r.IntN(1+r.IntN(min(window, len(content))))
		length := 3 + r.IntN(1+r.IntN(maxLength-2))
		w.match(lits, dists, length, distance)
		for range length {
			content = append(content, content[len(content)-distance])
		}
	}
	w.symbol(lits, endSymbol)
	return content
}

// TestReadFarthest repeats the oldest bytes there are, wherever out is full.
func TestReadFarthest(t *testing.T) {
	lits, dists := fixedLengths()
	want := random(window)
	w := (&bitWriter{}).stored(0, want)
	for i := range 1600 {
		w.put(0, 1).put(1, 2).match(lits, dists, maxLength, window).match(lits, dists, 3+i%256, window)
		for range maxLength + 3 + i%256 {
			want = append(want, want[len(want)-window])
		}
		w.symbol(lits, endSymbol).stored(0, want[i:i+i%50])
		want = append(want, want[i:i+i%50]...)
	}
	got, err := inflate(bytes.NewReader(w.put(3, 10).b))
	check(t, err)
	same(t, got, want)
}

// TestReadLastRoom has the longest that a round can write just before out is
// full.
func TestReadLastRoom(t *testing.T) {
	lits, dists := fixedLengths()
	noise := random(65535)
	for free := range 4 {
		for _, distance := range []int{1, 8, 300} {
			for length := maxLength - 2; length <= maxLength; length++ {
				var w bitWriter
				var want []byte
				for room := outSize - slack - free; len(want) < room; {
					b := noise[:min(len(noise), room-len(want))]
					w.stored(0, b)
					want = append(want, b...)
				}
				w.put(3, 3).literals(lits, "ab").match(lits, dists, length, distance).symbol(lits, endSymbol)
				want = append(want, "ab"...)
				for range length {
					want = append(want, want[len(want)-distance])
				}
				got, err := inflate(bytes.NewReader(w.put(0, 999).b))
				check(t, err)
				same(t, got, want)
			}
		}
	}
}
