package gunzip

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// head is a member's header with these flags, and what they say follows.
func head(flags byte, follows string) []byte {
	return append([]byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3}, follows...)
}

// crcHeader has every field.
func crcHeader() []byte {
	b := head(flagHeaderCRC|flagExtra|flagName|flagComment|1, "\x03\x00a\x00bname\x00\x00")
	return binary.LittleEndian.AppendUint16(b, uint16(crc32.ChecksumIEEE(b)))
}

func TestHeaders(t *testing.T) {
	body := member([]byte{1, 1, 0, 0xfe, 0xff, 'x'}, []byte("x"))[10:]
	changed := func(b []byte, at int) []byte {
		b[at]++
		return b
	}
	for name, c := range map[string]struct {
		header []byte
		err    error
	}{
		"plain":             {head(0, ""), nil},
		"text":              {head(1, ""), nil},
		"extra":             {head(flagExtra, "\x03\x00abc"), nil},
		"extra, empty":      {head(flagExtra, "\x00\x00"), nil},
		"extra, most":       {head(flagExtra, "\xff\xff"+strings.Repeat("e", 65535)), nil},
		"name":              {head(flagName, "n\x00"), nil},
		"names, empty":      {head(flagName|flagComment, "\x00\x00"), nil},
		"comment":           {head(flagComment, "comment\x00"), nil},
		"extra, then name":  {head(flagExtra|flagName, "\x02\x00\x00\x01n\x00"), nil},
		"checksum":          {crcHeader(), nil},
		"checksum, wrong":   {changed(crcHeader(), 22), ErrHeader},
		"checksum, content": {changed(crcHeader(), 5), ErrHeader},
		"first byte":        {changed(head(0, ""), 0), ErrHeader},
		"second byte":       {changed(head(0, ""), 1), ErrHeader},
		"method":            {changed(head(0, ""), 2), ErrHeader},
		"flag 5":            {head(1<<5, ""), ErrHeader},
		"flag 6":            {head(1<<6, ""), ErrHeader},
		"flag 7":            {head(1<<7, ""), ErrHeader},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range [][]byte{nil, member([]byte{3, 0}, nil)} {
				got, err := readAll(iotest.HalfReader(bytes.NewReader(slices.Concat(before, c.header, body))))
				fails(t, err, c.err)
				if err == nil {
					same(t, got, []byte("x"))
				}
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	one := member([]byte{1, 1, 0, 0xfe, 0xff, 'x'}, []byte("x"))
	empty := member([]byte{3, 0}, nil)
	zeros := make([]byte, inSize+5000)
	for name, c := range map[string]struct {
		b    []byte
		want string
		err  error
	}{
		"members":               {slices.Concat(one, one), "xx", nil},
		"empty members":         {slices.Concat(empty, one, empty, empty, one, empty), "xx", nil},
		"many empty members":    {slices.Concat(bytes.Repeat(empty, 3000), one), "x", nil},
		"a zero":                {slices.Concat(one, zeros[:1]), "x", nil},
		"zeros":                 {slices.Concat(one, zeros[:512]), "x", nil},
		"zeros beyond buffers":  {slices.Concat(one, zeros), "x", nil},
		"zeros, then garbage":   {slices.Concat(one, zeros, []byte{1}), "x", ErrHeader},
		"a zero, then a member": {slices.Concat(one, zeros[:1], one), "x", ErrHeader},
		"a byte of garbage":     {slices.Concat(one, []byte{1}), "x", ErrHeader},
		"garbage":               {slices.Concat(one, random(100)), "x", ErrHeader},
		"zeros alone":           {zeros[:100], "", ErrHeader},
	} {
		t.Run(name, func(t *testing.T) {
			for _, src := range []io.Reader{bytes.NewReader(c.b), iotest.OneByteReader(bytes.NewReader(c.b))} {
				got, err := readAll(src)
				fails(t, err, c.err)
				same(t, got, []byte(c.want))
			}
		})
	}
}

func TestChecksums(t *testing.T) {
	content := bytes.Repeat([]byte("content"), 50_000)
	good := compressors(t)["Go 6"](content)
	for i := 1; i <= 8; i++ {
		bad := slices.Clone(good)
		bad[len(bad)-i] ^= 0x10
		for _, b := range [][]byte{bad, slices.Concat(bad, good), slices.Concat(good, bad)} {
			_, err := readAll(bytes.NewReader(b))
			fails(t, err, ErrChecksum)
		}
	}
	got, err := readAll(bytes.NewReader(slices.Concat(good, good)))
	check(t, err)
	same(t, got, slices.Concat(content, content))
}

// TestDistanceOverMembers holds that a member does not repeat what another
// one has, nor when what it has itself was moved.
func TestDistanceOverMembers(t *testing.T) {
	lits, dists := fixedLengths()
	for _, before := range []int{3, window, outSize - slack - 100, 2 * outSize} {
		b := compressors(t)["Go 0"](random(before))
		for _, own := range []int{0, 1, 2, 200, window - 1} {
			w := (&bitWriter{}).stored(0, random(own))
			w.put(3, 3).match(lits, dists, 3, own+1).symbol(lits, endSymbol)
			got, err := readAll(bytes.NewReader(slices.Concat(b, member(w.b, nil))))
			if fails(t, err, ErrData); len(got) != before+own {
				t.Errorf("%d bytes, not %d", len(got), before+own)
			}
		}
	}
}

// measured tells at its end how much more memory is in use than at its
// beginning.
type measured struct {
	io.Reader
	before, after uint64
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if m.before == 0 || err == io.EOF {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		if m.after = s.HeapAlloc; m.before == 0 {
			m.before = s.HeapAlloc
		}
	}
	return n, err
}

func TestLongName(t *testing.T) {
	names := append(bytes.Repeat([]byte("n"), 1<<20), 0)
	b := slices.Concat(head(flagName|flagComment, ""), names, names, []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, n := range []int{len(b), 1 << 20} {
		m := &measured{Reader: bytes.NewReader(b[:n])}
		_, err := readAll(m)
		if want := map[bool]error{false: io.ErrUnexpectedEOF}[n == len(b)]; err != want {
			t.Errorf("%d bytes: %v, not %v", n, err, want)
		}
		if m.after > m.before+256<<10 {
			t.Errorf("%d bytes more are in use", m.after-m.before)
		}
	}
}
