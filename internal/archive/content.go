package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// holeSize is the smallest hole worth making: a block of most file systems.
const holeSize = 4096

var zeros [holeSize]byte

// fill writes the content of an entry, with holes where the archive has them.
func (x *extractor) fill(f *os.File, h *tar.Header, content io.Reader) error {
	put := f.Write
	sparse := isSparse(h)
	if sparse {
		put = func(p []byte) (int, error) { return writeSparse(f, p) }
	}
	size := int64(0)
	for {
		n, err := readSome(content, x.buf)
		x.res.Bytes += int64(n)
		size += int64(n)
		if over := x.lim.checkContent(x.res.Bytes); over != nil {
			return over
		}
		if cerr := x.in.ctx.Err(); cerr != nil { // holes are read from nowhere
			return fmt.Errorf("extract: %w", cerr)
		}
		if _, werr := put(x.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return contentError(err)
		}
	}
	if sparse {
		return f.Truncate(size) // for a hole at the end
	}
	return nil
}

// contentError is for errors of archive/tar itself; the stream's own are
// preferred to it by the caller.
func contentError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("archive is truncated: %w", err)
	}
	return malformed("archive is damaged: %w", err)
}

// isSparse knows old GNU and PAX 0.0, 0.1 and 1.0 sparse files.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// writeSparse seeks over blocks of zeros.
func writeSparse(f *os.File, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		hole := isZero(p[done:])
		end := done
		for end < len(p) && isZero(p[end:]) == hole {
			end = min(end+holeSize, len(p))
		}
		var err error
		if hole {
			_, err = f.Seek(int64(end-done), io.SeekCurrent)
		} else {
			_, err = f.Write(p[done:end])
		}
		if err != nil {
			return done, err
		}
		done = end
	}
	return done, nil
}

// isZero looks at the first block of p.
func isZero(p []byte) bool {
	n := min(len(p), holeSize)
	return bytes.Equal(p[:n], zeros[:n])
}
