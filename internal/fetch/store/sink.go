package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"stretcher/internal/text/redact"
)

// Sentinels of writing.
var (
	// ErrReadOnly: objects of this scheme can be read only. Permanent.
	ErrReadOnly = errors.New("can't be written to")
	// ErrSmall: this scheme keeps manifests, and no archives. Permanent.
	ErrSmall = errors.New("manifests lie there, and no archives")
	// ErrExists: there is an object already, and PutOptions.New asks for none. Permanent.
	ErrExists = errors.New("exists already")
)

// Sink is a Store that can be written to.
//
// Put makes size bytes of body the object of u: all of them, or the name holds
// what it held before. It puts opts.SHA256 beside them, where Stat finds it
// again. Stat tells what is there, or fails with ErrNotFound; to who may write and
// not read, servers say ErrDenied instead. The errors of both are those of
// Store.Open.
type Sink interface {
	Store
	Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts PutOptions) error
	Stat(ctx context.Context, u *url.URL) (Info, error)
}

// PutOptions say what is written.
type PutOptions struct {
	SHA256      [sha256.Size]byte // of the body
	ContentType string            // "" is application/octet-stream
	New         bool              // never in the place of another object: ErrExists
	// Progress, if set, is called with the number of bytes that the server has. It
	// goes back when an attempt has failed.
	Progress func(done int64)
}

// Report calls Progress.
func (o PutOptions) Report(done int64) {
	if o.Progress != nil {
		o.Progress(done)
	}
}

// Type is the ContentType to write.
func (o PutOptions) Type() string {
	if o.ContentType == "" {
		return "application/octet-stream"
	}
	return o.ContentType
}

// Info is what is known of an object without reading it.
type Info struct {
	Size    int64              // -1 when the server does not say
	SHA256  *[sha256.Size]byte // as who wrote the object said, which is no proof; nil when nobody did
	Version string             // see Object.Version
}

// Put writes an object: see Sink. A body that is not so long, or has another
// SHA-256 than opts says, is an error before anything is sent; nobody writes to
// it meanwhile. What may pass is tried again, a few times.
func (s *Set) Put(ctx context.Context, rawURL string, body io.ReaderAt, size int64, opts PutOptions) error {
	u, sink, err := s.sink(rawURL)
	if err != nil {
		return err
	}
	if err := verify(ctx, body, size, opts.SHA256); err != nil {
		return Failure(ctx, "put", u, err)
	}
	first := true
	return Again(ctx, func() error {
		err := sink.Put(ctx, u, body, size, opts)
		if errors.Is(err, ErrExists) && !first && s.holds(ctx, u, sink, size, opts) {
			return nil // an earlier attempt succeeded, and its answer was lost
		}
		first = false
		return err
	})
}

// Stat tells what is known of the object at rawURL: see Sink.
func (s *Set) Stat(ctx context.Context, rawURL string) (Info, error) {
	u, sink, err := s.sink(rawURL)
	if err != nil {
		return Info{}, err
	}
	var info Info
	err = Again(ctx, func() (err error) {
		info, err = sink.Stat(ctx, u)
		return err
	})
	return info, err
}

// CheckPut is Check for a URL that is to be written to.
func (s *Set) CheckPut(rawURL string) error {
	_, _, err := s.sink(rawURL)
	return err
}

// CheckPutArchive is CheckPut for a URL that an archive is to be written to.
func (s *Set) CheckPutArchive(rawURL string) error {
	_, def, _ := s.schemes.parse(rawURL)
	switch {
	case def.New == nil: // said again, with the schemes that would do
		return s.writable().large().Check(rawURL)
	case def.Small:
		return &Error{Op: "put", URL: redact.URL(rawURL), Err: ErrSmall}
	}
	return s.CheckPut(rawURL)
}

func (s *Set) sink(rawURL string) (*url.URL, Sink, error) {
	u, def, err := s.schemes.parse(rawURL)
	if def.New == nil { // said again, with the schemes that would do
		_, _, err = s.writable().parse(rawURL)
		return nil, nil, err
	}
	sink, ok := s.store(u.Scheme, def).(Sink)
	switch {
	case !ok: // whatever the URL names
		return nil, nil, &Error{Op: "put", URL: redact.URL(rawURL), Err: ErrReadOnly}
	case err != nil:
		return nil, nil, err
	}
	return u, sink, nil
}

// writable are the schemes that can be written to.
func (s *Set) writable() Schemes {
	return slices.DeleteFunc(slices.Clone(s.schemes), func(def Definition) bool {
		_, ok := s.store(def.Schemes[0], def).(Sink)
		return !ok
	})
}

// holds tells whether the object is the one that is to be written.
func (s *Set) holds(ctx context.Context, u *url.URL, sink Sink, size int64, opts PutOptions) bool {
	info, err := sink.Stat(ctx, u)
	return err == nil && info.Size == size && info.SHA256 != nil && *info.SHA256 == opts.SHA256
}

// verify reads the body once: what is sent is what the caller says it is.
func verify(ctx context.Context, body io.ReaderAt, size int64, want [sha256.Size]byte) error {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	n, err := io.CopyBuffer(h, &within{ctx, io.NewSectionReader(body, 0, size)}, buf)
	switch {
	case err != nil:
		return fmt.Errorf("read what is to be sent: %w", err)
	case n < size:
		return fmt.Errorf("there are %d bytes to be sent, not %d", n, size)
	case !bytes.Equal(h.Sum(nil), want[:]):
		return errors.New("what is to be sent has another SHA-256 than it should have")
	}
	if n, _ := body.ReadAt(make([]byte, 1), size); n > 0 {
		return fmt.Errorf("there are more than %d bytes to be sent", size)
	}
	return nil
}

// within is a reader that ends with its context.
type within struct {
	ctx context.Context
	io.Reader
}

// Read fails once the context has ended.
func (w *within) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Reader.Read(p)
}

const (
	putAttempts = 4
	putWait     = time.Second      // before the second attempt; it doubles
	putAfter    = 30 * time.Second // the longest pause that a server may ask for
)

// Again calls try until it succeeds, its error is permanent, or it has failed a
// few times. It is for writing; package transfer does so for reading.
func Again(ctx context.Context, try func() error) error {
	wait := putWait
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || attempt == putAttempts || !Retryable(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(max(wait, min(RetryAfter(err), putAfter))):
		case <-ctx.Done():
			return err
		}
		wait *= 2
	}
}
