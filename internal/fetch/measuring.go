package fetch

import (
	"context"
	"io"
	"sync/atomic"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
)

// measuring counts the bytes that come.
type measuring struct {
	transfer.Opener
	sum *atomic.Int64 // nil = nobody asks
}

// Open opens an object whose bytes are counted.
func (c measuring) Open(ctx context.Context, url string, from store.Position) (*store.Object, error) {
	obj, err := c.Opener.Open(ctx, url, from)
	if err != nil || c.sum == nil {
		return obj, err
	}
	obj.Body = counted{obj.Body, c.sum}
	return obj, nil
}

// Connect makes connections ahead, as the Opener does: nothing comes by that.
func (c measuring) Connect(ctx context.Context, url string, n int) {
	if ahead, ok := c.Opener.(interface {
		Connect(ctx context.Context, url string, n int)
	}); ok {
		ahead.Connect(ctx, url, n)
	}
}

// counted is a body whose bytes are counted.
type counted struct {
	io.ReadCloser
	sum *atomic.Int64
}

// Read counts what it reads.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum.Add(int64(n))
	return n, err
}
