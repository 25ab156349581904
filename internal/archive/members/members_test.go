package members

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written is an archive of random members by archive/tar, in one of its
// formats.
func written(t *testing.T, rnd *rand.Rand, format tar.Format) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	types := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeChar}
	for range 1 + rnd.IntN(8) {
		h := &tar.Header{Typeflag: types[rnd.IntN(len(types))], Name: randomName(rnd), Format: format,
			Mode: int64(rnd.IntN(0o10000)), Uid: rnd.IntN(1 << (1 + rnd.IntN(21))), Gid: rnd.IntN(1 << (1 + rnd.IntN(21))),
			Uname: []string{"", "daemon"}[rnd.IntN(2)], ModTime: time.Unix(rnd.Int64N(1<<33), 0)}
		if format == tar.FormatPAX {
			h.ModTime = time.Unix(rnd.Int64N(1<<40)-1<<39, rnd.Int64N(1e9))
			h.Uid = rnd.IntN(math.MaxInt32)
		}
		content := ""
		switch h.Typeflag {
		case tar.TypeReg:
			content = strings.Repeat("x", rnd.IntN(3)*rnd.IntN(700))
			h.Size = int64(len(content))
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = randomName(rnd)
		}
		if w.WriteHeader(h) != nil {
			continue // more than the format holds
		}
		_, err := io.WriteString(w, content)
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}

func randomName(rnd *rand.Rand) string {
	parts := []string{"dir", strings.Repeat("long", 20), "caf\xc3\xa9", "a b", strings.Repeat("n", 200)}
	name := parts[rnd.IntN(4)]
	for range rnd.IntN(4) {
		name += "/" + parts[rnd.IntN(len(parts))]
	}
	return name
}

// TestAsArchiveTar reads what archive/tar writes as archive/tar reads it.
func TestAsArchiveTar(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	entries := 0
	for i := range 600 {
		format := []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU}[i%3]
		b := written(t, rnd, format)
		theirs, ours := tar.NewReader(bytes.NewReader(b)), NewReader(bytes.NewReader(b))
		for {
			h, err := theirs.Next()
			m, oerr := ours.Next()
			if err != oerr {
				t.Fatalf("%v, archive/tar %v", oerr, err)
			}
			if err == io.EOF {
				break
			}
			sameMember(t, m, h)
			want, err := io.ReadAll(theirs)
			check(t, err)
			got, err := io.ReadAll(ours)
			check(t, err)
			if entries++; !bytes.Equal(got, want) {
				t.Fatalf("%q: %d bytes, want %d", m.Name, len(got), len(want))
			}
		}
		if ours.End() != Marked {
			t.Errorf("ends by %v", ours.End())
		}
	}
	if entries < 1000 {
		t.Errorf("only %d entries", entries)
	}
}

