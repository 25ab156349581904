package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/access"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/preview"
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

// with is the archive in a file that has been verified. Where archives have an
// index, the next one is compared with what this one holds.
func (a Archive) with(f *os.File, s Spec) Archive {
	a.Input, a.File = archive.FileInput(f, s.Index.Algorithm != ""), f
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
func newFetcher(t *tools, userAgent string) *fetch.Fetcher {
	s := t.settings
	return &fetch.Fetcher{
		Store:       store.NewSet(store.Options{UserAgent: userAgent, Access: newKeyring(t).For}, stores.List()),
		Transfer:    transfer.Options{Retries: s.Retry, Wait: s.RetryWait, Stall: stallLimit, Logger: t.log.Logger},
		Bandwidth:   s.MaxBandwidth,
		Timeout:     s.Timeout,
		Log:         t.log.Logger,
		Screen:      t.screen,
		AllowSource: t.allowSource,
		Fetched:     t.journal.Fetched(),
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
		share := sharing{p, s}
		host := share.host()
		if host.IsBare() {
			return share.fetchFirst(ctx, host)
		}
		b, whole, err := share.fetchParts(ctx, run, host)
		if err == nil {
			return Archive{Input: b, Parts: b, Source: cmp.Or(b.Mirror, redact.URL(s.Src[0]))}, nil
		}
		if context.Cause(ctx) != nil {
			return Archive{}, context.Cause(ctx)
		}
		p.fetcher.SayWhole(err)
		defer whole.Close()
		begun = whole
	}
	return sharing{p, s}.fetchWhole(ctx, begun)
}

// bringWhole brings all of an archive into the pool.
func (p provider) bringWhole(ctx context.Context, s Spec) error {
	p.entire = true
	a, err := p.fetch(ctx, s)
	if err != nil {
		return err
	}
	defer a.close()
	file := a.File
	if a.Parts != nil {
		if file, err = a.Parts.Composed(); err != nil {
			p.fetcher.SayWhole(err)
			whole, err := sharing{p, s}.fetchWhole(ctx, nil)
			if err != nil {
				return err
			}
			defer whole.close()
			file = whole.File
		}
	}
	if err := p.archives().Put(s.Src, s.Checksum, file); err != nil {
		hint := fmt.Sprintf("cache.size in the host policy, and the room in %q, bound it", p.cached.Pool().Path())
		return failure.Hinted(hint, err)
	}
	return nil
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

// fetchWhole fetches all of an archive, from the answer that a mirror has begun
// to give, if there is one.
func (p sharing) fetchWhole(ctx context.Context, begun *delta.Whole) (Archive, error) {
	s := p.spec
	return p.fetchTo(ctx, s, begun, func(size int64) []string { return s.placesFor(size, p.homes(s)) })
}

// fetchFirst fetches all of an archive to where nothing is, and its index beside it.
func (p sharing) fetchFirst(ctx context.Context, h *delta.Host) (a Archive, err error) {
	p.fetcher.SayWhole(delta.ErrBare)
	err = h.FetchBeside(ctx, p.parts(), func() (err error) {
		a, err = p.fetchWhole(ctx, nil)
		return err
	})
	return a, err
}

// sharing brings an archive together of what the host has and of parts that it
// fetches, as far as the archive has an index.
type sharing struct {
	provider
	spec Spec
}

// orWhole hands an archive over to be read. If it turns out that what it is put
// together from is not there any more, or is not what the index says, it is the
// whole archive then, and is handed over once more. That need not be fetched if
// all of it has been put together.
func (p sharing) orWhole(ctx context.Context, a *Archive, read func(archive.Input) error) error {
	err := read(a.Input)
	if err == nil || a.Parts == nil || context.Cause(ctx) != nil || !a.Parts.IsLost(err) {
		return err
	}
	if f, missing := a.Parts.Composed(); missing == nil {
		p.log.Warn(failure.Sayf("taking the whole archive, which was put together: %v", err))
		a.Input = archive.FileInput(f, true)
		return read(a.Input)
	}
	p.fetcher.SayWhole(err)
	whole, err := p.fetchWhole(ctx, nil)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	a.close()
	*a = whole
	return read(a.Input)
}

// fetchParts fetches what the host does not have of an archive, by its index.
// The archive is put together meanwhile, and until run ends.
func (p sharing) fetchParts(ctx, run context.Context, host *delta.Host) (*delta.Rebuilt, *delta.Whole, error) {
	server, began := p.parts(), time.Now()
	bar := p.screen.Bar("fetch")
	defer bar.Close()
	server.Progress = bar.Set
	host.Begun = func(b *delta.Rebuilt) { p.compose(run, p.spec, b) }
	b, whole, err := host.Bring(ctx, server)
	if err != nil {
		return nil, whole, err
	}
	p.fetcher.Store.Close() // one for each request: files that unpacking may need
	took := time.Since(began).Round(time.Millisecond)
	p.log.Info(fmt.Sprintf("fetched %s of %q, in %s", b.Stats, redact.URL(p.spec.Src[0]), took),
		"bytes", b.Bytes, "requests", b.Requests, "whole", b.Whole)
	return b, nil, nil
}

// parts is what fetches parts of the archive.
func (p sharing) parts() *delta.Server { return p.fetcher.Parts(int(p.spec.Fetch.Connections)) }

// host is what this machine has of the archive and of the one before.
func (p sharing) host() *delta.Host {
	s := p.spec
	h := &delta.Host{
		Wish: delta.Wish{
			Mirrors: s.Src, Strip: int(s.Strip), Complete: p.keepsArchive(s) || p.cached != nil && p.pools(), All: p.entire,
			Unnamed: s.unnamed(p.journal, func(int64) []string { return s.tempParents() }),
		},
		Expected: delta.Expected{Digest: index.Sum(s.Index.Digest), Limit: int64(s.Limits.Archive)},
		Shelf:    p.cached.Pool(), Key: fetch.KeyOf(s.Src, s.Checksum), Archive: p.kept, Wants: p.wants(),
		Tree:   func() (delta.Live, error) { return s.Strategy.OpenLive() },
		Spoilt: p.cached.Pool().DropIndex,
		Unkept: func(err error) {
			if !errors.Is(err, cache.ErrTooLarge) {
				p.log.Warn(failure.Sayf("the index is not kept: %v", err))
			}
		},
	}
	if s.Checksum.Algorithm == s.Index.Algorithm {
		h.Expected.Archive = (*index.Sum)(s.Checksum.Digest)
	}
	if s.Strategy == nil {
		h.Tree = func() (delta.Live, error) { return nil, errNoDest }
	} else if good, ok := p.recorded(s); ok {
		h.Last = tree.Checksum(p.journal.TreeOf(good.ID))
		if len(s.hookLists().MakeTree()) == 0 { // hooks put into the tree what they like
			h.Record = func(live *os.Root) delta.Left { return tree.LeftBy(p.journal.TreeOf(good.ID), live) }
		}
	}
	return h
}

// kept is an archive that is here, by its checksum.
func (p sharing) kept(sum string) (*os.File, bool) {
	if f, ok := p.cached.Pool().Archive(sum); ok || p.cached == nil {
		return f, ok
	}
	return p.cached.Find(sum)
}

// needsCopy tells whether hooks of the manifest need the archive once more: they
// name files of it after the sync, or run as another user and find a staged
// tree. That user must not come near what is deployed before it is: he may own
// files of it, and change them while they are read.
func (t *tools) needsCopy(s Spec) bool {
	return s.Hooks != nil && (s.Hooks.Late() || t.user != nil && len(s.hookLists().MakeTree()) > 0)
}

// wants finds which contents the strategy will read; nil = all, or hooks will.
func (p sharing) wants() func(context.Context, archive.Input) (func(index.Sum) bool, error) {
	c, ok := p.spec.Strategy.(strategy.Chooser)
	if !ok || p.needsCopy(p.spec) {
		return nil
	}
	return func(ctx context.Context, in archive.Input) (func(index.Sum) bool, error) {
		wanted, ok, err := c.Wants(ctx, in)
		if err != nil || !ok {
			return nil, err
		}
		return func(sum index.Sum) bool { return wanted[tree.Digest(sum)] }, nil
	}
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

// placesFor are where an archive may arrive, best first: what TMPDIR names, where
// it is going to stay, else where a run may keep files.
func (s Spec) placesFor(size int64, homes []string) []string {
	places := s.tempParents()
	if disk.TempDir() == "" && size >= 0 {
		places = append(homes, places...)
	}
	return places
}

// isDelayed tells whether hosts of a fleet shall not all ask at once.
func (t *tools) isDelayed() bool { return t.settings.RandomDelay > 0 }

// delay sleeps a time below --random-delay: another one each time, or that of the
// host.
func (t *tools) delay(ctx context.Context) error {
	wait, why := fetch.Spread(t.settings.RandomDelay, t.settings.StableDelay)
	t.log.Info(fmt.Sprintf("waiting %s of at most %s%s", wait.Round(time.Millisecond), t.settings.RandomDelay, why))
	select {
	case <-time.After(wait):
		if err := t.readKeys(); err != nil { // who counts may have changed
			return failure.NotYet(err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

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
	if p.cached.Pool().GiveWay(err) {
		p.log.Info(failure.Sayf("the cache has made room: %v", err))
		f.Begun = nil
		got, err = f.Archive(ctx, s.Src, s.Checksum, int64(s.Limits.Archive))
	}
	if err != nil {
		return a, err
	}
	if p.pools() {
		p.pool(s, got.File)
	}
	return a.with(got.File, s), nil
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
		f, _, err := disk.UnnamedFor(w)
		return f, err
	}
}

// pool leaves a verified archive in the pool. Failing at that fails nothing.
func (p provider) pool(s Spec, archive *os.File) {
	err := p.archives().Put(s.Src, s.Checksum, archive)
	switch {
	case errors.Is(err, cache.ErrTooLarge):
		p.log.Info(failure.Text(err))
	case err != nil:
		p.log.Warn(failure.Sayf("the next run will have to fetch: %v", err))
	}
}

// archives are those that are on this machine already.
func (t *tools) archives() fetch.Kept {
	return fetch.Kept{Store: t.cached, Log: t.log.Logger, Screen: t.screen}
}

// here is the archive where it is on this machine already. File is nil where it is
// not; an error is that of ctx.
func (p provider) here(ctx context.Context, s Spec) (Archive, error) {
	f, err := p.archives().Archive(ctx, s.Src, s.Checksum, int64(s.Limits.Archive))
	if f == nil || err != nil {
		return Archive{}, err
	}
	a := Archive{}.with(f, s)
	if len(s.Src) > 0 {
		a.Source = redact.URL(s.Src[0])
	}
	return a, nil
}

// forPlan has an archive read that is to be compared with dest: by its index alone,
// if that will do, or all of it. The plan is told what a deployment would fetch, if
// that is known. The caller closes the archive.
func (p sharing) forPlan(ctx context.Context, plan *preview.Plan, read func(Archive) error) (a Archive, err error) {
	s := p.spec
	places := func(int64) []string { return append([]string{os.TempDir()}, s.tempParents()...) }
	if a, err = p.here(ctx, s); a.File == nil && err == nil && s.Index.Algorithm != "" {
		bounded, cancel := p.fetcher.Bounded(ctx)
		defer cancel()
		h := p.host()
		h.Unnamed, a.Source = s.unnamed(p.journal, places), redact.URL(s.Src[0])
		done, why := h.Peek(bounded, p.parts(), func(seen *delta.Foreseen) error {
			a.Input, plan.Fetch = seen, &preview.Fetch{Bytes: seen.Bytes, Whole: seen.Whole, Ranges: seen.Requests}
			return read(a)
		})
		if done {
			return a, why
		}
		if plan.Fetch, err = nil, context.Cause(bounded); err == nil {
			p.fetcher.SayWhole(why)
		}
	}
	if a.File == nil && err == nil {
		a, err = p.fetchTo(ctx, s, nil, places)
	}
	if err != nil {
		return a, fmt.Errorf("fetch: %w", err)
	}
	return a, read(a)
}

// keptOrFetched is the archive that is here, or is fetched to one of places.
func (p provider) keptOrFetched(ctx context.Context, s Spec, places func(size int64) []string) (Archive, error) {
	if a, err := p.here(ctx, s); a.File != nil || err != nil {
		return a, err
	}
	return p.fetchTo(ctx, s, nil, places)
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
	if dir := disk.TempDir(); dir != "" {
		places = []string{dir, beside}
	}
	// Not inside dest, which the sync would clear of it.
	dest := policy.Real(s.Manifest.Dest)
	return slices.DeleteFunc(places, func(dir string) bool { return disk.Below(policy.Real(dir), dest) })
}
