package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal/history"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// Archive is what there is to unpack.
type Archive struct {
	Input  archive.Input // what is unpacked; nil = it is not here
	File   *os.File      // all of it, verified; nil = not all of it is here
	Source string        // where it is from, without secrets
	Record string        // dest is what the archive makes of it, as this record says: nothing is to be unpacked
}

func (a Archive) isCurrent() bool { return a.Record != "" }

// with is the archive in a file that has been verified.
func (a Archive) with(f *os.File) Archive {
	a.Input, a.File = archive.FileInput(f, nil), f
	return a
}

// close gives the archive's room back.
func (a *Archive) close() {
	if a.File != nil {
		_ = a.File.Close()
		a.File, a.Input = nil, nil
	}
}

// stallLimit is how long a server may send nothing.
const stallLimit = 30 * time.Second

// newFetcher returns what fetches as the flags say.
func newFetcher(t *tools) *fetch.Fetcher {
	s := t.settings
	return &fetch.Fetcher{
		Store:       store.NewSet(store.Options{UserAgent: userAgent()}, stores.List()),
		Transfer:    transfer.Options{Retries: s.Retry, Wait: s.RetryWait, Stall: stallLimit, Logger: t.log.Logger},
		Bandwidth:   s.MaxBandwidth,
		Timeout:     s.Timeout,
		Log:         t.log.Logger,
		Screen:      t.screen,
		AllowSource: t.allowSource,
	}
}

// allowSource is asked before each request for the archive at first.
func (t *tools) allowSource(first, next string) error {
	err := t.policy.Redirect(first, next)
	if err != nil && next != first && failure.Hint(err) == "" {
		return failure.Hinted("the host policy must allow where a server redirects to as well: allow.sources", err)
	}
	return err
}

// fetch brings the archive here, unless it is already, to the file that is
// unpacked. It arrives where it is going to stay, else where a run may keep files.
func (p provider) fetch(ctx context.Context, s Spec) (Archive, error) {
	if a, err := p.here(ctx, s); a.File != nil || err != nil {
		return a, err
	}
	return p.fetchTo(ctx, s, func(size int64) []string {
		places := s.tempParents()
		if tmpdir() == "" && size >= 0 {
			places = append(p.homes(s), places...)
		}
		return places
	})
}

// homes are the directories that an archive is going to stay in.
func (p provider) homes(s Spec) []string {
	switch pool := p.cached.Pool(); {
	case pool != nil && p.pools():
		return []string{pool.Path()}
	case p.keepsArchive(s):
		return []string{p.journal.State().Cache()}
	}
	return nil
}

// pools tells whether what is fetched stays, for who deploys it next.
func (p provider) pools() bool { return p.policy.Cache.Pooled() }

// fetchTo brings the archive to the best of places, and leaves it in the pool.
// With an error, the source is the one that was tried last.
func (p provider) fetchTo(ctx context.Context, s Spec, places func(size int64) []string) (a Archive, err error) {
	f := *p.fetcher
	f.Trying = func(source string) { a.Source = source }
	f.Transfer.Connections = int(s.Fetch.Connections)
	f.Unnamed = func(size int64) (*os.File, error) {
		w := disk.Wanted{What: "archive", Size: size, Candidates: places(size)}
		if dir := p.journal.State(); dir != nil {
			w.State = dir.Path()
		}
		if s.Dest != nil && s.Dest.Parent != nil { // what is wrong with it is said elsewhere
			w.Dest = s.Dest
		}
		return unnamed(w)
	}
	got, err := f.Archive(ctx, s.Src, s.Checksum, int64(s.Limits.Archive))
	if err != nil {
		return a, err
	}
	if p.pools() {
		p.pool(s, got.File)
	}
	return a.with(got.File), nil
}

// pool leaves a verified archive in the pool. Failing at that fails nothing.
func (p provider) pool(s Spec, archive *os.File) {
	err := p.cached.Pool().Put(poolKey(s), archive)
	switch {
	case errors.Is(err, cache.ErrTooLarge):
		p.log.Info(failure.Text(err))
	case err != nil:
		p.log.Warn(failure.Sayf("the next run will have to fetch: %v", err))
	}
}

// poolKey is what an archive is called in the pool: by its checksum. What can be
// made to have the checksum of something else is only taken for the same sources.
func poolKey(s Spec) string {
	sum := s.Checksum.String()
	if isStrong(s.Checksum) {
		return sum
	}
	return fmt.Sprintf("%s-%.8x", sum, sha256.Sum256([]byte(strings.Join(s.Src, "\n"))))
}

