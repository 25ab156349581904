// Package obtain brings an archive to this host: the one that is here already, or what
// the host does not have of it, if the archive has an index, or all of it.
//
// Its words: a way is one of these three; an archive that is put together has parts,
// and is read as one that is in a file; entire is an archive as it is at the server,
// byte for byte, and not its contents alone.
//
// It imports fetch and what is below it, archive, archive/index and the packages below
// text. It knows neither manifests nor strategies: what a run wants it is told.
package obtain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// Archive is what there is to unpack.
type Archive struct {
	Input  archive.Input  // what is unpacked; nil = it is not here
	File   *os.File       // all of it, verified; nil = not all of it is here
	Parts  *delta.Rebuilt // that it is put together from; nil = it is in the file
	kept   *kept          // how it is kept meanwhile; nil = it is not put together
	Source string         // where it is from, without secrets
	Record string         // dest is what the archive makes of it, as this record says: nothing is to be unpacked
}

// IsCurrent tells whether dest has its content already.
func (a Archive) IsCurrent() bool { return a.Record != "" }

// With is the archive in a file that has been verified. Where archives have an
// index, the next one is compared with what this one holds.
func (a Archive) With(f *os.File, w Wanted) Archive {
	a.Input, a.File = archive.FileInput(f, w.isIndexed()), f
	return a
}

// kept is all of an archive, in pieces. It is there when the parts are composed, and nil
// where these are in a file.
type kept struct{ archive *cache.Archive }

// Kept waits for all of the archive as it can be kept, which is closed with this one; nil
// = it is not here.
func (a Archive) Kept() (*cache.Archive, error) {
	if a.File != nil || a.Parts == nil {
		return cache.Whole(a.File), nil
	}
	f, err := a.Parts.Composed()
	if err != nil || f != nil {
		return cache.Whole(f), err
	}
	return a.kept.archive, nil
}

// Close gives the archive's room back.
func (a *Archive) Close() {
	if a.File != nil {
		_ = a.File.Close()
	}
	_ = a.Parts.Close()
	a.File, a.Input, a.Parts = nil, nil, nil
}

// Wanted is an archive that a run wants, and what that knows.
type Wanted struct {
	Src             []string // mirrors, in order
	Checksum, Index checksum.Checksum
	Limit           int64 // on its size, in bytes
	Connections     int
	Pools           bool // what is fetched stays, for who deploys it next
	Complete        bool // all of it shall be here in the end, if that costs little more

	// Meanwhile begins to unpack the archive while parts of it are on their way, and gives
	// what ends that where they do not come. nil = nobody does.
	Meanwhile func(in archive.Input) (end func())

	Places
	Deployed
	entire bool
}

func (w Wanted) isIndexed() bool { return w.Index.Algorithm != "" }

// Places make files without a name.
type Places struct {
	Staying   func(size int64) (*os.File, error) // for an archive, where it is going to stay
	Composing func(size int64) (*os.File, error) // for one that is put together, likewise
	Passing   func(size int64) (*os.File, error) // for what is needed for the run alone
}

// Deployed is what is known of the tree that was deployed last, and what is going to be
// made of it.
type Deployed struct {
	Last  string                     // the key of its archive; "" = none
	Strip int                        // how many parts of the paths in the archive those in the tree do not have
	Tree  func() (delta.Live, error) // opens it
	// Record gives what is recorded of its files; nil = nothing is.
	Record func(live *os.Root) delta.Left
	// Ahead loads what will be asked for of the record, while the archive comes; nil = nothing is.
	Ahead func()
	// Wants finds which contents are going to be read; nil: all.
	Wants func(ctx context.Context, in archive.Input) (func(index.Sum) bool, error)
}

// Ways are the ways of one run.
type Ways struct {
	Fetcher *fetch.Fetcher
	Cache   *cache.Store // nil = nothing is kept
	Log     *slog.Logger
	Screen  *progress.Screen
}

