package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
)

// Kept is what is on this machine already, in the pool of a cache or kept of a run.
type Kept struct {
	Store  *cache.Store // nil = nothing
	Log    *slog.Logger
	Screen *progress.Screen // shows how far a verification is; nil = nobody looks
	// Unnamed makes a file for an archive that is to be put together.
	Unnamed func(size int64) (*os.File, error)
}

// Archive opens the archive with the wanted checksum, which the mirrors of src are
// said to have; it is nil where it is not here. It is verified each time: one that is
// damaged goes, with a warning, and one of more than limit bytes (0: of any size) is
// not taken. The error is that of ctx.
func (k Kept) Archive(ctx context.Context, src []string, want checksum.Checksum, limit int64) (*os.File, error) {
	finders := []func(sum string) (*cache.Archive, bool){k.Store.Pool().Archive}
	if k.Store != nil && isStrong(want) {
		finders = append(finders, k.Store.Find)
	}
	for _, find := range finders {
		a, ok := find(KeyOf(src, want))
		if !ok {
			continue
		}
		if !Fits(a, limit) {
			_ = a.Close()
			continue
		}
		if f, err := k.usable(ctx, src, want, a); f != nil || err != nil {
			if f != nil {
				k.Store.Pool().Spare(f)
			}
			return f, err
		}
	}
	return nil, nil
}

// usable returns the archive in a file if it is the right one; else it is closed and
// dropped.
func (k Kept) usable(ctx context.Context, src []string, want checksum.Checksum, a *cache.Archive) (*os.File, error) {
	f, err := k.Whole(ctx, src, want, a)
	if err == nil {
		k.Log.Info(fmt.Sprintf("taking the archive from the cache, %s is right", want.Algorithm))
		return f, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	k.Log.Warn(failure.Sayf("the archive %s in the cache %v", want, err))
	return nil, nil
}

// Whole gives all of an archive in a file, verified: in its own, if it is whole; else it
// is put together in another, which takes its place in the pool. The archive is closed if
// it has none of its own, or is not the right one: then it goes, with all that lies in
// what is damaged of it. The error goes on from what the archive is called.
func (k Kept) Whole(
	ctx context.Context, src []string, want checksum.Checksum, a *cache.Archive,
) (f *os.File, err error) {
	if f = a.File(); f != nil {
		if err = k.verify(ctx, f, want); err == nil {
			return f, nil
		}
	}
	defer a.Close()
	if f == nil {
		if f, err = k.composed(ctx, a); err != nil {
			return nil, fmt.Errorf("can't be put together: %w", err)
		}
		if err = k.verify(ctx, f, want); err == nil {
			if k.Store.Pool().IsOf(KeyOf(src, want), a.Parts()) { // or it stays as it is
				_ = k.Put(src, want, cache.Whole(f))
			}
			return f, nil
		}
		_ = f.Close()
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return nil, fmt.Errorf("is damaged: %w", errors.Join(err, k.drop(ctx, a)))
}

// composed puts an archive together. Whether it is the right one is not known.
func (k Kept) composed(ctx context.Context, a *cache.Archive) (*os.File, error) {
	size, err := a.Size()
	if err != nil {
		return nil, err
	}
	f, err := k.Unnamed(size)
	if err == nil {
		if err = a.Compose(ctx, f); err != nil {
			_ = f.Close()
		}
	}
	return f, err
}

// verify is Verify for people who wait for it.
func (k Kept) verify(ctx context.Context, f *os.File, want checksum.Checksum) error {
	if k.Screen == nil {
		return Verify(ctx, f, want)
	}
	bar, size := k.Screen.Bar("verify"), int64(-1)
	defer bar.Close()
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	return verify(ctx, f, want, func(done int64) { bar.Set(done, size) })
}

// Put leaves a verified archive in the pool.
func (k Kept) Put(src []string, want checksum.Checksum, a *cache.Archive) error {
	return k.Store.Pool().Put(KeyOf(src, want), a)
}

// Has tells whether the pool has an archive, whatever it is worth.
func (k Kept) Has(src []string, want checksum.Checksum) bool {
	a, ok := k.Store.Pool().Archive(KeyOf(src, want))
	if ok {
		_ = a.Close()
	}
	return ok
}

// Drop takes an archive that has served out of the pool.
func (k Kept) Drop(src []string, want checksum.Checksum) error {
	return k.Store.Pool().Drop(KeyOf(src, want))
}

// drop takes the files of a damaged archive out of all that is kept, with all that lies
// in them. Of one in pieces, the base goes as well if that is damaged: others may be of
// it.
func (k Kept) drop(ctx context.Context, bad *cache.Archive) error {
	all := []*os.File{bad.File()}
	if bad.Parts() != nil {
		all[0] = bad.Parts()
		if base, key := bad.Base(); !k.isSound(ctx, base, key) {
			all = append(all, base)
		}
	}
	var errs []error
	for _, f := range all {
		errs = append(errs, k.Store.Pool().DropFile(f), k.Store.Drop(f))
	}
	return errors.Join(errs...)
}

// isSound tells whether a base is the archive that it was. One that nobody has found to
// be another is taken for it.
func (k Kept) isSound(ctx context.Context, base *os.File, key string) bool {
	var want checksum.Checksum
	if want.UnmarshalText([]byte(key)) != nil || !isStrong(want) {
		return false
	}
	return k.verify(ctx, base, want) == nil || context.Cause(ctx) != nil
}

// Fits tells whether an archive has at most limit bytes; 0 = of any size.
func Fits(a *cache.Archive, limit int64) bool {
	size, err := a.Size()
	return err == nil && (limit == 0 || size <= limit)
}

// KeyOf is what an archive is called in the pool: by its checksum. What can be made
// to have the checksum of something else is only taken for the same mirrors.
func KeyOf(src []string, sum checksum.Checksum) string {
	if isStrong(sum) {
		return sum.String()
	}
	return fmt.Sprintf("%s-%.8x", sum, sha256.Sum256([]byte(strings.Join(src, "\n"))))
}

// isStrong tells whether nobody can make two archives with one checksum.
func isStrong(sum checksum.Checksum) bool { return len(sum.Digest) >= sha256.Size }
