package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents are those of the sample's files.
var contents = []string{"first", strings.Repeat("second ", 1000), "third"}

// sample is an index of three files, whose stream is what it says.
func sample(t testing.TB) (x *Index, stream string) {
	t.Helper()
	b, err := NewBuilder()
	check(t, err)
	for i, c := range contents {
		head := fmt.Sprintf("[header %d]%s", i, strings.Repeat("-", 70_000*(i%2)))
		check(t, b.Frame([]byte(head)))
		check(t, b.Content(fmt.Sprintf("dir/file%d", i), int64(len(c))))
		b.Digest(sha256.Sum256([]byte(c)))
		stream += head + c
	}
	check(t, b.Frame([]byte("[end]")))
	stream += "[end]"
	for part := range slices.Chunk([]byte(stream), 30_000) {
		b.Member(len(part)/10, len(part), sha256.Sum256(part))
	}
	x, err = b.Finish(sha256.Sum256([]byte("archive")))
	check(t, err)
	return x, stream
}

func TestDecode(t *testing.T) {
	x, stream := sample(t)
	data := x.Encode()
	got, err := Decode(data)
	check(t, err)
	if !bytes.Equal(got.Encode(), data) {
		t.Error("it is written otherwise than it was read")
	}
	if got.Archive != x.Archive || got.Size != x.Size || got.Stream != int64(len(stream)) ||
		!slices.Equal(got.Members, x.Members) || !slices.Equal(got.Files, x.Files) {
		t.Errorf("read %+v, written %+v", got, x)
	}
	for i, f := range got.Files {
		if stream[f.Start:f.Start+f.Size] != contents[i] {
			t.Errorf("%q lies elsewhere", f.Path)
		}
	}
}

// opener gives contents from memory.
func opener(contents []string) func(i int) (io.ReadCloser, error) {
	return func(i int) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(contents[i])), nil }
}

func TestRebuild(t *testing.T) {
	x, stream := sample(t)
	r := x.Rebuild(opener(contents))
	got, err := io.ReadAll(r)
	check(t, err)
	if check(t, r.Close()); string(got) != stream {
		t.Error("another stream")
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		open func(i int) (io.ReadCloser, error)
		want error
	}{
		"shorter": {opener([]string{"first", "second", "third"}), ErrContent},
		"other":   {opener([]string{"First", contents[1], "third"}), ErrContent},
		"none":    {func(int) (io.ReadCloser, error) { return nil, broken }, broken},
	} {
		r := x.Rebuild(c.open)
		if got, err := io.ReadAll(r); !errors.Is(err, c.want) || !strings.HasPrefix(stream, string(got)) {
			t.Errorf("%s: %v after %d bytes", name, err, len(got))
		}
		check(t, r.Close())
	}
	r = x.Rebuild(opener([]string{"first and more", contents[1] + "x", "third"}))
	if got, err := io.ReadAll(r); err != nil || string(got) != stream {
		t.Errorf("longer contents: %v", err) // what is behind is none of it
	}
}

func TestWithin(t *testing.T) {
	x, stream := sample(t)
	for start := int64(0); start < int64(len(stream)); start += 997 {
		for _, n := range []int64{1, 10, 29_999, 30_000, 30_001, int64(len(stream)) - start} {
			n = min(n, int64(len(stream))-start)
			first, last := x.Within(start, n)
			a, b := x.Members[first], x.Members[last-1]
			if a.Start > start || start >= a.Start+int64(a.Unpacked) || b.Start >= start+n ||
				b.Start+int64(b.Unpacked) < start+n {
				t.Fatalf("%d bytes at %d: members %d to %d", n, start, first, last)
			}
		}
	}
}

// TestCut holds that no part of an index is one.
func TestCut(t *testing.T) {
	x, _ := sample(t)
	data := x.Encode()
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := Decode(append(data, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a byte behind it: %v", err)
	}
}

// part is a piece of a frame as a liar writes it.
type part struct {
	frame string
	size  uint64
	path  string
}

// frameOf compresses parts.
func frameOf(t testing.TB, parts ...part) []byte {
	var b []byte
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p.frame))), p.frame...)
		if b = binary.AppendUvarint(b, p.size); p.size > 0 {
			b = append(binary.AppendUvarint(b, uint64(len(p.path))), p.path...)
		}
	}
	z, err := zstd.NewWriter(nil)
	check(t, err)
	return z.EncodeAll(b, nil)
}