// isStrong tells whether nobody can make two archives with one checksum.
func isStrong(c checksum.Checksum) bool { return len(c.Digest) >= sha256.Size }

// here is the archive where it is on this machine already: in the pool, or kept
// of a run. It is verified each time: one that is damaged goes, with a warning, and
// one that is larger than what may be fetched is not taken. File is nil where there
// is none; an error is that of ctx.
func (p provider) here(ctx context.Context, s Spec) (Archive, error) {
	pool := p.cached.Pool()
	if f, ok := pool.Archive(poolKey(s)); ok {
		a, err := p.usable(ctx, s, f)
		if a.File != nil || err != nil {
			return a, err
		}
	}
	if p.cached == nil || !isStrong(s.Checksum) {
		return Archive{}, nil
	}
	if f, ok := p.cached.Find(s.Checksum.String()); ok {
		return p.usable(ctx, s, f)
	}
	return Archive{}, nil
}

// usable is the archive in an open file, if it is the right one. Else it is
// dropped, and the file closed.
func (p provider) usable(ctx context.Context, s Spec, f *os.File) (Archive, error) {
	if !s.allowsSize(f) {
		return Archive{}, f.Close()
	}
	err := fetch.Verify(ctx, f, s.Checksum)
	if err == nil {
		a := Archive{}.with(f)
		if len(s.Src) > 0 {
			a.Source = redact.URL(s.Src[0])
		}
		p.log.Info(fmt.Sprintf("taking the archive from the cache, %s is right", s.Checksum.Algorithm))
		return a, nil
	}
	defer f.Close()
	if cause := context.Cause(ctx); cause != nil {
		return Archive{}, cause
	}
	p.log.Warn(failure.Sayf("the archive %s in the cache is damaged: %v", s.Checksum, errors.Join(err, p.drop(s, f))))
	return Archive{}, nil
}

// drop takes a damaged archive out of all that is kept.
func (p provider) drop(s Spec, bad *os.File) error {
	return errors.Join(p.cached.Pool().Drop(poolKey(s), bad), p.cached.Drop(bad))
}

// keptOrFetched is the archive that is here, or is fetched to one of places.
func (p provider) keptOrFetched(ctx context.Context, s Spec, places func() []string) (Archive, error) {
	if a, err := p.here(ctx, s); a.File != nil || err != nil {
		return a, err
	}
	return p.fetchTo(ctx, s, func(int64) []string { return places() })
}

// allowsSize tells whether an archive is within the limit.
func (s Spec) allowsSize(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && (s.Limits.Archive == 0 || info.Size() <= int64(s.Limits.Archive))
}

// unnamed makes a file without a name.
func unnamed(w disk.Wanted) (*os.File, error) {
	place, err := disk.Private(w)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	return disk.Unnamed(place.Root())
}

// keepsArchive tells whether the archive shall stay for a rollback. Releases
// are their own; mv replaces nothing, so that there is no way back.
func (p provider) keepsArchive(s Spec) bool {
	return p.cached != nil && s.keeps() == strategy.Archive && p.policy.Cache.KeepArchives() > 0
}

// recorded is the last good run, if there is a record of dest by it.
func (p provider) recorded(s Spec) (good history.Run, ok bool) {
	good, ok = p.journal.LastGood(s.Manifest.Dest)
	return good, ok && good.Tree != ""
}

// tempParents are the places where a run may keep files, best first: what
// TMPDIR names, since somebody asked for it; the directory that holds dest,
// whose file system must have room for the tree anyway; the system's
// temporary directory.
func (s Spec) tempParents() []string {
	if s.Loaded == nil || !s.hasDest() { // a hook pod's
		return []string{os.TempDir()}
	}
	beside := filepath.Dir(s.Manifest.Dest)
	places := []string{beside, os.TempDir()}
	if dir := tmpdir(); dir != "" {
		places = []string{dir, beside}
	}
	// Not inside dest, which the sync would clear of it.
	dest := policy.Real(s.Manifest.Dest)
	return slices.DeleteFunc(places, func(dir string) bool { return below(policy.Real(dir), dest) })
}

// tmpdir is what TMPDIR names, or "". It is absolute: the next run may be
// elsewhere when it cleans up.
func tmpdir() string {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		return ""
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	return abs
}
