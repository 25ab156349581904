package history

import (
	"slices"
	"time"
)

// WayBack is the point of the step by which a run that has failed switches back
// to a release, and the step that a run is in meanwhile.
const WayBack = "rollback"

// Place is what the history tells of a dest.
type Place struct {
	Dest  string
	Live  *Run      // what it deployed is at dest; nil = nothing is known to be
	Since time.Time // since when, also when it was deployed again since then
	Mixed *Run      // the run whose files may be there besides or instead; nil = none
	Last  Run       // the run on dest that goes on, or else ended last
	Good  *Run      // the last good one; nil = none
}

// Places tells of all dests what is live there, by the runs on them, those that
// ended last first; events that were skipped don't count, nor do rollbacks that
// found nothing to go back to. The dest that was used last comes first.
func Places(runs []Run) []Place {
	index := map[string]int{}
	var all []Place
	for _, r := range slices.Backward(runs) {
		if r.Dest == "" || r.Result == Skipped || r.FoundNothing() {
			continue
		}
		i, ok := index[r.Dest]
		if !ok {
			i = len(all)
			index[r.Dest] = i
			all = append(all, Place{Dest: r.Dest})
		}
		all[i].take(r)
	}
	order := func(r Run) time.Time {
		if r.Finished.IsZero() {
			return r.Started
		}
		return r.Finished
	}
	slices.SortStableFunc(all, func(a, b Place) int { return order(b.Last).Compare(order(a.Last)) })
	return all
}

// Held is what a dest holds, as far as anybody knows.
type Held struct {
	Version string // "" where it has none, or none that is known
	Known   bool   // it is that of what is there; "" = that has none
	Mixed   bool   // there are parts of several
}

// HeldAt is what a dest holds by the runs on all dests, those that ended last first.
func HeldAt(dest string, runs []Run) Held {
	for _, p := range Places(runs) {
		switch {
		case p.Dest != dest:
		case p.Mixed != nil:
			return Held{Mixed: true}
		case p.Live != nil:
			return Held{Version: p.Live.Version, Known: true}
		}
	}
	return Held{}
}

// take takes the next run on the dest into account.
func (p *Place) take(r Run) {
	if p.Last.Result != Running {
		p.Last = r
	}
	switch {
	case r.Result == Good:
		p.stands(r)
		p.Good = &r
	case r.Result == Running || r.Back != "" || !r.MayHaveSynced():
	case r.HasSynced():
		p.stands(r)
	default:
		p.Mixed = &r
	}
}

// stands notes that what the run deployed is at dest, with nothing besides. What
// has no version is told from nothing else.
func (p *Place) stands(r Run) {
	again := p.Live != nil && p.Mixed == nil && r.Version != "" && r.Version == p.Live.Version && r.Name == p.Live.Name
	if !again {
		p.Since = r.Finished
	}
	p.Live, p.Mixed = &r, nil
}

// IsRollback tells whether somebody asked for what was deployed before.
func (r Run) IsRollback() bool { return r.Event == rollback }

// rollback is the event of a run that goes back.
const rollback = "rollback"

// FoundNothing tells whether a run is a rollback that did not come to what it
// was to go back to. It is no verdict on dest.
func (r Run) FoundNothing() bool {
	return r.IsRollback() && r.Ended() && r.Result != Good && (r.Step == "" || r.Step == "lock" || r.Step == "manifest")
}

// MayHaveSynced tells whether a run that ended in its step may have begun to
// sync. A step that is not known here may have.
func (r Run) MayHaveSynced() bool {
	return !slices.Contains([]string{
		"", "delay", "manifest", "lock", "freshness", "compare", "hooks", "init", "pre_fetch", "fetch", "auth_fail",
		"turn", "recall",
		"pre_extract", "pre", "extract", "post_extract", "pre_sync",
	}, r.Step)
}

// HasSynced tells whether the run ended in a step that comes after the sync.
func (r Run) HasSynced() bool {
	return slices.Contains([]string{
		"post_sync", "post", "post_launch", "verify", "release", "pre_prune", "prune", "post_prune", "success", "finish",
	}, r.Step)
}
