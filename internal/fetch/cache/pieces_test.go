package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/disk"
)

// inPieces is an archive that is kept beside the one before: what both have at the same
// place is there.
func inPieces(dir *os.Root, before *Archive, content []byte) (*Archive, error) {
	size, err := before.Size()
	if err != nil {
		return nil, err
	}
	was := make([]byte, size)
	if _, err := before.ReadAt(was, 0); err != nil {
		return nil, err
	}
	var pieces []Piece
	for at := 0; at < len(content); {
		same := func(i int) bool { return i < len(was) && was[i] == content[i] }
		n := 1
		for at+n < len(content) && same(at+n) == same(at) {
			n++
		}
		pieces = append(pieces, Piece{Fetched: !same(at), At: int64(at), Size: int64(n)})
		at += n
	}
	c := Combine(before, pieces)
	if c == nil {
		return nil, errors.New("it had better be put together")
	}
	create := func(int64) (*os.File, error) { return disk.Unnamed(dir) }
	return c.Write(context.Background(), bytes.NewReader(content), create)
}

// versions are contents of which each differs from the one before in some bytes.
func versions(n int) (all [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	is := make([]byte, 200_000)
	for i := range is {
		is[i] = byte(r.Uint32())
	}
	for range n {
		all = append(all, is)
		is = bytes.Clone(is)
		for i := range 2000 {
			is[len(all)*11_000+i] ^= 1
		}
	}
	return all
}

// state is a pool with the cache beside it.
func state(t *testing.T, size int64) (*Store, *Pool) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir + "/cache")
	must(t, err)
	s.Warn = func(err error) { t.Errorf("warning: %v", err) }
	s.UsePool(dir+"/archives", size)
	return s, s.Pool()
}

// deploy keeps a version as run and pool do, beside the one before if there is one, and
// tells whether it is in pieces.
func deploy(t *testing.T, s *Store, n int, content []byte) bool {
	t.Helper()
	a := Whole(unnamed(t, s, string(content)))
	if before, ok := s.Find(sumOf(n - 1)); ok {
		if p, err := inPieces(s.root, before, content); err == nil {
			a = p
		}
		must(t, before.Close())
	}
	must(t, s.Pool().Put(sumOf(n), a))
	must(t, s.Put(t.Context(), Entry{Run: fmt.Sprint("r", n), Dest: "/d", Checksum: sumOf(n)}, []byte("m"), a))
	must(t, a.Close())
	return a.parts != nil
}

// holdsAll fails unless entry and pool have these versions, and no other.
func holdsAll(t *testing.T, s *Store, all [][]byte, numbers string) {
	t.Helper()
	for n, want := range all {
		is := strings.Contains(" "+numbers+" ", fmt.Sprintf(" %d ", n))
		a, inEntry := s.Archive(fmt.Sprint("r", n))
		if got := text(t, a, inEntry); inEntry != is || inEntry && got != string(want) {
			t.Errorf("entry of version %d: %v, %d bytes", n, inEntry, len(got))
		}
		a, inPool := s.Pool().Archive(sumOf(n))
		if got := text(t, a, inPool); inPool != is || inPool && got != string(want) {
			t.Errorf("pool, version %d: %v, %d bytes", n, inPool, len(got))
		}
	}
}