// Archives are those that are on this machine already.
func (y Ways) Archives() fetch.Kept { return fetch.Kept{Store: y.Cache, Log: y.Log, Screen: y.Screen} }

// archives are they, with a place for one that is put together. Who only looks has none
// where it would stay.
func (y Ways) archives(w Wanted) fetch.Kept {
	k := y.Archives()
	if k.Unnamed = w.Composing; y.Cache.Reads() {
		k.Unnamed = w.Passing
	}
	return k
}

// Here is the archive where it is on this machine already. File is nil where it is
// not; an error is that of ctx.
func (y Ways) Here(ctx context.Context, w Wanted) (Archive, error) {
	f, err := y.archives(w).Archive(ctx, w.Src, w.Checksum, w.Limit)
	if f == nil || err != nil {
		return Archive{}, err
	}
	a := Archive{}.With(f, w)
	if len(w.Src) > 0 {
		a.Source = redact.URL(w.Src[0])
	}
	return a, nil
}

// Archive brings the archive here, unless it is already: what the host does not
// have of it, if there is an index, or all of it, to the file that is unpacked. It
// arrives where it is going to stay, else where a run may keep files.
func (y Ways) Archive(ctx context.Context, w Wanted) (Archive, error) {
	if a, err := y.Here(ctx, w); a.File != nil || err != nil {
		return a, err
	}
	run := ctx
	ctx, cancel := y.Fetcher.Bounded(ctx)
	defer cancel()
	var begun *delta.Whole
	if !w.isIndexed() && w.Ahead != nil {
		go w.Ahead()
	}
	if w.isIndexed() {
		host := y.host(w)
		if host.IsBare() {
			return y.first(ctx, w, host)
		}
		a, whole, err := y.parts(ctx, run, w, host)
		if err == nil {
			return a, nil
		}
		if context.Cause(ctx) != nil {
			return Archive{}, context.Cause(ctx)
		}
		y.Fetcher.SayWhole(err)
		defer whole.Close()
		begun = whole
	}
	return y.whole(ctx, w, begun, w.Staying)
}

// Passing is the archive that is here, or is fetched for this run alone.
func (y Ways) Passing(ctx context.Context, w Wanted) (Archive, error) {
	if a, err := y.Here(ctx, w); a.File != nil || err != nil {
		return a, err
	}
	return y.whole(ctx, w, nil, w.Passing)
}

// Pooled brings all of an archive into the pool.
func (y Ways) Pooled(ctx context.Context, w Wanted) error {
	w.entire = true
	a, err := y.Archive(ctx, w)
	if err != nil {
		return err
	}
	defer a.Close()
	kept, err := a.Kept()
	if err != nil {
		y.Fetcher.SayWhole(err)
		whole, err := y.whole(ctx, w, nil, w.Staying)
		if err != nil {
			return err
		}
		defer whole.Close()
		kept = cache.Whole(whole.File)
	}
	if err := y.Archives().Put(w.Src, w.Checksum, kept); err != nil {
		hint := fmt.Sprintf("cache.size in the host policy, and the room in %q, bound it", y.Cache.Pool().Path())
		return failure.Hinted(hint, err)
	}
	return nil
}

// Read hands an archive over to be read. If it turns out that what it is put
// together from is not there any more, or is not what the index says, it is the
// whole archive then, and is handed over once more. That need not be fetched if
// all of it has been put together.
func (y Ways) Read(ctx context.Context, w Wanted, a *Archive, read func(archive.Input) error) error {
	err := read(a.Input)
	if err == nil || a.Parts == nil || context.Cause(ctx) != nil || !a.Parts.IsLost(err) {
		return err
	}
	if f, missing := y.composed(ctx, w, a); missing == nil {
		y.Log.Warn(failure.Sayf("taking the whole archive, which was put together: %v", err))
		a.Input = archive.FileInput(f, true)
		return read(a.Input)
	}
	y.Fetcher.SayWhole(err)
	whole, err := y.whole(ctx, w, nil, w.Staying)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	a.Close()
	*a = whole
	return read(a.Input)
}

