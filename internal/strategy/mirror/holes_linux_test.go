package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/tree"
)

// TestHolesCompared compares files of a tebibyte by what they have: to read them
// would take longer than a test may.
func TestHolesCompared(t *testing.T) {
	const size = 1 << 40
	file := func(data map[int64]string) *os.File {
		f, err := os.Create(fmt.Sprintf("%s/f", t.TempDir()))
		check(t, err)
		t.Cleanup(func() { f.Close() })
		check(t, f.Truncate(size))
		for at, text := range data {
			_, err := f.WriteAt([]byte(text), at)
			check(t, err)
		}
		return f
	}
	a := file(map[int64]string{5: "x", size - 9: "tail"})
	for name, c := range map[string]struct {
		b    map[int64]string
		want bool
	}{
		"same":            {map[int64]string{5: "x", size - 9: "tail"}, true},
		"zeros in a hole": {map[int64]string{5: "x", size - 9: "tail", 1 << 30: "\x00\x00"}, true},
		"other data":      {map[int64]string{5: "y", size - 9: "tail"}, false},
		"less data":       {map[int64]string{5: "x"}, false},
		"more data":       {map[int64]string{5: "x", size - 9: "tail", 1 << 30: "z"}, false},
	} {
		b := file(c.b)
		same, err := sameData(t.Context(), a, b, size)
		check(t, err)
		back, err := sameData(t.Context(), b, a, size)
		check(t, err)
		if (same && back) != c.want {
			t.Errorf("%s: %v and %v", name, same, back)
		}
	}
}

// TestHolesKept: what is written as a hard link to a file with holes has them too,
// whether that is written as well or dest has it.
func TestHolesKept(t *testing.T) {
	top := tempDir(t)
	dest, src := filepath.Join(top, "dest"), parse(t, "a="+holed[0]+" b==a c==b")
	plant(t, dest, parse(t, "b=x"))
	for _, missing := range []string{"a", "b", "c", "a b", "b c"} {
		plan := prepare(t, top, src, Options{}, true)
		check(t, plan.Apply(t.Context(), place(t, filepath.Join(top, "staging"))))
		same(t, dest, parse(t, "a="+holed[0]+" b="+holed[0]+" c="+holed[0]))
		for _, name := range []string{"a", "b", "c"} {
			var st unix.Stat_t
			check(t, unix.Lstat(filepath.Join(dest, name), &st))
			if st.Blocks*512 > st.Size/2 {
				t.Errorf("%d blocks of %s for %d bytes, then %s are missing", st.Blocks, name, st.Size, missing)
			}
		}
		check(t, removeAll(filepath.Join(top, "staging")))
		for name := range strings.FieldsSeq(missing) {
			check(t, os.Remove(filepath.Join(dest, name)))
		}
	}
}

// TestHolesLeaveWhatIsKnown: the digest of a file of dest stays known when it is found
// equal to one with holes, of which no digest is made.
func TestHolesLeaveWhatIsKnown(t *testing.T) {
	for _, staging := range []string{"", "staging"} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		plant(t, dest, parse(t, "a="+holed[0]+" b="+holed[0]))
		known, want := tree.NewContents(), map[string]tree.Digest{"a": {1}, "b": {2}}
		stat := func(name string) (st unix.Stat_t) {
			check(t, unix.Lstat(filepath.Join(dest, name), &st))
			return st
		}
		for name, sum := range want {
			st := stat(name)
			known.Add(&st, make([]tree.Sum, (len(holed[0])+tree.BlockSize-1)/tree.BlockSize))
			known.AddDigest(&st, sum)
		}
		opts := Options{Contents: known}
		if staging != "" {
			staging = filepath.Join(top, staging)
		}
		_, err := scan(t, tarball(t, parse(t, "a="+holed[0]+" b==a")), dest, staging, &opts)
		check(t, err)
		for name, sum := range want {
			st := stat(name)
			if has, ok := known.Digest(&st); !ok || has != sum || opts.Differs(name, &st) {
				t.Errorf("%s, staging %q: digest %x, %v", name, staging, has, ok)
			}
		}
	}
}

// TestOutlines: a content with holes and a file have one outline if they are equal,
// wherever the file has holes.
func TestOutlines(t *testing.T) {
	d := &digest{ctx: t.Context(), contents: tree.NewContents()}
	const size = 1 << 40
	file := func(size int64, data map[int64]string) *identity {
		f, err := os.CreateTemp(t.TempDir(), "f")
		check(t, err)
		defer f.Close()
		check(t, f.Truncate(size))
		for at, text := range data {
			_, err := f.WriteAt([]byte(text), at)
			check(t, err)
		}
		is, err := d.outlineIn(f, size)
		check(t, err)
		return is
	}
	const cut = tree.BlockSize - 2
	want := file(size, map[int64]string{5: "x", cut: "1234", size - 9: "tail"})
	for name, c := range map[string]struct {
		is   *identity
		same bool
	}{
		"again":       {file(size, map[int64]string{5: "x", cut: "1234", size - 9: "tail"}), true},
		"zeros":       {file(size, map[int64]string{4: "\x00x\x00", cut: "1234", 1 << 30: "\x00", size - 9: "tail"}), true},
		"other data":  {file(size, map[int64]string{5: "y", cut: "1234", size - 9: "tail"}), false},
		"a block off": {file(size, map[int64]string{5 + tree.BlockSize: "x", cut: "1234", size - 9: "tail"}), false},
		"longer":      {file(size+1, map[int64]string{5: "x", cut: "1234", size - 9: "tail"}), false},
	} {
		if (*c.is == *want) != c.same {
			t.Errorf("%s: the same: %v", name, !c.same)
		}
	}
}