// TestPiecesOfMany: each version lies beside the one before, over one base, until the
// parts are too large. All names are for the owner alone.
func TestPiecesOfMany(t *testing.T) {
	s, p := state(t, 10<<20)
	all := versions(10)
	var base, was os.FileInfo
	for n, content := range all {
		if pieces := deploy(t, s, n, content); pieces != (n > 0) {
			t.Fatalf("version %d is in pieces: %v", n, pieces)
		}
		a, _ := p.Archive(sumOf(n))
		info, err := a.base.Stat()
		must(t, err)
		if base != nil && !os.SameFile(base, info) {
			t.Errorf("version %d has another base", n)
		}
		if base = info; a.parts != nil {
			info, err := a.parts.Stat()
			must(t, err)
			if was != nil && info.Size() < was.Size() || info.Size() > 2500*int64(n) {
				t.Errorf("version %d has %d bytes of parts", n, info.Size())
			}
			was = info
		}
		must(t, a.Close())
	}
	holdsAll(t, s, all, "0 1 2 3 4 5 6 7 8 9")
	if got, most := s.Size(), int64(len(all[0])+9*2500*5); got > most || got < int64(len(all[0])) {
		t.Errorf("they take %d bytes, at most %d", got, most)
	}
	for _, dir := range []string{s.dir, p.Path()} {
		must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if info, err := d.Info(); err != nil || !d.IsDir() && info.Mode() != 0o600 {
				t.Errorf("%q: %v, %v", name, info.Mode(), err)
			}
			return err
		}))
	}
	must(t, s.Prune("/d", 2, nil))
	must(t, p.Trim(10<<20)) // entries have all that stays
	for n := range 8 {
		must(t, p.Drop(sumOf(n)))
	}
	holdsAll(t, s, all, "8 9") // whatever became of the base's own names
}

