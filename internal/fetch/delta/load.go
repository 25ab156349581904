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

// verify compares the digest, and not what the index says of its archive, save for
// which that is. The error is ErrIndex.
func (e Expected) verify(data []byte) error {
	if sum := index.Sum(sha256.Sum256(data)); sum != e.Digest {
		return fmt.Errorf("%w: its digest is sha256:%x, the manifest says sha256:%x", ErrIndex, sum, e.Digest)
	}
	sum, err := index.ArchiveOf(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if e.Archive != nil && sum != *e.Archive {
		return fmt.Errorf("%w: it is of the archive sha256:%x", ErrIndex, sum)
	}
	return nil
}

// Decode reads an index that is the expected one. The error is ErrIndex.
func (e Expected) Decode(data []byte) (*index.Index, error) {
	if err := e.verify(data); err != nil {
		return nil, err
	}
	x, err := index.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if e.Limit > 0 && x.Size > e.Limit {
		return nil, fmt.Errorf("%w: it is of an archive of %d bytes, of which %d are allowed", ErrIndex, x.Size, e.Limit)
	}
	return x, nil
}

// read reads an index that is here, whose file is closed; nil = it can't be read. Who
// uses it verifies what it says.
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
func (s *Server) Index(ctx context.Context, mirrors []string, e Expected) (x *index.Index, data []byte, err error) {
	data, err = s.fromAny(ctx, mirrors, e.Limit, func(data []byte) (err error) {
		x, err = e.Decode(data)
		return err
	})
	return x, data, err
}

// fromAny fetches what is accepted of an index from beside the first mirror that
// has it.
func (s *Server) fromAny(
	ctx context.Context, mirrors []string, limit int64, accept func(data []byte) error,
) ([]byte, error) {
	var failed error
	for _, mirror := range mirrors {
		data, err := s.index(ctx, mirror, limit, accept)
		if err == nil {
			return data, nil
		}
		failed = errors.Join(failed, err)
		if context.Cause(ctx) != nil {
			break
		}
	}
	return nil, failed
}

// smallest is how large an index may always be.
const smallest = 1 << 20

// index fetches that of an archive of at most limit bytes; 0 = of any size.
func (s *Server) index(
	ctx context.Context, mirror string, limit int64, accept func(data []byte) error,
) ([]byte, error) {
	at, err := IndexURL(mirror)
	if err != nil {
		return nil, err
	}
	most := int64(index.MaxSize)
	if limit > 0 { // an index is smaller than its archive, but for a very small one
		most = min(most, limit+smallest)
	}
	data, err := s.document(ctx, mirror, at, most)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if err := accept(data); err != nil {
		return nil, fmt.Errorf("%q: %w", redact.URL(at), err)
	}
	return data, nil
}
