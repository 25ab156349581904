package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// readHead reads the head; nil = there is none.
func (l *ledger) readHead(ctx context.Context) (*head, uint64, error) {
	pair, err := l.get(ctx, l.headKey())
	if err != nil || pair == nil {
		return nil, 0, err
	}
	h, err := decodeHead(pair)
	return h, pair.ModifyIndex, err
}

func decodeHead(pair *api.KVPair) (*head, error) {
	h := new(head)
	if err := decode(pair.Value, h); err != nil {
		return nil, failure.Hinted("stretcher fleet forget removes all of the rollout",
			fmt.Errorf("%w: %s is spoilt: %w", fleet.ErrStopped, pair.Key, err))
	}
	return h, nil
}

// join finds the rollout that the host is of, and begins it when nobody has.
func (p *Place) join(ctx context.Context) error {
	for tries := 0; ; tries++ {
		h, index, err := p.readHead(ctx)
		if err != nil {
			return err
		}
		p.reached()
		if h != nil && h.ID == p.entry.ID && h.Phase == unbegun && (tries > 0 || h.Gen == p.began) {
			return h.stopped() // it has just been tried
		}
		switch joins, err := p.belongs(ctx, h); {
		case err != nil:
			return err
		case joins && h.Phase != beginning:
			p.head, p.headIndex = h, index
			if err := quitEarlier(ctx, p); err != nil {
				return err
			}
			return p.admitted(ctx)
		case joins && h.Gen != p.began:
			if waited, err := p.awaitBegin(ctx, index); err != nil || waited {
				if err != nil {
					return err
				}
				continue
			}
			p.log("%s, who began the rollout, is heard of no more: this host begins it", h.By)
		}
		if err := p.begin(ctx, h, index); err != nil {
			return err
		}
		pause(ctx, upTo(p.lease/100))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// belongs tells whether the host belongs to the current rollout. When it does not, and
// there is no error, it begins one of its own.
func (p *Place) belongs(ctx context.Context, h *head) (bool, error) {
	switch {
	case h == nil && p.head != nil:
		return false, p.still(nil)
	case h == nil:
		return false, nil
	case h.ID == p.entry.ID && h.Phase == fleet.Stopped:
		return false, h.stopped()
	case h.ID == p.entry.ID && h.Phase == unbegun: // what was in its way may be mended
		return false, nil
	case h.ID == p.entry.ID:
		return h.Phase == beginning || !h.looser(p.entry.Rollout), nil
	case !p.entry.Newer(h.ID, h.Serial):
		return false, fmt.Errorf("%w: version %q", fleet.ErrSuperseded, h.Version)
	case h.was(p.entry.ID) && !(p.entry.Serial > 0 && p.entry.Serial > h.Serial):
		// A late host of an older rollout, or somebody goes back to what was.
		idle, err := p.idle(ctx, h)
		if err == nil && !idle {
			err = failure.Hinted("serials in the manifests tell which is the newer one; without them an earlier one begins "+
				"again when all hosts of the group have ended, or after stretcher fleet stop",
				fmt.Errorf("%w: version %q", fleet.ErrSuperseded, h.Version))
		}
		return false, err
	}
	return false, nil
}

// awaitBegin waits while another host begins the rollout; false = it takes too long.
func (p *Place) awaitBegin(ctx context.Context, index uint64) (bool, error) {
	until := time.Now().Add(p.lease)
	for {
		left := time.Until(until)
		if left <= 0 {
			return false, nil
		}
		_, next, err := p.block(ctx, p.headKey(), index, left)
		if err != nil || next != index {
			return true, err
		}
	}
}

// begin makes a rollout the current one, in the place of h. Who is not the first to
// do so returns without an error.
func (p *Place) begin(ctx context.Context, h *head, index uint64) error {
	retried := h != nil && h.ID == p.entry.ID && h.Phase == unbegun
	if h == nil || h.Gen != p.began || h.Phase != beginning {
		h = p.next(h)
		p.began = h.Gen // before it is sent: the answer may be lost
		won, err := p.commit(ctx, casOp(p.headKey(), encode(h), index))
		if err != nil || !won {
			return err
		}
		if h, index, err = p.readHead(ctx); err != nil {
			return err
		}
		if h == nil || h.Gen != p.began {
			return nil
		}
	}
	if h.Index == 0 {
		h.Index = index
	}
	if !retried { // who has tried to begin it before has asked already
		if err := p.suspect(ctx, h, p.lease); err != nil {
			return err
		}
	}
	members, err := p.groupOf(ctx, p.entry.Rollout, h)
	if cannot, ok := errors.AsType[cannotBegin](err); ok {
		return p.giveUp(ctx, h, index, cannot)
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(h.Past, func(p past) bool { return p.Series == h.Series }) {
		h.Series = h.Gen // what hosts have said when it could not begin no longer holds
	}
	h.limit(p.entry.Rollout, counted(members))
	if err := p.forget(ctx, h, index, members); err != nil {
		return err
	}
	return p.open(ctx, h, index, members, &p.guard)
}

// next is the head of the rollout that comes after h.
func (p *Place) next(h *head) *head {
	n := &head{
		ID: p.entry.ID, Gen: newGen(), Version: cut(p.entry.Version), Serial: p.entry.Serial, By: cut(p.entry.Node),
		Began: time.Now().UTC().Truncate(time.Millisecond), Group: cut(p.entry.Rollout.Group()), Phase: beginning,
	}
	n.Signed, n.Lacking = p.entry.Remarks.Signed, cut(p.entry.Remarks.Lacking)
	if len(p.entry.Outline) <= maxOutline {
		n.Outline = p.entry.Outline
	}
	if len(p.entry.URL) <= maxText {
		n.URL = p.entry.URL
	}
	n.follows(h)
	if h != nil && h.ID == n.ID {
		n.Limits, n.again = h.Limits, h.again
		n.Silent = h.Silent || h.overdue(time.Now())
		if h.Phase == fleet.Open {
			n.Limits.Canary = 0 // they have been good
		}
	}
	return n
}

// suspect has a rollout before which nothing is known wait for a lease, when something
// was there: hosts may be at work whose sessions have just ended.
func (l *ledger) suspect(ctx context.Context, h *head, lease time.Duration) error {
	if !slices.Equal(h.Drain, []past{{}}) {
		return nil
	}
	gens, err := l.below(ctx, l.gensKey())
	if err != nil {
		return err
	}
	series, err := l.below(ctx, l.seriesKey())
	if slices.ContainsFunc(append(gens, series...), func(gen string) bool { return gen != h.Gen && gen != noSeries }) {
		h.Drain = []past{{Lease: lease.Milliseconds()}}
	}
	return err
}

func newGen() string { return nonce() + nonce() }

// follows says what came before a head, and whose holders are waited for.
func (h *head) follows(old *head) {
	h.lineage = lineage{Series: h.Gen}
	if old == nil { // nothing is known of those who may be at work
		h.Drain = []past{{}}
		return
	}
	if old.Phase == unbegun && old.ID == h.ID { // it is as if it had not been tried
		h.Drain, h.lineage = old.Drain, old.lineage
		return
	}
	was := old.past()
	if old.ID == h.ID {
		h.Series, h.Index = old.Series, old.Index
	}
	h.Drain, h.Past = old.Drain, []past{was}
	for _, p := range old.Past { // however often a rollout is repeated, it pushes no other out
		if p.Series != was.Series {
			h.Past = append(h.Past, p)
		}
	}
	if old.begun() {
		h.Drain = append([]past{was}, h.Drain...)
	}
	if len(h.Drain) > maxPast { // so many at once: it is enough that nobody is at work at all
		lease := slices.MaxFunc(h.Drain, func(a, b past) int { return cmp.Compare(a.Lease, b.Lease) }).Lease
		h.Drain = []past{{Lease: lease}}
	}
	h.Past = h.Past[:min(len(h.Past), maxPast)]
}

// looser tells whether a rollout allows more than a host: the policies of hosts differ,
// and what is in KV is signed by nobody. That host begins it again, with its own limits.
func (h *head) looser(r fleet.Rollout) bool {
	own, members := new(head), h.Members
	if len(r.Hosts) > 0 {
		members = min(members, len(r.Hosts))
	}
	own.limit(r, members)
	return h.Limits.Parallel > own.Limits.Parallel || h.Limits.MaxFailed > own.Limits.MaxFailed ||
		h.Limits.LeaseMS < own.Limits.LeaseMS || h.Shards > own.Shards
}

// limit resolves what a rollout says for a group of so many hosts. What it has been
// before is not exceeded.
func (h *head) limit(r fleet.Rollout, members int) {
	before := h.Limits
	h.Members = members
	h.Limits = limits{
		Parallel: min(r.AtOnce(members), maxCap), MaxFailed: min(r.Tolerated(members), maxCap),
		Canary:  min(int(min(r.Canary, maxCap)), max(members, 1)),
		PauseMS: time.Duration(r.Pause).Milliseconds(), LeaseMS: r.Leased().Milliseconds(),
		TimeoutMS: r.WaitsFor().Milliseconds(),
	}
	if before.Parallel > 0 {
		h.Limits.Parallel = min(h.Limits.Parallel, before.Parallel)
		h.Limits.MaxFailed = min(h.Limits.MaxFailed, before.MaxFailed)
		h.Limits.Canary = min(h.Limits.Canary, before.Canary)
	}
	h.Shards = (h.Limits.Parallel + shardSize - 1) / shardSize
}

// open writes what a generation needs, and hands out slots as soon as no earlier
// holder is left.
func (l *ledger) open(ctx context.Context, h *head, index uint64, members []member, g *guard) error {
	var ops []*api.KVTxnOp
	for name, s := range h.split() {
		ops = append(ops, setOp(l.shardKey(h.Gen, name), encode(s)))
	}
	parts := slices.Collect(slices.Chunk(ops, mostOps-1))
	for _, op := range memberOps(l.keys, h.Gen, members) {
		parts = append(parts, []*api.KVTxnOp{op}) // each is large
	}
	for _, part := range parts {
		ok, err := l.commit(ctx, append([]*api.KVTxnOp{sameOp(l.headKey(), index)}, part...)...)
		if err != nil || !ok {
			return err
		}
	}
	if err := l.clean(ctx, h, index); err != nil {
		return err
	}
	if err := l.startClock(ctx, h); err != nil {
		return err
	}
	drained, err := l.drained(ctx, h, g)
	if err != nil {
		return err
	}
	if drained {
		return handsOut(ctx, l, h, index)
	}
	h.Phase = draining
	_, err = l.commit(ctx, casOp(l.headKey(), encode(h), index))
	return err
}

// errSpoilt is a document that is not there, or not what a rollout writes.
var errSpoilt = errors.New("documents of the rollout are missing or spoilt")

// readShards reads the shards of a generation; errSpoilt where one is missing.
func (l *ledger) readShards(ctx context.Context, gen string, shards int) (map[string]shard, error) {
	names := shardNames(shards)
	var list []string
	for _, name := range names {
		list = append(list, l.shardKey(gen, name))
	}
	pairs, err := l.getAll(ctx, list)
	if err != nil {
		return nil, err
	}
	all := map[string]shard{}
	for i, name := range names {
		var s shard
		pair := pairs[list[i]]
		if pair == nil || decode(pair.Value, &s) != nil {
			return all, errSpoilt
		}
		all[name] = s
	}
	return all, nil
}

// idle tells whether the current rollout is over: no host is at work for it, or waits,
// and so many have ended as there are in the group, or it is stopped.
func (l *ledger) idle(ctx context.Context, h *head) (bool, error) {
	if h.Phase == beginning || h.Phase == draining {
		return false, nil
	}
	if h.Phase == unbegun { // hosts of the one before may be at work
		return l.drained(ctx, h, newGuard(longestWait))
	}
	all, err := l.readShards(ctx, h.Gen, h.Shards)
	if err != nil && !errors.Is(err, errSpoilt) {
		return false, err
	}
	ended := 0
	for _, s := range all {
		ended += s.Good + s.Failed + s.Died
		if len(s.Held) > 0 || s.load() > 0 && h.Phase != fleet.Stopped {
			return false, nil
		}
	}
	if err != nil || h.Phase == fleet.Stopped || ended >= h.Members {
		return err == nil, nil
	}
	told, err := l.told(ctx, h)
	return told >= h.Members, err
}

// told counts the hosts that have told a result of the current rollout which holds. Some
// of them have had nothing to do, and no slot.
func (l *ledger) told(ctx context.Context, h *head) (int, error) {
	answered, _, err := words(ctx, l, h)
	if err != nil || len(answered) >= h.Members {
		return len(answered), err
	}
	strays, err := l.list(ctx, l.resultsKey(noSeries))
	if err != nil {
		return 0, err
	}
	found, err := askedBy(ctx, l, h)
	for _, pair := range strays {
		s, ok := heard(noSeries, strings.TrimPrefix(pair.Key, l.resultsKey(noSeries)), pair)
		if ok && h.counts(s) && !found.asksAgain(fleet.StandingOf(s.Result.Result), s.index) &&
			!slices.Contains(answered, s.Node) {
			answered = append(answered, s.Node)
		}
	}
	return len(answered), err
}
