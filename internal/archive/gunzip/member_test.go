package gunzip

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// lengthed is a member that tells its length.
func lengthed(t testing.TB, content []byte) []byte {
	out := bytes.NewBuffer(AppendHeader(nil))
	z, err := flate.NewWriter(out, 6)
	check(t, err)
	_, err = z.Write(content)
	check(t, err)
	check(t, z.Close())
	b := binary.LittleEndian.AppendUint32(out.Bytes(), crc32.ChecksumIEEE(content))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	SetLength(b)
	return b
}

func TestMemberLength(t *testing.T) {
	b := lengthed(t, []byte("content"))
	if n, ok := MemberLength(b[:HeaderSize]); !ok || n != int64(len(b)) {
		t.Errorf("%d, %v for %d bytes", n, ok, len(b))
	}
	got, err := readAll(bytes.NewReader(append(slices.Clone(b), b...)))
	check(t, err)
	same(t, got, []byte("contentcontent"))
	for i := range lengthAt { // the time too: then somebody else has made it
		c := slices.Clone(b)
		c[i] ^= 1
		if n, ok := MemberLength(c); ok {
			t.Errorf("byte %d differs: %d", i, n)
		}
	}
	for _, n := range []int{0, 10, HeaderSize - 1} {
		if _, ok := MemberLength(b[:n]); ok {
			t.Errorf("%d bytes are enough", n)
		}
	}
	short := AppendHeader(nil)
	SetLength(short)
	if _, ok := MemberLength(short); ok {
		t.Error("a member without a trailer has a length")
	}
}

func TestMembers(t *testing.T) {
	m := NewMembers()
	var dst []byte
	for _, n := range []int{0, 1, 5000, 200_000, 3} {
		want := append(bytes.Repeat([]byte("text "), n/10), random(n/2)...)
		got, err := m.Content(dst, lengthed(t, want), 1<<20)
		check(t, err)
		same(t, got, want)
		dst = got
	}
}

// TestMembersLikeReader holds that whatever is taken for a member would have
// been read as one.
func TestMembersLikeReader(t *testing.T) {
	m, rnd, took := NewMembers(), rand.New(rand.NewPCG(1, 2)), 0
	text := bytes.Repeat([]byte("some text "), 30)
	empty := lengthed(t, nil)
	for range 3000 {
		b := lengthed(t, text[:rnd.IntN(len(text))])
		switch rnd.IntN(6) {
		case 0:
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		case 1:
			b = b[:rnd.IntN(len(b))]
		case 2:
			b = append(b, make([]byte, 1+rnd.IntN(9))...)
		case 3:
			b = append(b, empty...)
		case 4:
			b = append(slices.Clone(empty), b...)
		}
		got, err := m.Content(nil, b, 200)
		want, werr := readAll(bytes.NewReader(b))
		if err != nil {
			continue
		}
		took++
		if same(t, got, want); werr != nil || len(got) > 200 {
			t.Fatalf("%x: %d bytes, and Reader says %v", b, len(got), werr)
		}
	}
	if took < 300 {
		t.Errorf("%d members were taken", took)
	}
}

func TestMembersRefuse(t *testing.T) {
	m, b := NewMembers(), lengthed(t, []byte("content"))
	empty := lengthed(t, nil)
	for name, c := range map[string][]byte{
		"nothing": nil, "cut": b[:len(b)-1], "two": append(slices.Clone(b), b...),
		"an empty one before": append(slices.Clone(empty), b...),
		"zeros behind":        append(slices.Clone(empty), 0, 0, 0, 0),
		"an empty one twice":  append(slices.Clone(empty), empty...),
	} {
		if _, err := m.Content(nil, c, 100); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := m.Content(nil, b, 6); err == nil {
		t.Error("more than was allowed")
	}
}

// TestReaderAfter holds that what may follow a member may follow one that was
// read otherwise.
func TestReaderAfter(t *testing.T) {
	b := lengthed(t, []byte("content"))
	for _, rest := range [][]byte{nil, {0}, {0, 0, 0}, {0, 0, 1}, {1}, b, b[:5], append([]byte{0}, b...),
		append(slices.Clone(b), 0)} {
		want, werr := readAll(bytes.NewReader(append(slices.Clone(b), rest...)))
		z, err := NewReaderAfter(bytes.NewReader(rest))
		check(t, err)
		got, err := io.ReadAll(z)
		if err != werr {
			t.Errorf("%x: %v, not %v", rest, err, werr)
		}
		same(t, append([]byte("content"), got...), want)
	}
}
