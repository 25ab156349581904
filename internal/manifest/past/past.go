// Package past finds what a host can go back to: a deployment that stands at dest,
// beside others, or what is kept of an earlier run.
//
// Its words: a past is what was found, and who asked for it; a manifest that says that
// hosts go back is obeyed, who asks on the host itself chooses.
//
// It imports manifest, strategy, fetch/cache and the packages below text. It opens
// nothing, and changes nothing: what the host has it is told.
package past

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stretcher/internal/fetch/cache"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// Host is what a host has for one dest.
type Host struct {
	There  strategy.Deployments         // that stand beside one another at dest
	Cache  *cache.Store                 // what is kept of earlier runs; nil = nothing
	IsLive func(run string) bool        // tells whether dest holds what a run deployed
	Held   func() Live                  // what dest holds by what has been run
	Alike  func(one, other string) bool // tells whether two strategies lay dest out in the same way
}

// Live is what a dest holds, as far as the host knows.
type Live struct {
	Version string // "" where it has none, or none that is known
	Known   bool   // it is that of what is there; "" = that has none
	Mixed   bool   // there are parts of several
}

// Past is what a rollback goes back to.
type Past struct {
	Dest string
	To   string           // a run id or its beginning; "" = the one before
	By   *manifest.Loaded // that says so; nil: somebody here does

	Kept       cache.Entry         // what is kept of the run, if anything is
	Standing   string              // the run whose deployment stands at dest; "" = none does
	Strategy   string              // that made it
	Deployment strategy.Deployment // it
}

// Choose finds what to go back to.
func (b *Past) Choose(h Host) error {
	// A tree of its own may have directories that look like releases, too.
	if len(h.There.All) > 0 && !b.wasSynced(h) {
		return b.chooseStanding(h.There)
	}
	return b.chooseKept(h)
}

// wasSynced tells whether the last good run on dest made it by a strategy that lays it
// out otherwise than the one whose deployments stand there.
func (b *Past) wasSynced(h Host) bool {
	kept, err := h.Cache.List(b.Dest)
	return err == nil && len(kept) > 0 && !h.Alike(kept[0].Strategy, h.There.Strategy)
}

// AtRest is why a run has nothing to do, without having looked at dest.
type AtRest struct{ error }

// leaves tells whether a host goes back that has a version. Where that is not known,
// nobody goes away from it: the same words would send the host back each time.
func (b *Past) leaves(live Live) error {
	k := b.By.Rollback
	switch {
	case k.From != "" && !live.Known:
		return failure.Hinted(fmt.Sprintf("stretcher rollback %s goes back here, whatever it has", b.Dest),
			fmt.Errorf("it is not known which version %q has, and those with %q go back", b.Dest, k.From))
	case k.From != "" && live.Version == "":
		return AtRest{fmt.Errorf("%q has what has no version, and those with %q go back", b.Dest, k.From)}
	case k.From != "" && live.Version != k.From:
		return AtRest{fmt.Errorf("%q has version %q, and those with %q go back", b.Dest, live.Version, k.From)}
	case live.Known && live.Version == k.To:
		return AtRest{fmt.Errorf("%q has version %q already", b.Dest, live.Version)}
	}
	return nil
}

// Holds is what stands live at dest; false where nothing stands there beside others.
func (h Host) Holds(dest string) (live Live, stands bool) {
	b := Past{Dest: dest}
	if len(h.There.All) == 0 || b.wasSynced(h) {
		return live, false
	}
	return standing(h.There), true
}

// standing is what is live of what stands there. One whose mark can't be read has no
// version that is known.
func standing(there strategy.Deployments) (live Live) {
	for _, d := range there.All {
		if d.Run == there.Live {
			live = Live{Version: d.Version, Known: d.Good || d.Version != ""}
		}
	}
	return live
}

// errNoVersion is the error of a version that the host does not have any more.
func (b *Past) errNoVersion() error {
	hint := "stretcher history %s lists the runs; a manifest with src and a higher serial brings it"
	return failure.Hinted(fmt.Sprintf(hint, b.Dest),
		fmt.Errorf("nothing that %q could go back to is kept: it was to go %s", b.Dest, b.By.Rollback))
}

// obeyStanding finds the deployment that a manifest says to go back to.
func (b *Past) obeyStanding(there strategy.Deployments) error {
	to := ""
	for _, d := range there.All { // the newest first
		if d.Good && d.Version == b.By.Rollback.To {
			to = cmp.Or(to, d.Run)
		}
	}
	if b.By.Rollback.To == manifest.Previous {
		to = b.before(there)
	}
	if err := b.leaves(standing(there)); err != nil {
		return err
	}
	if to == "" {
		return b.errNoVersion()
	}
	b.Strategy = there.Strategy
	b.take(there, to)
	return nil
}

