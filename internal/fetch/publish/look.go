package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// Store is what a target must be able to do.
type Store interface {
	CheckPut(url string) error
	CheckPutArchive(url string) error
	Stat(ctx context.Context, url string) (store.Info, error)
	Put(ctx context.Context, url string, body io.ReaderAt, size int64, opts store.PutOptions) error
	Open(ctx context.Context, url string, from store.Position) (*store.Object, error)
}

// found is what lies at an object's name.
type found int

const (
	none found = iota
	same
	other
)

// look finds out what lies at an item's name. Where the server does not tell, the
// object itself is read: only its content says what it is.
func (r *run) look(ctx context.Context, it *item) (is found, err error) {
	if r.blind {
		return none, nil
	}
	is, err = r.compare(ctx, it)
	switch {
	case err == nil:
		return is, nil
	case r.DryRun && context.Cause(ctx) == nil:
		r.blind = true
		r.Say(failure.Sayf("warning: what is there is not known: %v", err))
		return none, nil
	}
	return none, fmt.Errorf("%s: %w", it.what, err)
}

// isMute tells whether a server does not answer this question, and may answer
// others.
func isMute(err error) bool {
	var e *store.Error
	return errors.As(err, &e) && (e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

func (r *run) compare(ctx context.Context, it *item) (found, error) {
	url := r.place.to + it.name
	info, err := r.Store.Stat(ctx, url)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none, nil
	case isMute(err):
	case err != nil:
		return none, err
	case info.Size >= 0 && info.Size != it.size:
		return other, nil
	case info.SHA256 != nil && *info.SHA256 == it.sum:
		return same, nil
	case info.SHA256 != nil:
		return other, nil
	}
	return r.content(ctx, it)
}

// content reads what lies at an item's name, and compares it.
func (r *run) content(ctx context.Context, it *item) (found, error) {
	url := r.place.to + it.name
	sum := sha256.New()
	n, err := r.copy(ctx, url, it.size, func() io.Writer { sum.Reset(); return sum })
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none, nil
	case err != nil:
		return none, err
	case n == it.size && bytes.Equal(sum.Sum(nil), it.sum[:]):
		return same, nil
	}
	return other, nil
}

// copy reads an object, and a byte more than it may have at most. What breaks off
// is begun again, with another writer.
func (r *run) copy(ctx context.Context, url string, limit int64, to func() io.Writer) (n int64, err error) {
	err = store.Again(ctx, func() error {
		obj, err := r.Store.Open(ctx, url, store.Position{})
		if err != nil {
			return err
		}
		defer obj.Body.Close()
		n, err = io.Copy(to(), io.LimitReader(obj.Body, limit+1))
		return err
	})
	return n, err
}

// maxDocument bounds what is read of a manifest or a signature document.
const maxDocument = 1 << 20

// read reads a small object.
func (r *run) read(ctx context.Context, name string) ([]byte, error) {
	var b bytes.Buffer
	url := r.place.to + name
	n, err := r.copy(ctx, url, maxDocument, func() io.Writer { b.Reset(); return &b })
	if err == nil && n > maxDocument {
		err = fmt.Errorf("%q is larger than %d bytes", redact.URL(url), maxDocument)
	}
	return b.Bytes(), err
}
