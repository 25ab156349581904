package mirror

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// coming is an archive whose contents are on their way: each is said to be here when it
// has been asked for a few times, or is waited for.
type coming struct {
	*index.Stream
	content func(i int) (io.ReadCloser, error)
	rnd     *rand.Rand
	holed   int64 // how many bytes files with holes have, which an index does not know
	opened  int
}

// newComing is that of an uncompressed archive.
func newComing(t *testing.T, tarred []byte, rnd *rand.Rand) *coming {
	t.Helper()
	b, err := index.NewBuilder()
	check(t, err)
	in, done, holed := bytes.NewReader(tarred), 0, int64(0)
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if h.Typeflag != tar.TypeReg || h.Size == 0 {
			continue
		}
		if h.PAXRecords["GNU.sparse.size"] != "" {
			holed += h.Size
			continue
		}
		at := len(tarred) - in.Len()
		check(t, b.Frame(tarred[done:at]))
		done = at + int(h.Size)
		check(t, b.Content(strings.TrimPrefix(h.Name, "./"), h.Size))
		b.Digest(sha256.Sum256(tarred[at:done]))
	}
	check(t, b.Frame(tarred[done:]))
	x, err := b.Finish(index.Sum{})
	check(t, err)
	c := &coming{rnd: rnd, holed: holed, content: func(i int) (io.ReadCloser, error) {
		f := &x.Files[i]
		return io.NopCloser(bytes.NewReader(tarred[f.Start : f.Start+f.Size])), nil
	}}
	c.Stream = x.Rebuild(c.content)
	return c
}

// Later opens any content later.
func (c *coming) Later(start, size int64) (func() (io.ReadCloser, error), func() bool) {
	x, here := c.Index(), false
	i := slices.IndexFunc(x.Files, func(f index.File) bool { return f.Start == start && f.Size == size })
	open := func() (io.ReadCloser, error) {
		c.opened++
		return x.Open(i, c.content), nil
	}
	return open, func() bool {
		here = here || c.rnd.IntN(3) == 0
		return here
	}
}

// expectations are what a stage may be told of an archive, rightly or not.
var expectations = map[string]func(paths []string) []string{
	"nothing":     func([]string) []string { return nil },
	"all":         func(paths []string) []string { return paths },
	"in part":     func(paths []string) []string { return paths[:len(paths)/2] },
	"backwards":   func(paths []string) []string { slices.Reverse(paths); return paths },
	"other paths": func(paths []string) []string { return append([]string{"../x", "/", "", "a/../b"}, paths...) },
}

// TestLate: what is staged does not depend on when contents come, nor on what is said of
// them before.
func TestLate(t *testing.T) {
	more := rules
	for _, r := range []struct{ src, dest, want string }{
		{"a=x b==a c==b", "", "a=x b=x c=x"},
		{"a=x b==a a=yy", "", "a=yy b=x"},
		{"a=x b==a a=yy", "a=x b=z", "a=yy b=x"},
		{"a=x a/ a/b=y", "", "a/ a/b=y"},
		{"a=x a->b", "", "a->b"},
		{"a=x a=yy a=zzz c=x", "a=yy", "a=zzz c=x"},
	} {
		more = append(more, rules[0])
		last := &more[len(more)-1]
		last.name, last.src, last.dest, last.want = r.src, r.src, r.dest, r.want
	}
	opened, rnd := 0, rand.New(rand.NewPCG(5, 6))
	for _, r := range more {
		for said, expect := range expectations {
			t.Run(r.name+"/"+said, func(t *testing.T) {
				top := tempDir(t)
				dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
				plant(t, dest, parse(t, r.dest))
				check(t, os.MkdirAll(dir, 0o700))
				opts := Options{Checksum: r.checksum, Excludes: excludes(t, strings.Fields(r.excludes)...)}
				stage := NewStage(t.Context(), rootAt(t, dest), rootAt(t, dir), opts)
				in := newComing(t, tarball(t, parse(t, r.src)), rnd)
				stage.Expect(slices.Values(expect(in.paths())))
				entries, res, err := archive.Scan(t.Context(), in, archive.Options{}, stage)
				check(t, errors.Join(err, stage.Close()))
				if want := read(in); res.Bytes != want {
					t.Errorf("%d bytes of %d were counted", res.Bytes, want)
				}
				opts.Differs = stage.Differs
				plan, err := Compare(t.Context(), entries, place(t, dest), opts)
				check(t, err)
				check(t, plan.Apply(t.Context(), place(t, dir)))
				same(t, dest, parse(t, cmp.Or(r.want, r.src)))
				opened += in.opened
			})
		}
	}
	if opened < len(more)*len(expectations)/2 {
		t.Errorf("%d contents were read later", opened)
	}
}

// paths are those of its files, as its index has them.
func (c *coming) paths() (all []string) {
	for i := range c.Index().Files {
		all = append(all, c.Index().Files[i].Path)
	}
	return all
}

// read is how many bytes contents have.
func read(c *coming) int64 {
	n := c.holed
	for i := range c.Index().Files {
		n += c.Index().Files[i].Size
	}
	return n
}