// lying is an index of one member, with a stream of that length and that many
// files, whatever its frame has.
func lying(t testing.TB, stream int64, files int, parts ...part) Index {
	return Index{Size: 5, Stream: stream, Members: []Member{{Length: 5, Unpacked: int(stream)}},
		Files: make([]File, files), frame: frameOf(t, parts...)}
}

// hostile are indexes that contradict themselves, or ask for too much.
func hostile(t testing.TB) map[string]Index {
	dashes := func(n int) part { return part{frame: strings.Repeat("-", n)} }
	all := map[string]Index{
		"a huge content":      lying(t, MaxMember+1, 0, dashes(1)),
		"content outside":     lying(t, 100, 1, part{"h", 100, "f"}),
		"content far outside": lying(t, 100, 1, part{"h", 1<<64 - 1, "f"}),
		"sizes overflow":      lying(t, 100, 2, part{"h", math.MaxInt64, "f"}, part{"h", math.MaxInt64, "g"}),
		"fewer files":         lying(t, 100, 2, part{"h", 99, "f"}),
		"more files":          lying(t, 100, 1, part{"h", 49, "f"}, part{"h", 49, "f"}),
		"frame too short":     lying(t, 100, 0, dashes(99)),
		"frame too long":      lying(t, 100, 0, dashes(101)),
		"frame goes on":       lying(t, 100, 0, dashes(99), dashes(1)),
		"empty pieces":        lying(t, 100, 0, part{}, part{}, dashes(100)),
		"a long chunk":        lying(t, chunk+1, 0, dashes(chunk+1)),
	}
	change := func(name string, f func(x *Index)) {
		x := lying(t, 100, 0, dashes(100))
		if name != "" {
			f(&x)
			all[name] = x
		} else if _, err := Decode(x.Encode()); err != nil {
			t.Fatalf("unchanged: %v", err)
		}
	}
	change("", nil)
	change("no members", func(x *Index) { x.Members = nil })
	change("too short", func(x *Index) { x.Size++ })
	change("too long", func(x *Index) { x.Stream-- })
	change("a huge archive", func(x *Index) { x.Size, x.Stream = math.MaxInt64, math.MaxInt64 })
	change("a huge member", func(x *Index) { x.Size, x.Members[0].Length = MaxMember+1, MaxMember+1 })
	change("an empty member", func(x *Index) { x.Members = append(x.Members, Member{}) })
	change("no frame", func(x *Index) { x.frame = nil })
	change("not compressed", func(x *Index) { x.frame = []byte("frame") })
	change("a frame behind it", func(x *Index) { x.frame = append(x.frame, frameOf(t, dashes(1))...) })
	change("junk behind it", func(x *Index) { x.frame = append(x.frame, "junk"...) })
	for _, path := range []string{"", "/", "/etc/passwd", "..", "../f", "a/../f", "a/..", ".", "./f", "a//f", "a/",
		"a\x00f", strings.Repeat("n", MaxPath+1)} {
		all[fmt.Sprintf("path %.20q", path)] = lying(t, 100, 1, part{"h", 9, path}, dashes(90))
	}
	if x := lying(t, 100, 1, part{"h", 9, "..a/b.."}, dashes(90)); checkDecode(x) != nil {
		t.Fatalf("a good path: %v", checkDecode(x))
	}
	return all
}

func checkDecode(x Index) error {
	_, err := Decode(x.Encode())
	return err
}

