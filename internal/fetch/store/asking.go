package store

import (
	"context"
	"fmt"
	"net/http"
)

// Asking is a Set that asks before each request.
type Asking struct {
	set   *Set
	allow func(url string) error
}

// Asking returns an opener that asks allow about each URL before it is opened,
// and about each that a server of http or https redirects to before that is
// requested; s3 and gs follow none. The error of allow is permanent, and Open
// wraps it.
func (s *Set) Asking(allow func(url string) error) *Asking { return &Asking{s, allow} }

// Open is Set.Open.
func (a *Asking) Open(ctx context.Context, rawURL string, from Position) (*Object, error) {
	if err := a.allow(rawURL); err != nil {
		return nil, err
	}
	return a.set.Open(context.WithValue(ctx, askKey{}, a.allow), rawURL, from)
}

// askKey finds the function that is to be asked. It travels in the context of
// a request because the clients, and the connections that they keep, serve
// manifests and archives alike.
type askKey struct{}

// stay follows no redirect: signatures and tokens are for one server.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// askRedirect asks about the URL that a server redirects to.
func askRedirect(next *http.Request) error {
	allow, ok := next.Context().Value(askKey{}).(func(string) error)
	if !ok {
		return nil
	}
	if err := allow(next.URL.String()); err != nil {
		return fmt.Errorf("redirected: %w", err)
	}
	return nil
}
