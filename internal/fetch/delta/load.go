package delta

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
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
	return x, nil
}

// Read reads an index that is here, whatever archive it is of; nil = it can't be
// read. Who uses it verifies what it says.
func Read(r io.Reader) *index.Index {
	data, err := io.ReadAll(io.LimitReader(r, index.MaxSize+1))
	if err != nil {
		return nil
	}
	x, err := index.Decode(data)
	if err != nil {
		return nil
	}
	return x
}

// Index fetches an index of at most limit bytes from beside the first mirror
// that has the expected one.
func (s *Server) Index(ctx context.Context, mirrors []string, e Expected, limit int64) (*index.Index, []byte, error) {
	var failed error
	for _, mirror := range mirrors {
		x, data, err := s.index(ctx, mirror, e, limit)
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

func (s *Server) index(ctx context.Context, mirror string, e Expected, limit int64) (*index.Index, []byte, error) {
	at, err := IndexURL(mirror)
	if err != nil {
		return nil, nil, err
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