func TestHostile(t *testing.T) {
	for name, x := range hostile(t) {
		if got, err := Decode(x.Encode()); got != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClaims holds that what is claimed takes no memory, and what is
// compressed well takes little.
func TestClaims(t *testing.T) {
	x, _ := sample(t)
	data := x.Encode()
	counts := len(magic) + len(Sum{}) // and the sizes
	for _, n := range []int64{x.Size, x.Stream} {
		counts += len(binary.AppendUvarint(nil, uint64(n)))
	}
	if int(data[counts]) != len(x.Members) {
		t.Fatal("the number of members stands elsewhere")
	}
	million := slices.Concat(data[:counts], binary.AppendUvarint(nil, 1e6), data[counts+1:])
	bomb := lying(t, 100, 0)
	z, err := zstd.NewWriter(nil)
	check(t, err)
	bomb.frame = z.EncodeAll(make([]byte, 64<<20), nil)
	for name, data := range map[string][]byte{"a million": million, "zeros": bomb.Encode()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(data)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrInvalid) || took > 16<<20 {
			t.Errorf("%s: %v, after %d bytes of memory", name, err, took)
		}
	}
}

// FuzzDecode holds that what is read fits together, and is written as it was
// read.
func FuzzDecode(f *testing.F) {
	x, _ := sample(f)
	f.Add(x.Encode())
	for _, x := range hostile(f) {
		f.Add(x.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := Decode(data)
		if err != nil {
			if x != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("%v, %v", x, err)
			}
			return
		}
		if !bytes.Equal(x.Encode(), data) {
			t.Error("it is written otherwise than it was read")
		}
		at, pos := int64(0), int64(0)
		for _, m := range x.Members {
			if m.Offset != at || m.Start != pos || m.Length < 1 || m.Unpacked < 1 {
				t.Errorf("a member at %d, %d: %+v", at, pos, m)
			}
			at, pos = at+int64(m.Length), pos+int64(m.Unpacked)
		}
		end := int64(0)
		for _, f := range x.Files {
			if f.Start < end || f.Size < 1 || f.Size > x.Stream-f.Start || checkPath(f.Path) != nil {
				t.Errorf("a file behind %d of %d: %+v", end, x.Stream, f)
			}
			end = f.Start + f.Size
		}
	})
}

// BenchmarkDecode reads an index of a million files.
func BenchmarkDecode(b *testing.B) {
	made, err := NewBuilder()
	check(b, err)
	head := make([]byte, 1024)
	for i := range 1_000_000 {
		copy(head, fmt.Sprintf("directory%04d/file%06d", i/100, i))
		check(b, made.Frame(head))
		check(b, made.Content(fmt.Sprintf("directory%04d/file%06d", i/100, i), 1024))
		made.Digest(sha256.Sum256(head[:30]))
	}
	for range 2_000_000 / 1000 {
		made.Member(1000, 1_024_000, Sum{})
	}
	x, err := made.Finish(Sum{})
	check(b, err)
	data := x.Encode()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := Decode(data)
		check(b, err)
	}
}

// TestFrameOf: what is frame in a member counts, and where it lies, not what the
// contents are, nor what comes before.
func TestFrameOf(t *testing.T) {
	frames := func(pieces ...any) []FrameSum { // text: frame; number: a content of that size
		b, err := NewBuilder()
		check(t, err)
		for i, p := range pieces {
			if size, ok := p.(int); ok {
				check(t, b.Content(fmt.Sprint(i), int64(size)))
			} else {
				check(t, b.Frame([]byte(p.(string))))
			}
		}
		for left := b.x.Stream; left > 0; left -= 1000 {
			b.Member(1, int(min(left, 1000)), Sum{})
		}
		x, err := b.Finish(Sum{})
		check(t, err)
		if x.FrameOf(0) != 0 {
			t.Error("known before it is decoded")
		}
		x, err = Decode(x.Encode())
		check(t, err)
		var sums []FrameSum
		for i := range x.Members {
			sums = append(sums, x.FrameOf(i))
		}
		return sums
	}
	long := strings.Repeat("l", 150_000)
	is := frames("head", 1500, "mid", 493, "tail", 996, long)
	for name, c := range map[string]struct {
		other []FrameSum
		same  string // by members; "" = all
	}{
		"itself":         {frames("head", 1500, "mid", 493, "tail", 996, long), "sss"},
		"another head":   {frames("HEAD", 1500, "mid", 493, "tail", 996, long), "xss"},
		"another tail":   {frames("head", 1500, "mid", 493, "TAIL", 996, long), "ssx"},
		"cut otherwise":  {frames("head", 996, "x", 503, "mid", 493, "tail", 996, long), "sxs"},
		"content before": {frames(1000, "h", 499, "mid", 497, "tail", 996, long), "xxs"},
		"no content":     {frames("head"+strings.Repeat("c", 1500)+"mid", 493, "tail", 996, long), "xxs"},
	} {
		got := ""
		for i := range 3 {
			got += map[bool]string{true: "s", false: "x"}[is[i] == c.other[i]]
		}
		if got != c.same || len(is) != len(c.other) {
			t.Errorf("%s: %s, want %s", name, got, c.same)
		}
	}
	shifted := frames(1000, "head", 1500, "mid", 493, "tail", 996, long)
	if !slices.Equal(shifted[1:4], is[:3]) || !slices.Equal(shifted[1:100], is[:99]) {
		t.Error("what comes before counts")
	}
}
