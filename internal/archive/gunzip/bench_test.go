package gunzip

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	gobuild "go/build"
	"io"
	"os"
	"path/filepath"
	"testing"

	kp "github.com/klauspost/compress/gzip"
)

// BenchmarkRead decompresses an archive of source code.
func BenchmarkRead(b *testing.B) {
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	check(b, w.AddFS(os.DirFS(filepath.Join(gobuild.Default.GOROOT, "src", "net"))))
	check(b, w.Close())
	size := int64(plain.Len())
	z := gzip.NewWriter(&packed)
	_, err := plain.WriteTo(z)
	check(b, err)
	check(b, z.Close())
	for _, c := range []struct {
		name string
		open func(io.Reader) (io.Reader, error)
	}{
		{"this", func(r io.Reader) (io.Reader, error) { return NewReader(r) }},
		{"Go", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"klauspost", func(r io.Reader) (io.Reader, error) { return kp.NewReader(r) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				r, err := c.open(bytes.NewReader(packed.Bytes()))
				check(b, err)
				n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
				if check(b, err); n != size {
					b.Fatalf("%d bytes, not %d", n, size)
				}
			}
		})
	}
}