func sameMember(t *testing.T, m *Member, h *tar.Header) {
	t.Helper()
	name := h.Uname
	if h.PAXRecords["uid"] != "" {
		name = ""
	}
	got := fmt.Sprintf("%c %q %q %d %o %d:%d %q %v", m.Type, m.Name, m.Link, m.Size, m.Mode, m.UID, m.GID, m.Uname,
		time.Unix(m.Sec, m.Nsec))
	want := fmt.Sprintf("%c %q %q %d %o %d:%d %q %v", h.Typeflag, h.Name, h.Linkname, h.Size, h.Mode, h.Uid, h.Gid,
		name, h.ModTime)
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestNumbers(t *testing.T) {
	for field, want := range map[string]int64{
		"0000644\x00": 0o644, "644 \x00\x00\x00\x00": 0o644, "   644 \x00": 0o644, "\x00000644\x00": 0o644,
		"00000644":       0o644,
		"\x00\x00000644": 0, "        ": 0, "\x00\x00\x00\x00": 0, "12\x00junk": 0o12, "12 junk": 0o12,
		"\x80\x00\x00\x00\x00\x00\x01\x02": 258, "\xff\xff\xff\xff\xff\xff\xff\xfe": -2,
		"\x80\x7f\xff\xff\xff\xff\xff\xff\xff": 0x7fffffffffffffff,
	} {
		if got, err := number([]byte(field)); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", field, got, err, want)
		}
	}
	for _, field := range []string{"12x\x00", "9", "-1", "+1", "0x1", "7777777777777777777777777",
		"\x80\x80\x00\x00\x00\x00\x00\x00\x00",
		"\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if got, err := number([]byte(field)); err == nil {
			t.Errorf("%q: got %d", field, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[string]time.Time{
		"0": time.Unix(0, 0), "5": time.Unix(5, 0), "5.": time.Unix(5, 0), "5.25": time.Unix(5, 25e7), "-5": time.Unix(-5,
			0),
		"-5.25": time.Unix(-6, 75e7), "-0.5": time.Unix(-1, 5e8), "1.1234567899": time.Unix(1, 123456789),
	} {
		if sec, nsec, err := seconds(s); err != nil || !time.Unix(sec, nsec).Equal(want) {
			t.Errorf("%s: got %v %v, %v, want %v", s, sec, nsec, err, want)
		}
	}
	for _, s := range []string{"", ".", ".5", "x", "5.x", "5.1.2", "1e9", "99999999999999999999",
		"-9223372036854775808.5"} {
		if _, _, err := seconds(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestRecords(t *testing.T) {
	for s, ok := range map[string]bool{
		"": true, "6 a=b\n": true, "5 a=\n": true, "10 path=f\n": true, "10 path=f\n6 a=b\n": true, "6 a=b\n\n": false,
		"7 a=b\n": false,
		"5 a=b\n": false, "a=b\n": false, "6 a b\n": false, "5 =b\n": false, "-6 a=b\n": false, "12 path=a\x00b\n": false,
		"99999999999999999999 a=b\n": false, "3 \n": false, "6 a=bx": false, "2\n": false,
	} {
		if _, err := parseRecords(s); (err == nil) != ok || err != nil && !errors.Is(err, ErrHeader) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// FuzzReader holds that nothing panics or goes on for ever, and that content is
// as long as it claims.
func FuzzReader(f *testing.F) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 8 {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		check(f, w.WriteHeader(&tar.Header{Name: randomName(rnd), Format: tar.FormatPAX, ModTime: time.Unix(1, 5), Size: 3}))
		_, err := io.WriteString(w, "abc")
		check(f, err)
		check(f, w.Close())
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := 0; i+blockSize <= len(b); i += blockSize { // few changes get past the checksum
			copy(b[i+148:], "        ")
			sum := 0
			for _, c := range b[i : i+blockSize] {
				sum += int(c)
			}
			copy(b[i+148:], fmt.Sprintf("%06o\x00 ", sum))
		}
		r := NewReader(bytes.NewReader(b))
		for n := 0; ; n++ {
			m, err := r.Next()
			if err != nil {
				break
			}
			claimed := r.Left()
			got, err := io.Copy(io.Discard, r)
			if err == nil && got != claimed || n > len(b)/blockSize || m.Size < 0 || len(m.Pieces) > len(b)/2 {
				t.Fatalf("%d bytes of %d, %v, entry %d, %+v", got, claimed, err, n, m)
			}
		}
	})
}

// TestSums compares the sums of headers with those made byte by byte.
func TestSums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var h header
		for i, most := 0, 1+random.IntN(256); i < len(h); i++ {
			h[i] = byte(256 - most + random.IntN(most))
		}
		var plain, signed int64
		for i, c := range h {
			if i >= 148 && i < 156 {
				c = ' '
			}
			plain, signed = plain+int64(c), signed+int64(int8(c))
		}
		if p, s := h.sums(); p != plain || s != signed {
			t.Fatalf("%x: %d and %d, want %d and %d", h, p, s, plain, signed)
		}
	}
}
