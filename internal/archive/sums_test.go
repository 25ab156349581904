package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"stretcher/internal/archive/parallel"
)

// told reads contents, some of them only in part, and compares their digests.
type told struct {
	t       *testing.T
	rnd     *rand.Rand
	want    map[string][sha256.Size]byte
	read    int
	already *int // how many digests were made before
}

func (s *told) File(e Entry, c *Content) error {
	if c.sums.known {
		*s.already++
	}
	if s.rnd.IntN(8) == 0 { // the next one begins anew all the same
		_, _ = io.CopyN(io.Discard, c, s.rnd.Int64N(e.Size+1)/2)
		if _, ok := c.Sum(); ok && e.Size > 0 {
			s.t.Errorf("%q: a digest before all has been read", e.Path)
		}
		return nil
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1+s.rnd.IntN(200_000)))
	if sum, ok := c.Sum(); ok != (e.Size > 0) || ok && sum != s.want[e.Path] {
		s.t.Errorf("%q, %d bytes: digest %x, %v", e.Path, e.Size, sum, ok)
	}
	s.read++
	return err
}

func (*told) Link(Entry, string) error { return nil }
func (*told) Drop(string) error        { return nil }

// anyFiles are files of all sizes, of which some hold archives themselves.
func anyFiles(rnd *rand.Rand) (all []ent, want map[string][sha256.Size]byte) {
	want = map[string][sha256.Size]byte{}
	for i := range 1 + rnd.IntN(40) {
		data := make([]byte, rnd.IntN(1<<(1+rnd.IntN(19))))
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		if rnd.IntN(4) == 0 {
			data = append(data, tarOf(ent{name: "in", data: string(data)}, ent{name: "it", data: "more"})...)
		}
		e := ent{name: fmt.Sprint(i), data: string(data)}
		if rnd.IntN(10) == 0 {
			e.pax = map[string]string{"mtime": "1.5"}
		}
		all = append(all, e)
		want[e.name] = sha256.Sum256(data)
	}
	return all, want
}

// TestSumsOfSegments holds that the digest of a content is of what is read,
// wherever segments end, and whoever made it.
func TestSumsOfSegments(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	already, read, before := 0, 0, runtime.NumGoroutine()
	for range 8 {
		files, want := anyFiles(rnd)
		b := tarOf(files...)
		for _, format := range []string{"tar", "gzip", "zstd"} {
			in := b
			if format != "tar" {
				in = segmented(t, format, b, 1+rnd.IntN(min(len(b), parallel.Max)))
			}
			name := filepath.Join(t.TempDir(), "archive")
			check(t, os.WriteFile(name, in, 0o600))
			f, err := os.Open(name)
			check(t, err)
			r, err := FileInput(f, true).Open()
			check(t, err)
			s := &told{t, rnd, want, 0, &already}
			_, _, err = Scan(t.Context(), r, Options{}, s)
			check(t, err)
			check(t, f.Close())
			read += s.read
		}
	}
	if already < 20 || already == read {
		t.Errorf("%d digests were made before, of %d", already, read)
	}
	for range 1000 { // one that has ended may count for a moment
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}

// TestNoSums holds that nobody makes digests that are not wanted.
func TestNoSums(t *testing.T) {
	b := segmented(t, "gzip", tarOf(ent{name: "a", data: "text"}), 10_000)
	s, err := openStream(t.Context(), bytes.NewReader(b), &tally{lim: Limits{}.withDefaults()})
	check(t, err)
	defer s.close()
	_, err = io.ReadFull(s, make([]byte, blockSize))
	check(t, err)
	if _, ok := s.dec.segments.sum(4); ok || s.dec.sums != nil {
		t.Error("there is a digest")
	}
}

// lateSums reads contents whose digests are put off, and asks for those that it wants.
type lateSums struct {
	t     *testing.T
	wants func(path string) bool
	told  int // how many digests were made where contents were decompressed
}

func (s *lateSums) File(e Entry, c *Content) error {
	if c.sums.known {
		s.told++
	}
	c.PutOffSum()
	data := make([]byte, e.Size)
	half := data[:e.Size/2]
	_, err := io.ReadFull(c, half)
	check(s.t, err)
	wants := s.wants(e.Path)
	if wants {
		c.SumAgain(half)
	}
	_, err = io.ReadFull(c, data[len(half):])
	check(s.t, err)
	sum, ok := c.Sum()
	if wants && !ok || ok && sum != sha256.Sum256(data) {
		s.t.Errorf("%q, %d bytes: digest %x, %v", e.Path, e.Size, sum, ok)
	}
	return nil
}

func (*lateSums) Link(Entry, string) error { return nil }
func (*lateSums) Drop(string) error        { return nil }

// TestLateSums: a digest that was put off is made of all that is read, and where few
// are wanted, none is made where contents are decompressed.
func TestLateSums(t *testing.T) {
	var files []ent
	for i := range 400 {
		data := make([]byte, 50_000+i)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		files = append(files, ent{name: fmt.Sprint(i), data: string(data)})
	}
	plain := tarOf(files...)
	name := filepath.Join(t.TempDir(), "archive")
	for _, format := range []string{"tar", "zstd"} {
		in := plain
		if format != "tar" {
			in = segmented(t, format, plain, 300_000)
		}
		check(t, os.WriteFile(name, in, 0o600))
		for share, enough := range map[int]func(told int) bool{
			10: func(told int) bool { return told < 200 }, // what is under way is made
			1:  func(told int) bool { return format == "tar" || told > 250 },
		} {
			f, err := os.Open(name)
			check(t, err)
			r, err := FileInput(f, true).Open()
			check(t, err)
			s := &lateSums{t: t, wants: func(path string) bool { return path[len(path)-1]%byte(share) == 0 }}
			_, _, err = Scan(t.Context(), r, Options{}, s)
			check(t, err)
			check(t, f.Close())
			if !enough(s.told) {
				t.Errorf("%s, one of %d: %d digests were made before", format, share, s.told)
			}
		}
	}
}
