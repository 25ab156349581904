package gunzip

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// files are small and have blocks of all kinds, members, and all fields of a
// header.
func files(t testing.TB) map[string][]byte {
	all := map[string][]byte{}
	text := []byte(strings.Repeat("the quick brown fox; ", 2) + "jumps over the lazy dog")
	add := func(name string, level int, h gzip.Header, text []byte) {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, level)
		check(t, err)
		w.Header = h
		_, err = w.Write(text)
		check(t, err)
		check(t, w.Close())
		all[name] = b.Bytes()
	}
	add("stored", 0, gzip.Header{}, text)
	add("fixed", 9, gzip.Header{}, []byte("aaaaaaaaab"))
	add("dynamic", 9, gzip.Header{Name: "name", Comment: "comment", Extra: []byte("extra")}, append(random(30), text...))
	add("long codes", gzip.HuffmanOnly, gzip.Header{}, append(text, bytes.Repeat([]byte("z"), 300)...))
	all["members"] = slices.Concat(all["fixed"], all["stored"], all["fixed"])
	all["header CRC"] = slices.Concat(crcHeader(), []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	lits, _ := fixedLengths()
	w := (&bitWriter{}).put(2, 3).literals(lits, "ab").symbol(lits, endSymbol).put(3, 10)
	all["zeros are an end"] = member(w.b, []byte("ab"))
	return all
}

// cuts tells where a file may end: after each member.
func cuts(t *testing.T, b []byte) map[int]bool {
	ends := map[int]bool{}
	for src := bytes.NewReader(b); src.Len() > 0; ends[len(b)-src.Len()] = true {
		z, err := gzip.NewReader(src)
		check(t, err)
		z.Multistream(false)
		_, err = io.Copy(io.Discard, z)
		check(t, err)
	}
	return ends
}

func TestTruncated(t *testing.T) {
	for name, b := range files(t) {
		ends := cuts(t, b)
		whole, err := readAll(bytes.NewReader(b))
		check(t, err)
		for n := 1; n <= len(b); n++ {
			got, err := readAll(bytes.NewReader(b[:n]))
			if !bytes.HasPrefix(whole, got) {
				t.Errorf("%s, %d of %d bytes: %q, which is not of the content", name, n, len(b), got)
			}
			if want := map[bool]error{false: io.ErrUnexpectedEOF}[ends[n]]; err != want {
				t.Errorf("%s, %d of %d bytes: %v, not %v", name, n, len(b), err, want)
			}
		}
	}
	_, err := NewReader(bytes.NewReader(nil))
	fails(t, err, io.EOF)
}

// TestTruncatedBlocks has no trailers: only the blocks show that they were
// cut.
func TestTruncatedBlocks(t *testing.T) {
	for _, c := range allBlockCases() {
		whole, err := inflate(bytes.NewReader(c.w.b))
		if err != nil || len(whole) > 1000 {
			continue
		}
		for n := len(c.w.b) - 99/8 - 2; n >= 0; n-- {
			if _, err := inflate(bytes.NewReader(c.w.b[:n])); err != io.ErrUnexpectedEOF {
				t.Errorf("%s, %d of %d bytes: %v", c.name, n, len(c.w.b), err)
			}
		}
	}
}

// TestTruncatedToDamage has data of which an end, or what is behind it in the
// buffer, would make no sense: still, they have ended.
func TestTruncatedToDamage(t *testing.T) {
	lits := lengths(258, map[int]uint8{'a': 3, 'b': 3, endSymbol: 2, 257: 1})
	near, far := []uint8{1}, lengths(29, map[int]uint8{28: 1})
	ones := (&bitWriter{}).stored(0, bytes.Repeat([]byte{0xff}, 2000)).dynamic(1, lits, near)
	zeros := (&bitWriter{}).dynamic(1, lits, far)
	for _, w := range []*bitWriter{ones, zeros} {
		n := len(w.literals(lits, "a").b) // an odd number of bits
		for range 40 {
			if w == ones {
				w.match(lits, near, 3, 1)
			} else {
				w.literals(lits, "ab")
			}
		}
		for n++; n < len(w.b); n++ {
			if _, err := inflate(bytes.NewReader(w.b[:n])); err != io.ErrUnexpectedEOF {
				t.Errorf("%d of %d bytes: %v", n, len(w.b), err)
			}
		}
	}
}

func TestFlippedBits(t *testing.T) {
	for name, b := range files(t) {
		want, err := readAll(bytes.NewReader(b))
		check(t, err)
		passed := 0
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if got, err := readAll(bytes.NewReader(b)); err == nil {
				passed++
				same(t, got, want)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		if passed > len(b)*4 {
			t.Errorf("%s: %d of %d bits do not matter", name, passed, 8*len(b))
		}
	}
}

// TestSourceFails holds that an error of the source comes back as it is,
// wherever it comes and whichever it is.
func TestSourceFails(t *testing.T) {
	broken := errors.New("broken")
	for name, b := range files(t) {
		for n := range len(b) + 1 {
			for _, want := range []error{broken, io.ErrUnexpectedEOF, fmt.Errorf("wrapped %w", io.EOF)} {
				src := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(want))
				if _, err := readAll(src); err != want {
					t.Fatalf("%s, after %d of %d bytes: %v, not %v", name, n, len(b), err, want)
				}
			}
		}
	}
}

// TestSourceFailsLate has an error that comes with data, and one far into
// the file; what came long before is handed out.
func TestSourceFailsLate(t *testing.T) {
	broken := errors.New("broken")
	content := random(300_000)
	whole := compressors(t)["Go 6"](content)
	for _, n := range []int{1 << 10, inSize, inSize + 1, 2*inSize + 77, len(whole)} {
		src := iotest.DataErrReader(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken)))
		got, err := readAll(src)
		fails(t, err, broken)
		if len(got) < n-inSize-2000 || !bytes.HasPrefix(content, got) {
			t.Errorf("after %d bytes: %d", n, len(got))
		}
	}
}

// idle gives nothing, times times, before each byte.
type idle struct {
	r     io.Reader
	times int
	n     int
}

func (s *idle) Read(p []byte) (int, error) {
	if s.n++; s.n <= s.times {
		return 0, nil
	}
	s.n = 0
	return s.r.Read(p[:1])
}

func TestNoProgress(t *testing.T) {
	for times, want := range map[int]error{0: nil, 99: nil, 1 << 20: io.ErrNoProgress} {
		for name, b := range files(t) {
			if _, err := readAll(&idle{r: bytes.NewReader(b), times: times}); err != want {
				t.Errorf("%s, nothing %d times: %v, want %v", name, times, err, want)
			}
		}
	}
}
