package main

import (
	"cmp"
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
	"stretcher/internal/archive/index"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/access"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// Archive is what there is to unpack.
type Archive struct {
	Input  archive.Input  // what is unpacked; nil = it is not here
	File   *os.File       // all of it, verified; nil = not all of it is here
	Parts  *delta.Rebuilt // that it is put together from; nil = it is in the file
	Source string         // where it is from, without secrets
	Record string         // dest is what the archive makes of it, as this record says: nothing is to be unpacked
}

func (a Archive) isCurrent() bool { return a.Record != "" }

// with is the archive in a file that has been verified, with its index, if
// there is one.
func (a Archive) with(f *os.File, x *index.Index) Archive {
	a.Input, a.File = archive.FileInput(f, x), f
	return a
}

// close gives the archive's room back.
func (a *Archive) close() {
	if a.File != nil {
		_ = a.File.Close()
	}
	_ = a.Parts.Close()
	a.File, a.Input, a.Parts = nil, nil, nil
}

// stallLimit is how long a server may send nothing.
const stallLimit = 30 * time.Second

// newFetcher returns what fetches as the flags say.
func newFetcher(t *tools) *fetch.Fetcher {
	s := t.settings
	return &fetch.Fetcher{
		Store:       store.NewSet(store.Options{UserAgent: userAgent(), Access: newKeyring(t).For}, stores.List()),
		Transfer:    transfer.Options{Retries: s.Retry, Wait: s.RetryWait, Stall: stallLimit, Logger: t.log.Logger},
		Bandwidth:   s.MaxBandwidth,
		Timeout:     s.Timeout,
		Log:         t.log.Logger,
		Screen:      t.screen,
		AllowSource: t.allowSource,
	}
}

// newKeyring finds what this host has for servers. Files that the policy of another
// machine names are not here.
func newKeyring(t *tools) *access.Keyring {
	return &access.Keyring{
		Netrc:  access.OwnNetrc(os.LookupEnv),
		Secret: t.log.Mask,
		Info:   func(text string) { t.log.Info(text) },
		Warn:   func(text string) { t.log.Warn(text) },
		Of: func(url string) (access.Grant, bool) {
			h, ok := t.policy.Access(url)
			if !ok || t.settings.Elsewhere {
				return access.Grant{}, false
			}
			g := access.Grant{URL: string(h.URL), HeaderFiles: map[string]string{}, ClientCert: string(h.ClientCert),
				ClientKey: string(h.ClientKey), CA: string(h.CA), Netrc: string(h.Netrc)}
			for name, file := range h.HeaderFiles {
				g.HeaderFiles[name] = string(file)
			}
			return g, true
		},
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

// fetch brings the archive here, unless it is already: what the host does not
// have of it, if there is an index, or all of it, to the file that is unpacked. It
// arrives where it is going to stay, else where a run may keep files.
func (p provider) fetch(ctx context.Context, s Spec) (Archive, error) {
	if a, err := p.here(ctx, s); a.File != nil || err != nil {
		return a, err
	}
	run := ctx
	ctx, cancel := p.fetcher.Bounded(ctx)
	defer cancel()
	var begun *delta.Whole
	if s.Index.Algorithm != "" {
		b, whole, err := sharing{p, s}.fetchParts(ctx)
		if err == nil {
			p.compose(run, s, b)
			return Archive{Input: b, Parts: b, Source: cmp.Or(b.Mirror, redact.URL(s.Src[0]))}, nil
		}
		if context.Cause(ctx) != nil {
			return Archive{}, context.Cause(ctx)
		}
		p.sayWhole(err)
		defer whole.Close()
		begun = whole
	}
	return sharing{p, s}.fetchWhole(ctx, begun)
}

// compose has an archive put together as it is at the server, for the pool and
// for a rollback, if all of it is here.
func (p provider) compose(ctx context.Context, s Spec, b *delta.Rebuilt) {
	b.Compose(ctx, delta.Whereto{
		Create: func(size int64) (*os.File, error) {
			return s.unnamed(p.journal, func(int64) []string { return append(p.homes(s), s.tempParents()...) })(size)
		},
		Sum: s.Checksum.New(), Want: s.Checksum.Digest,
		Done: func(f *os.File) {
			if p.pools() {
				p.pool(s, f)
			}
		},
	})
}

// sayWhole says why the whole archive is fetched, though there is an index.
func (t *tools) sayWhole(why error) {
	if errors.Is(why, delta.ErrDear) {
		t.log.Info(failure.Text(why))
		return
	}
	t.log.Warn(failure.Sayf("fetching the whole archive: %v", why))
}

// fetchWhole fetches all of an archive, from the answer that a mirror has begun
// to give, if there is one.
func (p sharing) fetchWhole(ctx context.Context, begun *delta.Whole) (Archive, error) {
	s := p.spec
	return p.fetchTo(ctx, s, begun, func(size int64) []string {
		places := s.tempParents()
		if tmpdir() == "" && size >= 0 {
			places = append(p.homes(s), places...)
		}
		return places
	})
}

// sharing brings an archive together of what the host has and of parts that it
// fetches, as far as the archive has an index.
type sharing struct {
	provider
	spec Spec
}

// orWhole hands an archive over to be read. If it turns out that what it is put
// together from is not there any more, or is not what the index says, it is the
// whole archive then, and is handed over once more.
func (p sharing) orWhole(ctx context.Context, a *Archive, read func(archive.Input) error) error {
	err := read(a.Input)
	if err == nil || a.Parts == nil || context.Cause(ctx) != nil || !a.Parts.IsLost(err) {
		return err
	}
	p.sayWhole(err)
	whole, err := p.fetchWhole(ctx, nil)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	a.close()
	*a = whole
	return read(a.Input)
}

// lines is how many parts of an archive are asked for at a time, for each
// connection that there may be: they are small.
const lines = 4

// fetchParts fetches what the host does not have of an archive, by its index.
func (p sharing) fetchParts(ctx context.Context) (*delta.Rebuilt, *delta.Whole, error) {
	s := p.spec
	server := p.fetcher.Parts(lines * max(int(s.Fetch.Connections), 1))
	x, size, err := p.indexOf(ctx, server)
	if err != nil {
		return nil, nil, err
	}
	wish, err := p.wish(ctx, x)
	if err != nil {
		wish.Close()
		return nil, nil, err
	}
	bar := p.screen.Bar("fetch")
	defer bar.Close()
	server.Progress = bar.Set
	began := time.Now()
	b, whole, err := delta.Bring(ctx, server, wish)
	if err != nil {
		return nil, whole, err
	}
	b.Bytes += size
	took := time.Since(began).Round(time.Millisecond)
	p.log.Info(fmt.Sprintf("fetched %s of %q, in %s", b.Stats, redact.URL(s.Src[0]), took),
		"bytes", b.Bytes, "requests", b.Requests, "whole", b.Whole)
	return b, nil, nil
}

// wish says what is wanted of an archive, and where the host may have it.
func (p sharing) wish(ctx context.Context, x *index.Index) (delta.Wish, error) {
	s := p.spec
	w := delta.Wish{Mirrors: s.Src, Index: x, Strip: int(s.Strip), Unnamed: s.unnamed(p.journal, func(int64) []string {
		return s.tempParents()
	})}
	p.remembered(&w)
	w.Complete = p.cached != nil && (p.keepsArchive(s) || p.pools())
	if c, ok := s.Strategy.(strategy.Chooser); ok && !p.needsCopy(s) {
		wanted, ok, err := c.Wants(ctx, delta.Headers(x))
		if err != nil {
			return w, err
		}
		if ok {
			w.Wanted = func(sum index.Sum) bool { return wanted[tree.Digest(sum)] }
		}
	}
	return w, nil
}

// needsCopy tells whether hooks of the manifest need the archive once more: they
// name files of it after the sync, or run as another user and find a staged
// tree. That user must not come near what is deployed before it is: he may own
// files of it, and change them while they are read.
func (t *tools) needsCopy(s Spec) bool {
	return s.Hooks != nil && (s.Hooks.Late() || t.user != nil && len(s.hookLists().MakeTree()) > 0)
}

// remembered tells where contents of the last deployment are: in what is live, and
// in the archive that was deployed.
func (p sharing) remembered(w *delta.Wish) {
	s := p.spec
	if s.Strategy == nil {
		return
	}
	if live, err := s.Strategy.OpenLive(); err == nil {
		w.Live, w.Holds = live.Root(), append(w.Holds, live)
	}
	good, ok := p.recorded(s)
	if !ok || p.cached == nil {
		return
	}
	sum := tree.Checksum(p.journal.TreeOf(good.ID))
	if w.Before = delta.Read(p.cached.Pool().Index(sum)); w.Before == nil {
		return
	}
	kept, ok := p.cached.Pool().Archive(sum)
	if !ok {
		kept, ok = p.cached.Find(sum)
	}
	if ok {
		w.Kept, w.Holds = &delta.Kept{File: kept, Index: w.Before}, append(w.Holds, kept)
	}
}

// expected is what the archive's index must be.
func (s Spec) expected() delta.Expected {
	want := delta.Expected{Digest: index.Sum(s.Index.Digest), Limit: int64(s.Limits.Archive)}
	if s.Checksum.Algorithm == s.Index.Algorithm {
		want.Archive = (*index.Sum)(s.Checksum.Digest)
	}
	return want
}

// indexHere is the index of an archive if it is on this machine already; nil =
// it is not.
func (p sharing) indexHere() *index.Index {
	if p.spec.Index.Algorithm == "" {
		return nil
	}
	return p.spec.expected().Read(p.cached.Pool().Index(poolKey(p.spec)))
}

// indexOf is the index of an archive, from the pool or fetched, with the number
// of bytes that this took.
func (p sharing) indexOf(ctx context.Context, server *delta.Server) (*index.Index, int64, error) {
	if x := p.indexHere(); x != nil {
		return x, 0, nil
	}
	x, data, err := server.Index(ctx, p.spec.Src, p.spec.expected())
	if err != nil {
		return nil, 0, err
	}
	if err := p.cached.Pool().PutIndex(poolKey(p.spec), data); err != nil && !errors.Is(err, cache.ErrTooLarge) {
		p.log.Warn(failure.Sayf("the index is not kept: %v", err))
	}
	return x, int64(len(data)), nil
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
func (p provider) fetchTo(
	ctx context.Context, s Spec, begun *delta.Whole, places func(size int64) []string,
) (a Archive, err error) {
	f := *p.fetcher
	f.Trying = func(source string) { a.Source = source }
	f.Transfer.Connections = int(s.Fetch.Connections)
	f.Unnamed, f.Begun = s.unnamed(p.journal, places), begun
	got, err := f.Archive(ctx, s.Src, s.Checksum, int64(s.Limits.Archive))
	if err != nil {
		return a, err
	}
	if p.pools() {
		p.pool(s, got.File)
	}
	return a.with(got.File, sharing{p, s}.indexHere()), nil
}

// unnamed makes files without a name in the best of places.
func (s Spec) unnamed(j *journal.Journal, places func(size int64) []string) func(size int64) (*os.File, error) {
	return func(size int64) (*os.File, error) {
		w := disk.Wanted{What: "archive", Size: size, Candidates: places(size)}
		if dir := j.State(); dir != nil {
			w.State = dir.Path()
		}
		if s.Dest != nil && s.Dest.Parent != nil { // what is wrong with it is said elsewhere
			w.Dest = s.Dest
		}
		return unnamed(w)
	}
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
		a := Archive{}.with(f, sharing{p, s}.indexHere())
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
	return p.fetchTo(ctx, s, nil, func(int64) []string { return places() })
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
