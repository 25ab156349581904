package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"stretcher/internal/text/redact"
)

// Options are common to all stores. The zero value is usable.
type Options struct {
	UserAgent      string        // NAME/VERSION; sent to every server
	ConnectTimeout time.Duration // for a connection, TLS included; default 30 s
	HeaderTimeout  time.Duration // from request to the head of its answer; default 60 s
	TLS            *tls.Config   // nil: the system's roots
}

// scheme is what the package knows of one URL scheme.
type scheme struct {
	check func(*url.URL) error // the shape of a URL; no network, no disk
	open  func(Options) Store  // makes no client yet
}

// schemes is where a new scheme is registered; the rest of it is in a file of
// its own.
func schemes() map[string]scheme {
	return map[string]scheme{
		"file":  {checkFile, newFile},
		"http":  {checkHTTP, newHTTP},
		"https": {checkHTTP, newHTTP},
		"s3":    {checkBucket, newS3},
		"gs":    {checkBucket, newGS},
	}
}

// Set opens objects of every known scheme. It is safe for concurrent use.
type Set struct {
	opts   Options
	mu     sync.Mutex
	stores map[string]Store // by scheme, made on first use
}

// NewSet makes a Set; it opens nothing.
func NewSet(opts Options) *Set {
	if opts.ConnectTimeout <= 0 {
		opts.ConnectTimeout = 30 * time.Second
	}
	if opts.HeaderTimeout <= 0 {
		opts.HeaderTimeout = time.Minute
	}
	return &Set{opts: opts, stores: map[string]Store{}}
}

// Open opens rawURL at from: see Store.Open.
func (s *Set) Open(ctx context.Context, rawURL string, from Position) (*Object, error) {
	u, sch, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if from.Offset < 0 || from.Length < 0 || from.end() < from.Offset {
		return nil, badURL(rawURL, fmt.Errorf("%d bytes from %d are no range", from.Length, from.Offset), "")
	}
	obj, err := s.store(u.Scheme, sch).Open(ctx, u, from)
	if err != nil {
		return nil, err
	}
	if !obj.Part && from.Length > 0 && obj.Size >= 0 && obj.Size < from.end() {
		obj.Body.Close()
		return nil, failure(ctx, "open", u, from.holds(from.Offset, obj.Size-1))
	}
	obj.Body = &bounded{obj.Body, ctx}
	if obj.Part {
		obj.Body = &exact{obj.Body, from.Length}
	}
	return obj, nil
}

// bounded is a body that ends with its context at once: a transport notices
// later, and may hand on what it has until then.
type bounded struct {
	io.ReadCloser
	ctx context.Context
}

// Read fails with the context's cause once it has ended.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", err, context.Cause(b.ctx))
	}
	return b.ReadCloser.Read(p)
}

// Close lets go of idle connections. The Set stays usable.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.stores {
		if c, ok := st.(interface{ closeIdle() }); ok {
			c.closeIdle()
		}
	}
}

func (s *Set) store(name string, sch scheme) Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.stores[name]
	if !ok {
		st = sch.open(s.opts)
		s.stores[name] = st
	}
	return st
}

// Check tells whether rawURL has a known scheme and the parts it needs, without
// asking any server. Its errors are those of Open.
func Check(rawURL string) error {
	_, _, err := parse(rawURL)
	return err
}

// Schemes lists the known schemes in order.
func Schemes() []string { return slices.Sorted(maps.Keys(schemes())) }

func parse(rawURL string) (*url.URL, scheme, error) {
	u, err := url.Parse(rawURL)
	if inner := strings.Trim(rawURL, " \t\r\n\"'`<>"); (err != nil || u.Scheme == "") && inner != rawURL && inner != "" {
		return nil, scheme{}, badURL(inner, errors.New("spaces, quotes or brackets stand around it"), "take them away")
	}
	if err != nil {
		return nil, scheme{}, badURL(rawURL, errors.New("malformed URL"), "")
	}
	if u.Scheme == "" {
		return nil, scheme{}, badURL(rawURL, mark(ErrScheme, errors.New("no URL scheme")), schemeHint(rawURL))
	}
	sch, ok := schemes()[u.Scheme]
	if !ok {
		err := fmt.Errorf("%w %q", ErrScheme, u.Scheme)
		return nil, scheme{}, badURL(rawURL, err, "known schemes: "+strings.Join(Schemes(), ", "))
	}
	if err := sch.check(u); err != nil {
		return nil, scheme{}, badURL(rawURL, err, "")
	}
	return u, sch, nil
}

func schemeHint(rawURL string) string {
	if strings.HasPrefix(rawURL, "/") {
		return "for a local file write file://" + redact.URL(rawURL)
	}
	return "for a local file write file:///absolute/path; known schemes: " + strings.Join(Schemes(), ", ")
}

func badURL(rawURL string, err error, hint string) error {
	return &Error{Op: "URL", URL: redact.URL(rawURL), Err: err, Hint: hint}
}

// checkBucket is for scheme://bucket/key.
func checkBucket(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("credentials do not belong into the URL")
	case u.Host == "" || u.Opaque != "":
		return errors.New("no bucket")
	case u.Port() != "":
		return errors.New("a port after the bucket")
	case u.Fragment != "":
		return errors.New("write # in a key as %23")
	case key(u) == "":
		return errors.New("no key after the bucket")
	}
	return nil
}

// key is the object's name in its bucket, percent-encoding undone. It never
// begins with a slash: many manifests are made by putting together a prefix
// that ends in one and a name that begins with one.
func key(u *url.URL) string { return strings.TrimLeft(u.Path, "/") }