// composed is all of an archive that was put together from parts, in a file.
func (y Ways) composed(ctx context.Context, w Wanted, a *Archive) (*os.File, error) {
	all, err := a.Kept()
	if err != nil || all.File() != nil {
		return all.File(), err
	}
	if a.File, err = y.archives(w).Whole(ctx, w.Src, w.Checksum, all); err != nil {
		y.Log.Warn(failure.Sayf("what is kept of the archive %v", err))
	}
	return a.File, err
}

// FromKept is the archive that is kept by what it is called, or is brought here where that
// is damaged.
func (y Ways) FromKept(ctx context.Context, w Wanted, all *cache.Archive, name string) (Archive, error) {
	if !fetch.Fits(all, w.Limit) {
		_ = all.Close()
		return Archive{}, fmt.Errorf("%s is %w: %d bytes are allowed", name, transfer.ErrTooLarge, w.Limit)
	}
	f, err := y.archives(w).Whole(ctx, w.Src, w.Checksum, all)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return Archive{}, cause
		}
		y.Log.Warn(failure.Sayf("%s %v; fetching it again", name, err))
		return y.Archive(ctx, w)
	}
	y.Log.Info(fmt.Sprintf("taking %s, %s is right", name, w.Checksum.Algorithm))
	return Archive{Source: name}.With(f, w), nil
}

// Foresee has an archive read that is to be compared with dest: by its index alone,
// if that will do, or all of it. tell is told what a deployment would fetch, if that is
// known, and nil where it turns out not to be. The caller closes the archive.
func (y Ways) Foresee(
	ctx context.Context, w Wanted, tell func(*delta.Foreseen), read func(Archive) error,
) (a Archive, err error) {
	if a, err = y.Here(ctx, w); a.File == nil && err == nil && w.isIndexed() {
		bounded, cancel := y.Fetcher.Bounded(ctx)
		defer cancel()
		a.Source = redact.URL(w.Src[0])
		done, why := y.host(w).Peek(bounded, y.server(w), func(seen *delta.Foreseen) error {
			a.Input = seen
			tell(seen)
			return read(a)
		})
		if done {
			return a, why
		}
		tell(nil)
		if err = context.Cause(bounded); err == nil {
			y.Fetcher.SayWhole(why)
		}
	}
	if a.File == nil && err == nil {
		a, err = y.whole(ctx, w, nil, w.Passing)
	}
	if err != nil {
		return a, fmt.Errorf("fetch: %w", err)
	}
	return a, read(a)
}

// whole fetches all of an archive, from the answer that a mirror has begun to give, if
// there is one, and leaves it in the pool. With an error, the source is the one that
// was tried last.
func (y Ways) whole(
	ctx context.Context, w Wanted, begun *delta.Whole, place func(size int64) (*os.File, error),
) (a Archive, err error) {
	f := *y.Fetcher
	f.Trying = func(source string) { a.Source = source }
	f.Transfer.Connections = w.Connections
	f.Unnamed, f.Begun = place, begun
	got, err := f.Archive(ctx, w.Src, w.Checksum, w.Limit)
	if y.Cache.Pool().GiveWay(err) {
		y.Log.Info(failure.Sayf("the cache has made room: %v", err))
		f.Begun = nil
		got, err = f.Archive(ctx, w.Src, w.Checksum, w.Limit)
	}
	if err != nil {
		return a, err
	}
	if w.Pools {
		y.pool(w, cache.Whole(got.File))
	}
	return a.With(got.File, w), nil
}

// pool leaves a verified archive in the pool. Failing at that fails nothing.
func (y Ways) pool(w Wanted, archive *cache.Archive) {
	err := y.Archives().Put(w.Src, w.Checksum, archive)
	switch {
	case errors.Is(err, cache.ErrTooLarge):
		y.Log.Info(failure.Text(err))
	case err != nil:
		y.Log.Warn(failure.Sayf("the next run will have to fetch: %v", err))
	}
}