// before is the deployment before the live one that is of another version than the one
// to get away from: that may have been deployed twice.
func (b *Past) before(there strategy.Deployments) string {
	from, reached := b.By.Rollback.From, false
	for _, d := range there.All { // the newest first
		reached = reached || d.Run == there.Previous
		if reached && d.Good && !d.Left && (from == "" || d.Version != from) {
			return d.Run
		}
	}
	return ""
}

// obeyKept finds the kept archive that a manifest says to go back to. Where a run has
// failed that was changing dest, it holds no version, and the last good one is gone
// back to.
func (b *Past) obeyKept(h Host, all []cache.Entry) error {
	k := b.By.Rollback
	live := h.Held()
	if h.isLive(all) {
		live = Live{Version: all[0].Version, Known: true}
	}
	if !live.Mixed {
		if err := b.leaves(live); err != nil {
			return err
		}
	}
	if h.isLive(all) {
		all = older(all)
	}
	for _, e := range all {
		if k.To == e.Version || k.To == manifest.Previous && (k.From == "" || e.Version != k.From) {
			b.Kept = e
			return nil
		}
	}
	return b.errNoVersion()
}

// chooseStanding finds the deployment to go back to.
func (b *Past) chooseStanding(there strategy.Deployments) error {
	b.Strategy = there.Strategy
	if b.By != nil {
		return b.obeyStanding(there)
	}
	if b.To == "" {
		if there.Previous == "" {
			return failure.Hinted("stretcher rollback DEST --to RUN goes to any that is there",
				fmt.Errorf("%q has no good release older than %s", b.Dest, cmp.Or(there.Live, "the current one")))
		}
		b.take(there, there.Previous)
		return nil
	}
	var found []string
	for _, d := range there.All {
		if !strings.HasPrefix(d.Run, b.To) {
			continue
		}
		if !d.Good {
			return fmt.Errorf("release %s is not good, but %s", d.Run, d.State)
		}
		found = append(found, d.Run)
	}
	id, err := theOne(found, b.To, b.Dest)
	b.take(there, id)
	return err
}

// take makes the deployment of a run the one to go back to.
func (b *Past) take(there strategy.Deployments, run string) {
	b.Standing = run
	for _, d := range there.All {
		if d.Run == run {
			b.Deployment = d
		}
	}
}

// theOne is the only element of found.
func theOne(found []string, to, dest string) (string, error) {
	switch len(found) {
	case 0:
		return "", failure.Hinted(fmt.Sprintf("stretcher history %s lists the runs", dest),
			fmt.Errorf("nothing of run %q is kept for %q", to, dest))
	case 1:
		return found[0], nil
	}
	return "", failure.Hinted("give more of the id",
		failure.Usage("%q is the beginning of %d runs on %q", to, len(found), dest))
}

// chooseKept finds the kept archive to go back to: that of the last good run,
// or, when it is what dest holds, of the one before.
func (b *Past) chooseKept(h Host) error {
	if h.Cache == nil {
		return fmt.Errorf("nothing is kept: no usable state directory")
	}
	all, err := h.Cache.List(b.Dest)
	if err != nil {
		return err
	}
	all = h.alike(all)
	if b.By != nil {
		return b.obeyKept(h, all)
	}
	if b.To != "" {
		var found []string
		for _, e := range all {
			if strings.HasPrefix(e.Run, b.To) {
				found = append(found, e.Run)
			}
		}
		id, err := theOne(found, b.To, b.Dest)
		if err != nil {
			return err
		}
		b.Kept, err = h.Cache.Get(id)
		return err
	}
	if h.isLive(all) {
		all = older(all)
	}
	if len(all) == 0 {
		return failure.Hinted("a rollback needs an earlier good run by sync_strategy rsync, native or releases",
			fmt.Errorf("nothing earlier is kept for %q", b.Dest))
	}
	b.Kept = all[0]
	return nil
}

// alike are the entries of the newest one's layout: a tree of its own must not
// get releases in it, nor the other way round.
func (h Host) alike(all []cache.Entry) []cache.Entry {
	if len(all) == 0 {
		return all
	}
	newest := all[0].Strategy
	return slices.DeleteFunc(all, func(e cache.Entry) bool { return !h.Alike(e.Strategy, newest) })
}

// isLive tells whether dest holds what the newest of entries deployed.
func (h Host) isLive(entries []cache.Entry) bool { return len(entries) > 0 && h.IsLive(entries[0].Run) }

// older are the entries before the newest that deployed something else. When
// that was a rollback, those before the run that it went back to: a second
// rollback goes further back.
func older(all []cache.Entry) []cache.Entry {
	live := all[0]
	return slices.DeleteFunc(all, func(e cache.Entry) bool {
		return e.Fingerprint == live.Fingerprint || live.Origin > 0 && e.Seq >= live.Origin
	})
}
