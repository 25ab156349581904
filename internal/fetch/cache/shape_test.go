package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzShape: whatever a file of parts says, it is refused, or leads to as many bytes as
// the archive has, all of them in the two files.
func FuzzShape(f *testing.F) {
	base := []byte("what was there before")
	good := shape{size: 9, baseSize: int64(len(base)), baseKey: "sha256:00", pieces: []piece{
		{at: 5, size: 4}, {off: 4, size: 3, inParts: true}, {off: 7, at: 19, size: 2}}}
	f.Add(append(good.encode(3), "new"...))
	first := headSize + len(good.baseKey)
	for _, at := range []int{len(magic) - 1, len(magic), len(magic) + 7, headSize - 1, first, first + 15} {
		b := append(good.encode(3), "new"...)
		b[at] ^= 0x80
		f.Add(b)
	}
	f.Add(good.encode(3))
	f.Add([]byte(magic))
	dir := f.TempDir()
	was := fileWith(f, filepath.Join(dir, "base"), base)
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &Archive{base: was, parts: fileWith(t, filepath.Join(t.TempDir(), "parts"), b)}
		var err error
		if a.shape, err = readShape(a.parts); err == nil {
			err = a.fits()
		}
		if errors.Is(err, errShape) || err == nil && a.size > 1<<20 {
			return
		}
		must(t, err)
		var all bytes.Buffer
		if must(t, a.Compose(t.Context(), &all)); int64(all.Len()) != a.size {
			t.Errorf("%d bytes, of %d", all.Len(), a.size)
		}
		one := make([]byte, a.size+1)
		if n, err := a.ReadAt(one, 0); int64(n) != a.size || err != io.EOF || !bytes.Equal(one[:n], all.Bytes()) {
			t.Errorf("ReadAt: %d bytes, %v", n, err)
		}
	})
}

// fileWith is an open file that holds content, closed when the test ends.
func fileWith(t testing.TB, name string, content []byte) *os.File {
	t.Helper()
	must(t, os.WriteFile(name, content, 0o600))
	f, err := os.Open(name)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}
