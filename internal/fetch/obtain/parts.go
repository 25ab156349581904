package obtain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"stretcher/internal/archive/index"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// first fetches all of an archive to where nothing is, and its index beside it.
func (y Ways) first(ctx context.Context, w Wanted, h *delta.Host) (a Archive, err error) {
	y.Fetcher.SayWhole(delta.ErrBare)
	err = h.FetchBeside(ctx, y.server(w), func() (err error) {
		a, err = y.whole(ctx, w, nil, w.Staying)
		return err
	})
	return a, err
}

// parts fetches what the host does not have of an archive, by its index. The archive is
// put together meanwhile, and until run ends.
func (y Ways) parts(ctx, run context.Context, w Wanted, host *delta.Host) (Archive, *delta.Whole, error) {
	server, began, all := y.server(w), time.Now(), &kept{}
	bar := y.Screen.Bar("fetch")
	defer bar.Close()
	server.Progress = bar.Set
	host.Begun = func(b *delta.Rebuilt) { y.compose(run, w, b, all) }
	if w.Meanwhile != nil {
		host.Meanwhile = func(b *delta.Rebuilt) func() { return w.Meanwhile(b) }
	}
	b, whole, err := host.Bring(ctx, server)
	if err != nil {
		return Archive{}, whole, err
	}
	y.Fetcher.Store.Close() // one for each request: files that unpacking may need
	took := time.Since(began).Round(time.Millisecond)
	y.Log.Info(fmt.Sprintf("fetched %s of %q, in %s", b.Stats, redact.URL(w.Src[0]), took),
		"bytes", b.Bytes, "requests", b.Requests, "whole", b.Whole)
	return Archive{Input: b, Parts: b, kept: all, Source: cmp.Or(b.Mirror, redact.URL(w.Src[0]))}, nil, nil
}

// compose has all of an archive kept for the pool and for a rollback, if it is here: in
// pieces, or put together as it is at the server.
func (y Ways) compose(ctx context.Context, w Wanted, b *delta.Rebuilt, all *kept) {
	b.Compose(ctx, delta.Whereto{
		Pieces: y.pieces(ctx, w, b, all),
		Create: w.Composing, Sum: w.Checksum.New(), Want: w.Checksum.Digest,
		Done: func(f *os.File) {
			if w.Pools {
				y.pool(w, cache.Whole(f))
			}
		},
	})
}

// pieces keeps an archive in pieces; nil = it had better be put together. One that is
// fetched before its deployment is: that shall be fast.
func (y Ways) pieces(
	ctx context.Context, w Wanted, b *delta.Rebuilt, all *kept,
) func(fetched io.ReaderAt) (io.Closer, error) {
	list, from := b.Pieces()
	before, ok := from.(*cache.Archive)
	if !ok || w.entire {
		return nil
	}
	pieces := make([]cache.Piece, len(list))
	for i, p := range list {
		pieces[i] = cache.Piece(p)
	}
	c := cache.Combine(before, pieces)
	if c == nil {
		return nil
	}
	return func(fetched io.ReaderAt) (io.Closer, error) {
		a, err := c.Write(ctx, fetched, w.Composing)
		if err != nil {
			return nil, err
		}
		if all.archive = a; w.Pools {
			y.pool(w, a)
		}
		return a, nil
	}
}

// server is what fetches parts of the archive.
func (y Ways) server(w Wanted) *delta.Server { return y.Fetcher.Parts(w.Connections) }

// host is what this machine has of the archive and of the one before.
func (y Ways) host(w Wanted) *delta.Host {
	h := &delta.Host{
		Wish:     delta.Wish{Mirrors: w.Src, Strip: w.Strip, Complete: w.Complete, All: w.entire, Unnamed: w.Passing},
		Expected: delta.Expected{Digest: index.Sum(w.Index.Digest), Limit: w.Limit},
		Shelf:    y.Cache.Pool(), Key: fetch.KeyOf(w.Src, w.Checksum), Archive: y.kept, Wants: w.Wants,
		Last: w.Last, Tree: w.Tree, Record: w.Record, Then: w.Ahead,
		Spoilt: y.Cache.Pool().DropIndex,
		Unkept: func(err error) {
			if !errors.Is(err, cache.ErrTooLarge) {
				y.Log.Warn(failure.Sayf("the index is not kept: %v", err))
			}
		},
	}
	if w.Checksum.Algorithm == w.Index.Algorithm {
		h.Expected.Archive = (*index.Sum)(w.Checksum.Digest)
	}
	return h
}

// kept is an archive that is here, by its checksum.
func (y Ways) kept(sum string) (delta.Source, bool) {
	if a, ok := y.Cache.Pool().Archive(sum); ok || y.Cache == nil {
		return a, ok
	}
	return y.Cache.Find(sum)
}