// TestCombine: what is large, small or not there is put together.
func TestCombine(t *testing.T) {
	s := newStore(t)
	whole := Whole(unnamed(t, s, strings.Repeat("x", 200_000)))
	for name, c := range map[string]struct {
		pieces []Piece
		is     bool
	}{
		"the same":      {[]Piece{{false, 0, 200_000}}, true},
		"a fifth":       {[]Piece{{false, 0, 80_000}, {true, 5, 20_000}}, true},
		"and a byte":    {[]Piece{{false, 0, 80_000}, {true, 5, 20_001}}, false},
		"small":         {[]Piece{{false, 0, 60_000}, {true, 0, 10}}, false},
		"outside":       {[]Piece{{false, 100_001, 100_000}}, false},
		"all elsewhere": {[]Piece{{false, 100_000, 100_000}, {false, 0, 100_000}}, true},
	} {
		if got := Combine(whole, c.pieces); (got != nil) != c.is {
			t.Errorf("%s: %v", name, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	create := func(int64) (*os.File, error) { return disk.Unnamed(s.root) }
	c := Combine(whole, []Piece{{false, 0, 80_000}, {true, 5, 20_000}})
	if _, err := c.Write(ctx, bytes.NewReader(make([]byte, 30_000)), create); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := c.Write(t.Context(), bytes.NewReader(make([]byte, 10_000)), create); err == nil {
		t.Error("parts that are not there were written")
	}
	full := func(int64) (*os.File, error) { return nil, disk.ErrNoRoom }
	if _, err := c.Write(t.Context(), bytes.NewReader(nil), full); !errors.Is(err, disk.ErrNoRoom) {
		t.Errorf("no room: %v", err)
	}
}

// TestPartsThatAreNone: what is no file of parts, or not that of this base, is dropped with
// a warning; an entry has no archive then. Others that have the base stay.
func TestPartsThatAreNone(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"no magic":       func(b []byte) []byte { return append([]byte("X"), b[1:]...) },
		"empty":          func([]byte) []byte { return nil },
		"shorter":        func(b []byte) []byte { return b[:len(b)-1] },
		"longer":         func(b []byte) []byte { return append(b, 0) },
		"size":           func(b []byte) []byte { b[len(magic)]++; return b },
		"below zero":     func(b []byte) []byte { b[len(magic)+7] = 0x80; return b },
		"another base":   func(b []byte) []byte { b[len(magic)+8]++; return b },
		"many pieces":    func(b []byte) []byte { b[len(magic)+8*4+6] = 1; return b },
		"long key":       func(b []byte) []byte { b[len(magic)+8*3+4] = 1; return b },
		"piece outside":  func(b []byte) []byte { b[headSize+len(sumOf(0))+7] = 1; return b },
		"piece too long": func(b []byte) []byte { b[headSize+len(sumOf(0))+8+5] = 1; return b },
		"no piece":       func(b []byte) []byte { clear(b[headSize+len(sumOf(0)):][8:16]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := state(t, 10<<20)
			all := versions(2)
			deploy(t, s, 0, all[0])
			deploy(t, s, 1, all[1])
			warned := 0
			p.Warn = func(error) { warned++ }
			b, err := os.ReadFile(p.at(1) + partsSuffix)
			must(t, err)
			must(t, os.WriteFile(p.at(1)+partsSuffix, change(b), 0o600)) // it is the entry's as well
			if _, ok := s.Archive("r1"); ok {
				t.Error("the entry has an archive")
			}
			for range 2 {
				if _, ok := p.Archive(sumOf(1)); ok || warned != 1 {
					t.Errorf("it is taken, or told %d times", warned)
				}
			}
			holdsAll(t, s, all[:1], "0")
			must(t, s.Prune("/d", 2, func(Entry) bool { return true }))
			if left, _ := filepath.Glob(s.dir + "/r1/archive*"); len(left) > 0 && !strings.Contains(name, "piece") {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestPiecesOfOthers: root trusts no base or parts that somebody else may have changed.
func TestPiecesOfOthers(t *testing.T) {
	for _, suffix := range []string{baseSuffix, partsSuffix} {
		s, p := state(t, 10<<20)
		all := versions(2)
		deploy(t, s, 0, all[0])
		deploy(t, s, 1, all[1])
		warned := 0
		p.Warn = func(error) { warned++ }
		must(t, os.Chmod(p.at(1)+suffix, 0o622))
		_, inPool := p.Archive(sumOf(1))
		_, inEntry := s.Archive("r1")
		if inPool || inEntry || warned != 1 {
			t.Errorf("%s: taken from pool: %v, entry: %v; %d warnings", suffix, inPool, inEntry, warned)
		}
	}
}

// TestPiecesBroken: a process was killed between two names. What is half is of no use,
// and goes.
func TestPiecesBroken(t *testing.T) {
	s, p := state(t, 10<<20)
	all := versions(3)
	for n := range all {
		deploy(t, s, n, all[n])
	}
	must(t, os.Remove(p.at(1)+partsSuffix)) // the parts have no name yet, or have lost it
	if _, ok := p.Archive(sumOf(1)); ok {
		t.Error("half of one is taken")
	}
	p.Sweep()
	if _, err := os.Lstat(p.at(1) + baseSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base has a name: %v", err)
	}
	// An archive was about to go to a newer entry, which knows its size already.
	must(t, s.Put(t.Context(), Entry{Run: "again", Dest: "/d", Checksum: sumOf(2)}, nil, nil))
	e, err := s.Get("again")
	must(t, err)
	e.Size = int64(len(all[2]))
	must(t, s.rewrite(e))
	must(t, s.root.Link("r2/archive.base", "again/archive.base"))
	if f, ok := s.Archive("again"); ok {
		t.Errorf("half of one is taken: %v", f)
	}
	must(t, s.Prune("/d", 3, nil))
	if got := listed(t, s, "/d"); got != "again+ r1+ r0+" {
		t.Errorf("left %q", got)
	}
	f, ok := s.Archive("again")
	if text(t, f, ok) != string(all[2]) {
		t.Error("another archive")
	}
	must(t, os.Remove(s.dir+"/again/archive.parts"))
	must(t, s.Trim(Bounds{Gone: func(string) bool { return false }, Size: 1 << 30}))
	if _, err := os.Lstat(s.dir + "/again/archive.base"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half of one takes room: %v", err)
	}
}

// TestPiecesDropped: with a damaged file goes all that lies in it, and nothing else.
func TestPiecesDropped(t *testing.T) {
	for name, c := range map[string]struct {
		bad  func(a *Archive) *os.File
		left string
	}{
		"parts": {func(a *Archive) *os.File { return a.Parts() }, "0 1"},
		"base": {func(a *Archive) *os.File {
			f, key := a.Base()
			if key != sumOf(0) {
				return nil
			}
			return f
		}, ""},
	} {
		s, p := state(t, 10<<20)
		all := versions(3)
		for n := range all {
			deploy(t, s, n, all[n])
		}
		a, ok := p.Archive(sumOf(2))
		if bad := c.bad(a); !ok || bad == nil {
			t.Fatalf("%s: not found", name)
		} else {
			must(t, errors.Join(p.DropFile(bad), s.Drop(bad)))
		}
		must(t, a.Close())
		holdsAll(t, s, all, c.left)
	}
}

// TestPiecesToWhole: one that is whole takes the place of its pieces, and never the other
// way round. What can't be linked is put together. Who only looks changes nothing.
func TestPiecesToWhole(t *testing.T) {
	s, p := state(t, 10<<20)
	all := versions(2)
	deploy(t, s, 0, all[0])
	deploy(t, s, 1, all[1])
	pieces, ok := p.Archive(sumOf(1))
	if !ok || !p.IsOf(sumOf(1), pieces.parts) || p.IsOf(sumOf(0), pieces.parts) || p.IsOf(sumOf(1), file(t, "x")) {
		t.Error("it is not known by its parts")
	}
	reading, err := OpenPoolReading(p.Path())
	must(t, err)
	f := unnamed(t, s, string(all[1]))
	must(t, errors.Join(reading.Put(sumOf(1), Whole(f)), reading.DropFile(pieces.parts)))
	if got := p.kinds(t); got != "sha256 sha256.base sha256.parts" {
		t.Errorf("somebody who looks has left %q", got)
	}
	must(t, p.Put(sumOf(1), Whole(f)))
	must(t, p.Put(sumOf(1), pieces))
	if got := p.kinds(t); got != "sha256 sha256" {
		t.Errorf("left %q", got)
	}
	must(t, p.Drop(sumOf(1)))
	must(t, pieces.parts.Chmod(0o640)) // others have a name of it, as far as anybody knows
	must(t, p.Put(sumOf(1), pieces))
	must(t, s.Put(t.Context(), Entry{Run: "copied", Dest: "/d", Checksum: sumOf(1)}, nil, pieces))
	if got := p.kinds(t); got != "sha256 sha256" {
		t.Errorf("left %q", got)
	}
	if _, err := os.Lstat(s.dir + "/copied/archive"); err != nil {
		t.Error(err)
	}
	must(t, pieces.Close())
	holdsAll(t, s, all, "0 1")
}

// kinds are the names in the pool, without digests.
func (p *Pool) kinds(t *testing.T) string {
	t.Helper()
	all, err := os.ReadDir(p.Path())
	must(t, err)
	var kinds []string
	for _, d := range all {
		start, rest, _ := strings.Cut(d.Name(), "-")
		kinds = append(kinds, start+filepath.Ext(rest))
	}
	return strings.Join(kinds, " ")
}

// TestPiecesTakeRoomOnce: what goes for a bound is what gives room, and a base counts once,
// in entries and in the pool.
func TestPiecesTakeRoomOnce(t *testing.T) {
	all := versions(3)
	for _, c := range []struct {
		size int64
		want string
	}{{250_000, "r2+ r1+ r0+"}, {205_000, "r2+ r1 r0+"}, {203_000, "r2 r1 r0"}} {
		s, p := state(t, 10<<20)
		for n := range all {
			deploy(t, s, n, all[n])
		}
		must(t, s.Trim(Bounds{Gone: func(string) bool { return false }, Size: c.size}))
		if got := listed(t, s, ""); got != c.want {
			t.Errorf("%d bytes: left %q, want %q", c.size, got, c.want)
		}
		if got := s.Size(); got > c.size {
			t.Errorf("%d bytes: %d are left", c.size, got)
		}
		must(t, p.Trim(0))
		must(t, s.Prune("/d", 0, nil))
		held, err := p.held()
		must(t, err)
		if got := roomOfHeld(held); got > 250_000 || got < 200_000 {
			t.Errorf("the pool is said to hold %d bytes", got)
		}
		must(t, p.Trim(10<<20-203_000))
		if got := p.kinds(t); strings.Count(got, "parts") > 1 {
			t.Errorf("left %q", got)
		}
		must(t, p.Trim(10<<20))
		if got := p.kinds(t); got != "" {
			t.Errorf("left %q", got)
		}
	}
}
