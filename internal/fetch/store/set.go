package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"
)

// Options are common to all stores. The zero value is usable.
type Options struct {
	UserAgent      string        // NAME/VERSION; sent to every server
	ConnectTimeout time.Duration // for a connection, TLS included; default 30 s
	HeaderTimeout  time.Duration // from request to the head of its answer; default 60 s
	TLS            *tls.Config   // nil: the system's roots
	// Access, if set, is asked before each request of http and https, redirects
	// included, for what the server gets. Its error is permanent.
	Access func(u *url.URL, way Way) (Access, error)
}

// Set opens objects of the schemes that it is given. It is safe for concurrent
// use.
type Set struct {
	opts    Options
	schemes Schemes
	mu      sync.Mutex
	stores  map[string]Store // by scheme, made on first use
}

// NewSet makes a Set of schemes; it opens nothing.
func NewSet(opts Options, schemes Schemes) *Set {
	if opts.ConnectTimeout <= 0 {
		opts.ConnectTimeout = 30 * time.Second
	}
	if opts.HeaderTimeout <= 0 {
		opts.HeaderTimeout = time.Minute
	}
	return &Set{opts: opts, schemes: schemes, stores: map[string]Store{}}
}

// Open opens rawURL at from: see Store.Open.
func (s *Set) Open(ctx context.Context, rawURL string, from Position) (*Object, error) {
	u, def, err := s.schemes.parse(rawURL)
	if err != nil {
		return nil, err
	}
	if from.Offset < 0 || from.Length < 0 || from.End() < from.Offset {
		return nil, badURL(rawURL, fmt.Errorf("%d bytes from %d are no range", from.Length, from.Offset), "")
	}
	obj, err := s.store(u.Scheme, def).Open(ctx, u, from)
	if err != nil {
		return nil, err
	}
	if !obj.Part && from.Length > 0 && obj.Size >= 0 && obj.Size < from.End() {
		obj.Body.Close()
		return nil, Failure(ctx, "open", u, from.Holds(from.Offset, obj.Size-1))
	}
	obj.Body = &bounded{obj.Body, ctx}
	if obj.Part {
		obj.Body = &exact{obj.Body, from.Length}
	}
	return obj, nil
}

// Connect begins to make n connections to where rawURL is opened, if its store is a
// Connector.
func (s *Set) Connect(ctx context.Context, rawURL string, n int) {
	u, def, err := s.schemes.parse(rawURL)
	if err != nil {
		return // Open says so
	}
	if c, ok := s.store(u.Scheme, def).(Connector); ok {
		c.Connect(ctx, u, n)
	}
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
		if c, ok := st.(interface{ CloseIdle() }); ok {
			c.CloseIdle()
		}
	}
}

func (s *Set) store(name string, def Definition) Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.stores[name]
	if !ok {
		st = def.New(s.opts)
		s.stores[name] = st
	}
	return st
}

// Check is Schemes.Check.
func (s *Set) Check(rawURL string) error { return s.schemes.Check(rawURL) }
