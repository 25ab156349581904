package delta

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"stretcher/internal/archive/index"
	"stretcher/internal/text/redact"
)

// Suffix is what the path of an index has behind that of its archive.
const Suffix = ".idx"

// IndexURL is where the index of an archive lies: beside it. A query stays
// behind the path.
func IndexURL(archive string) (string, error) {
	u, err := url.Parse(archive)
	if err != nil || u.Opaque != "" || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return "", fmt.Errorf("%w: there is none beside %q, whose path names no file", ErrIndex, redact.URL(archive))
	}
	end := strings.IndexAny(archive, "?#")
	if end < 0 {
		end = len(archive)
	}
	return archive[:end] + Suffix + archive[end:], nil
}

// Expected is what an index must be.
type Expected struct {
	Digest  index.Sum  // of the index
	Archive *index.Sum // that it is of; nil = that is not known
	Limit   int64      // on the archive's size, in bytes; 0 = none
}

// Decode reads an index that is the expected one. The error is ErrIndex.
func (e Expected) Decode(data []byte) (*index.Index, error) {
	if sum := index.Sum(sha256.Sum256(data)); sum != e.Digest {
		return nil, fmt.Errorf("%w: its digest is sha256:%x, the manifest says sha256:%x", ErrIndex, sum, e.Digest)
	}
	x, err := index.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if e.Archive != nil && x.Archive != *e.Archive {
		return nil, fmt.Errorf("%w: it is of the archive sha256:%x", ErrIndex, x.Archive)
	}
	if e.Limit > 0 && x.Size > e.Limit {
		return nil, fmt.Errorf("%w: it is of an archive of %d bytes, of which %d are allowed", ErrIndex, x.Size, e.Limit)
	}
	return x, nil
}

// Read reads the expected index from an open file, which is closed, if there is
// one; nil = it is not.
func (e Expected) Read(f *os.File, ok bool) *index.Index { return read(f, ok, e.Decode) }

// Read reads an index that is here, whatever archive it is of; nil = it can't be
// read. Who uses it verifies what it says.
func Read(f *os.File, ok bool) *index.Index { return read(f, ok, index.Decode) }

func read(f *os.File, ok bool, decode func([]byte) (*index.Index, error)) *index.Index {
	if !ok {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, index.MaxSize+1))
	if err != nil {
		return nil
	}
	x, err := decode(data)
	if err != nil {
		return nil
	}
	return x
}

// Index fetches an index from beside the first mirror that has the expected one.
func (s *Server) Index(ctx context.Context, mirrors []string, e Expected) (*index.Index, []byte, error) {
	var failed error
	for _, mirror := range mirrors {
		x, data, err := s.index(ctx, mirror, e)
		if err == nil {
			return x, data, nil
		}
		failed = errors.Join(failed, err)
		if context.Cause(ctx) != nil {
			break
		}
	}
	return nil, nil, failed
}

// smallest is how large an index may always be.
const smallest = 1 << 20

func (s *Server) index(ctx context.Context, mirror string, e Expected) (*index.Index, []byte, error) {
	at, err := IndexURL(mirror)
	if err != nil {
		return nil, nil, err
	}
	limit := int64(index.MaxSize)
	if e.Limit > 0 { // an index is smaller than its archive, but for a very small one
		limit = min(limit, e.Limit+smallest)
	}
	data, err := s.document(ctx, mirror, at, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	x, err := e.Decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", redact.URL(at), err)
	}
	return x, data, nil
}
