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
}

// Archive opens the archive with the wanted checksum, which the mirrors of src are
// said to have; it is nil where it is not here. It is verified each time: one that is
// damaged goes, with a warning, and one of more than limit bytes (0: of any size) is
// not taken. The error is that of ctx.
func (k Kept) Archive(ctx context.Context, src []string, want checksum.Checksum, limit int64) (*os.File, error) {
	finders := []func(sum string) (*os.File, bool){k.Store.Pool().Archive}
	if k.Store != nil && isStrong(want) {
		finders = append(finders, k.Store.Find)
	}
	for _, find := range finders {
		f, ok := find(KeyOf(src, want))
		if !ok {
			continue
		}
		if !Fits(f, limit) {
			_ = f.Close()
			continue
		}
		if f, err := k.usable(ctx, src, want, f); f != nil || err != nil {
			if f != nil {
				k.Store.Pool().Spare(f)
			}
			return f, err
		}
	}
	return nil, nil
}

// usable returns the open file if it is the right one; else it is closed and
// dropped.
func (k Kept) usable(ctx context.Context, src []string, want checksum.Checksum, f *os.File) (*os.File, error) {
	err := k.verify(ctx, f, want)
	if err == nil {
		k.Log.Info(fmt.Sprintf("taking the archive from the cache, %s is right", want.Algorithm))
		return f, nil
	}
	defer f.Close()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	k.Log.Warn(failure.Sayf("the archive %s in the cache is damaged: %v", want, errors.Join(err, k.Drop(src, want, f))))
	return nil, nil
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
func (k Kept) Put(src []string, want checksum.Checksum, f *os.File) error {
	return k.Store.Pool().Put(KeyOf(src, want), f)
}

// Has tells whether the pool has an archive, whatever it is worth.
func (k Kept) Has(src []string, want checksum.Checksum) bool {
	f, ok := k.Store.Pool().Archive(KeyOf(src, want))
	if ok {
		_ = f.Close()
	}
	return ok
}

// Drop takes a damaged archive out of all that is kept; with nil, the one that is in
// the pool out of that.
func (k Kept) Drop(src []string, want checksum.Checksum, bad *os.File) error {
	err := k.Store.Pool().Drop(KeyOf(src, want), bad)
	if bad != nil {
		err = errors.Join(err, k.Store.Drop(bad))
	}
	return err
}

// Fits tells whether an archive has at most limit bytes; 0 = of any size.
func Fits(f *os.File, limit int64) bool {
	info, err := f.Stat()
	return err == nil && (limit == 0 || info.Size() <= limit)
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
