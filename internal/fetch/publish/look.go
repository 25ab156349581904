package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// Store is what a target must be able to do.
type Store interface {
	Stat(ctx context.Context, url string) (Info, error)
	Put(ctx context.Context, url string, body Body, size int64, opts PutOptions) error
	Open(ctx context.Context, url string, from store.Position) (*store.Object, error)
}

// Body is the content of an object.
type Body interface {
	io.ReadSeeker
	io.ReaderAt
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
	err = r.again(ctx, func() error {
		is, err = r.lookOnce(ctx, it)
		return err
	})
	if err != nil {
		return none, fmt.Errorf("%s: %w", it.what, err)
	}
	return is, nil
}

func (r *run) lookOnce(ctx context.Context, it *item) (found, error) {
	url := r.place.to + it.name
	info, err := r.Store.Stat(ctx, url)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none, nil
	case err != nil:
		return none, err
	case info.Size >= 0 && info.Size != it.size:
		return other, nil
	case info.SHA256 != nil && *info.SHA256 == it.sum:
		return same, nil
	case info.SHA256 != nil:
		return other, nil
	}
	sum, n := sha256.New(), int64(0)
	if n, err = r.each(ctx, url, it.size, sum); err != nil {
		return none, err
	}
	if n == it.size && bytes.Equal(sum.Sum(nil), it.sum[:]) {
		return same, nil
	}
	return other, nil
}

// each reads an object, and a byte more than it may have at most.
func (r *run) each(ctx context.Context, url string, limit int64, to io.Writer) (int64, error) {
	obj, err := r.Store.Open(ctx, url, store.Position{})
	if err != nil {
		return 0, err
	}
	defer obj.Body.Close()
	return io.Copy(to, io.LimitReader(obj.Body, limit+1))
}

// maxDocument bounds what is read of a manifest or a signature document.
const maxDocument = 1 << 20

// read reads a small object.
func (r *run) read(ctx context.Context, name string) (data []byte, err error) {
	err = r.again(ctx, func() error {
		var b bytes.Buffer
		n, err := r.each(ctx, r.place.to+name, maxDocument, &b)
		if err == nil && n > maxDocument {
			err = fmt.Errorf("%q is larger than %d bytes", redact.URL(r.place.to+name), maxDocument)
		}
		data = b.Bytes()
		return err
	})
	return data, err
}

// body is a content on its way.
type body struct {
	*io.SectionReader
	ctx context.Context
	bar *progress.Bar
	at  int64
}

// Read reads on, and shows how far that is.
func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	n, err := b.SectionReader.Read(p)
	b.at += int64(n)
	b.bar.Set(b.at, b.Size())
	return n, err
}

// Seek goes elsewhere, as for another attempt.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	at, err := b.SectionReader.Seek(offset, whence)
	b.at = at
	return at, err
}
