package store

import (
	"context"
	"fmt"
)

// Asking is a Set that asks before each request.
type Asking struct {
	set   *Set
	allow func(url string) error
}

// Asking returns an opener that asks allow about each URL before it is opened,
// and about each that a server redirects to before that is requested; of s3
// about the object that it is, gs follows none. The error of allow is
// permanent, and Open wraps it.
func (s *Set) Asking(allow func(url string) error) *Asking { return &Asking{s, allow} }

// Open is Set.Open.
func (a *Asking) Open(ctx context.Context, rawURL string, from Position) (*Object, error) {
	if err := a.allow(rawURL); err != nil {
		return nil, err
	}
	return a.set.Open(context.WithValue(ctx, askKey{}, a.allow), rawURL, from)
}

// Connect is Set.Connect, if rawURL may be opened.
func (a *Asking) Connect(ctx context.Context, rawURL string, n int) {
	if a.allow(rawURL) == nil {
		a.set.Connect(ctx, rawURL, n)
	}
}

// askKey finds the function that is to be asked. It travels in the context of
// a request because the clients, and the connections that they keep, serve
// manifests and archives alike.
type askKey struct{}

// Ask asks about the URL that a server redirects to.
func Ask(ctx context.Context, next string) error {
	allow, ok := ctx.Value(askKey{}).(func(string) error)
	if !ok {
		return nil
	}
	if err := allow(next); err != nil {
		return fmt.Errorf("redirected: %w", err)
	}
	return nil
}
