package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// Put makes a file of body. It has no name before it is whole and on disk.
func (file) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if ctx.Err() != nil {
		return store.Failure(ctx, "put", u, nil)
	}
	if strings.HasSuffix(u.Path, "/") {
		return putError(u, errors.New("is the name of a directory"))
	}
	err := disk.PublishRegular(u.Path, disk.Publication{
		Temp: ".stretcher-put-", Perm: 0o644, New: opts.New,
		Write: func(w io.Writer) error { return write(ctx, w, body, size, opts) },
	})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return store.Failure(ctx, "put", u, nil)
	}
	return putError(u, err)
}

// write copies the body, and compares what it copies.
func write(ctx context.Context, w io.Writer, body io.ReaderAt, size int64, opts store.PutOptions) error {
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := body.ReadAt(buf[:min(int64(len(buf)), size-done)], done)
		done += int64(n)
		if err != nil && (err != io.EOF || done < size) {
			return err
		}
		sum.Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		opts.Report(done)
	}
	if [sha256.Size]byte(sum.Sum(nil)) != opts.SHA256 {
		return errors.New("what is to be written changed meanwhile")
	}
	return nil
}

func putError(u *url.URL, err error) error {
	e := &store.Error{Op: "put", URL: redact.URL(u.String())}
	kind := error(nil)
	switch {
	case errors.Is(err, fs.ErrExist):
		kind = store.ErrExists
	case errors.Is(err, fs.ErrPermission):
		kind = store.ErrDenied
	case errors.Is(err, fs.ErrNotExist):
		kind, e.Hint = store.ErrNotFound, "make the directory first"
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the URL says the path
	}
	e.Err = store.Mark(kind, err)
	return e
}

// Stat reads the file for its SHA-256.
func (file) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	if isPipe(u.Path) {
		return store.Info{Size: -1}, nil
	}
	obj, err := file{}.Open(ctx, u, store.Position{})
	if err != nil {
		return store.Info{}, err
	}
	defer obj.Body.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, obj.Body, make([]byte, 1<<20)); err != nil {
		return store.Info{}, store.Failure(ctx, "open", u, err)
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	return store.Info{Size: obj.Size, SHA256: &sum, Version: obj.Version}, nil
}
