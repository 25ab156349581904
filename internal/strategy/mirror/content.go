package mirror

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
)

// copySize is the buffer for comparing contents, in bytes.
const copySize = 128 << 10

// pair compares two contents. It is reused for its buffers.
type pair struct{ a, b []byte }

// prefix reads a and b until they differ: after equal bytes, the next n of a,
// in p.a, are not those of b. n is -1 when a ends and b has had all its bytes.
func (p *pair) prefix(ctx context.Context, a, b io.Reader) (equal int64, n int, err error) {
	if p.a == nil {
		p.a, p.b = make([]byte, copySize), make([]byte, copySize)
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return 0, 0, err
		}
		n, err = io.ReadFull(a, p.a)
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return 0, 0, err
		}
		m, err := io.ReadFull(b, p.b[:n])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, 0, err
		}
		if m < n || !bytes.Equal(p.a[:n], p.b[:n]) {
			return equal, n, nil
		}
		equal += int64(n)
		if end {
			return equal, -1, nil
		}
	}
}

// same compares an open file with the one at path in a tree; the two have one
// size.
func (p *pair) same(ctx context.Context, tree *os.Root, path string, old *os.File) (bool, error) {
	f, err := tree.Open(filepath.FromSlash(path))
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, n, err := p.prefix(ctx, f, old)
	return n < 0, err
}
