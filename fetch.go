package main

import (
	"context"
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
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/obtain"
	"stretcher/internal/fetch/store"
	stores "stretcher/internal/fetch/store/all"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// Archive is what there is to unpack.
type Archive = obtain.Archive

// look opens dest, and tells by the archive whether it has its content already.
func (d *deployer) look(ctx context.Context, r *run) error {
	if err := d.openDest(r); err != nil {
		return err
	}
	if err := r.spec.Strategy.CheckLayout(); err != nil {
		return err
	}
	r.archive = d.current(ctx, r.spec)
	r.record = r.archive.Record
	return nil
}

// bringArchive brings the archive here, unless dest has its content already.
func (d *deployer) bringArchive(ctx context.Context, r *run) error {
	if err := d.look(ctx, r); err != nil {
		return err
	}
	if r.archive.IsCurrent() {
		d.log.Info(fmt.Sprintf("%q is deployed already: nothing is fetched or synced (%s)",
			r.spec.Manifest.Dest, r.spec.Checksum))
		return nil
	}
	return d.bring(ctx, r)
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

// ways are the ways to archives.
func (t *tools) ways() obtain.Ways {
	return obtain.Ways{Fetcher: t.fetcher, Cache: t.cached, Log: t.log.Logger, Screen: t.screen}
}

// wanted is the archive that a manifest names, and what is known of the one before.
func (p provider) wanted(s Spec) obtain.Wanted {
	passing := func(int64) []string { return s.tempParents() }
	return obtain.Wanted{
		Src: s.Src, Checksum: s.Checksum, Index: s.Index, Limit: int64(s.Limits.Archive),
		Connections: int(s.Fetch.Connections), Pools: p.pools(),
		Complete: p.keepsArchive(s) || p.cached != nil && p.pools(),
		Places: obtain.Places{
			Staying:   s.unnamed(p.journal, func(size int64) []string { return s.placesFor(size, p.homes(s)) }),
			Composing: s.unnamed(p.journal, func(int64) []string { return append(p.homes(s), s.tempParents()...) }),
			Passing:   s.unnamed(p.journal, passing),
		},
		Deployed: p.deployed(s),
	}
}

// deployed is what is known of the tree that dest has.
func (p provider) deployed(s Spec) obtain.Deployed {
	if s.Strategy == nil {
		return obtain.Deployed{Strip: int(s.Strip), Tree: func() (delta.Live, error) { return nil, errNoDest }}
	}
	known := obtain.Deployed{
		Strip: int(s.Strip), Wants: p.wants(s), Tree: func() (delta.Live, error) { return s.Strategy.OpenLive() },
	}
	if good, ok := p.recorded(s); ok {
		known.Last = tree.Checksum(p.journal.TreeOf(good.ID))
		if known.Wants != nil && s.Dest != nil && s.Dest.Dir != nil { // it is going to be asked for
			known.Ahead = p.left.Plan(p.journal.TreeOf(good.ID), s.Dest.Dir.Root())
		}
		if len(s.hookLists().MakeTree()) == 0 { // hooks put into the tree what they like
			known.Record = func(live *os.Root) delta.Left { return tree.LeftBy(p.journal.TreeOf(good.ID), live) }
		}
	}
	return known
}

// wants finds which contents the strategy will read; nil = all, or hooks will.
func (p provider) wants(s Spec) func(context.Context, archive.Input) (func(index.Sum) bool, error) {
	c, ok := s.Strategy.(strategy.Chooser)
	if !ok || p.needsCopy(s) {
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

// needsCopy tells whether hooks of the manifest need the archive once more: they
// name files of it after the sync, or run as another user and find a staged
// tree. That user must not come near what is deployed before it is: he may own
// files of it, and change them while they are read.
func (t *tools) needsCopy(s Spec) bool {
	return s.Hooks != nil && (s.Hooks.Late() || t.user != nil && len(s.hookLists().MakeTree()) > 0)
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

// current tells whether dest already is what this deployment would make of
// it: the last good run put the same archive there in the same way, and
// nothing but excluded paths has changed since. What the manifest's own hooks
// make of an archive is not known before they have run. If it is not, the
// archive is an empty one. A rollback to what stands at dest has to switch only.
func (p provider) current(ctx context.Context, s Spec) Archive {
	if p.settings.Force || s.isSwitch() {
		return Archive{}
	}
	good, ok := p.journal.LastGood(s.Manifest.Dest)
	if !ok || good.Tree == "" || good.Fingerprint != s.Fingerprint() {
		return Archive{}
	}
	if lists := s.Manifest.Hooks.MakeTree(); len(lists) > 0 {
		p.log.Info(fmt.Sprintf("hooks %s make what is deployed: it is staged anew", strings.Join(lists, ", ")))
		return Archive{}
	}
	if reverter, ok := s.Strategy.(strategy.Reverter); ok {
		if !reverter.Holds() {
			return Archive{}
		}
	} else if !p.journal.IsLast(good) {
		p.log.Info(fmt.Sprintf("a run has failed on dest since run %s was good", good.ID))
		return Archive{}
	}
	drifts, err := p.drifts(ctx, s, good)
	switch {
	case errors.Is(err, tree.ErrRecord):
		p.log.Warn(failure.Sayf("what run %s left at dest is not known any more: %v", good.ID, err))
	case err != nil:
		p.log.Info(failure.Sayf("dest is not as run %s left it: %v", good.ID, err))
	case drifts.Total > 0:
		p.log.Info(fmt.Sprintf("dest is not as run %s left it: %s", good.ID, drifts))
	default:
		return Archive{Record: p.journal.TreeOf(good.ID)}
	}
	return Archive{}
}

// drifts compares what is live with the record of a good run.
func (p provider) drifts(ctx context.Context, s Spec, good history.Run) (drifts tree.Drifts, err error) {
	err = s.withLive(func(live *os.Root) (err error) {
		drifts, err = tree.Check(ctx, p.journal.TreeOf(good.ID), live,
			func(list []byte) (tree.Skip, error) { return s.Strategy.Skip(list) })
		return err
	})
	return drifts, err
}
