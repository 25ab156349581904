package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// Recorded is what the current rollout of a name has recorded of its manifest.
func (c *Client) Recorded(ctx context.Context, name string) (fleet.Record, error) {
	h, _, err := c.ledger(name).current(ctx)
	if err != nil {
		return fleet.Record{}, err
	}
	return fleet.Record{Outline: h.Outline, Lacking: h.Lacking, URL: h.URL, Serial: h.Serial, Signed: h.Signed}, nil
}

// Read tells how a rollout of a name stands, and what its hosts have said; the latest
// one. fleet.ErrUnknown when nothing is known of the name.
func (c *Client) Read(ctx context.Context, name string) (fleet.State, error) {
	l := c.ledger(name)
	h, _, err := l.readHead(ctx)
	if err != nil {
		return fleet.State{}, err
	}
	found := newFindings(h)
	var pairs api.KVPairs
	if h != nil {
		found.missed = func(turn *api.KVPair) bool { return c.missed(turn, h.past().lease()) }
		// The turns come before the results: who ends meanwhile is seen twice, and not never.
		if pairs, err = l.list(ctx, l.genKey(h.Gen)); err != nil {
			return fleet.State{}, err
		}
		found.began, found.dead = l.began(h.Gen, pairs), deadLines(l, h, pairs)
	}
	if err := l.readResults(ctx, found); err != nil {
		return fleet.State{}, err
	}
	if err := l.readBusy(ctx, h, found); err != nil {
		return fleet.State{}, err
	}
	for _, pair := range pairs {
		switch {
		case strings.HasPrefix(pair.Key, l.membersKey(h.Gen)):
			found.members(pair)
		case strings.HasPrefix(pair.Key, l.genKey(h.Gen)+"t/"):
			found.turn(pair)
		case pair.Key == l.clockKey(h.Gen):
			found.ticking = pair.Session != ""
		}
	}
	if h == nil && len(found.hosts) == 0 {
		return fleet.State{}, fmt.Errorf("%w: %q", fleet.ErrUnknown, name)
	}
	return found.state(name, h), nil
}

// began is when a generation was opened, by what there is of it.
func (l *ledger) began(gen string, pairs api.KVPairs) (index uint64) {
	index = math.MaxUint64
	for _, pair := range pairs {
		if strings.HasPrefix(pair.Key, l.shardKey(gen, "")) {
			index = min(index, pair.CreateIndex)
		}
	}
	return index
}

// readBusy reads which hosts are at work for an earlier rollout, as long as that is
// waited for: they can't have come yet.
func (l *ledger) readBusy(ctx context.Context, h *head, found *findings) error {
	if h == nil || h.Phase != draining {
		return nil
	}
	for _, old := range h.Drain {
		if old.Gen == "" {
			continue
		}
		pairs, err := l.list(ctx, l.genKey(old.Gen)+"t/")
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			var t turn
			if pair.Session != "" && decode(pair.Value, &t) == nil {
				found.busy[strings.ToLower(t.Node)] = true
			}
		}
	}
	return nil
}

// readResults reads what hosts have said, in the order in which they did.
func (l *ledger) readResults(ctx context.Context, found *findings) error {
	all, err := l.below(ctx, l.seriesKey())
	if err != nil {
		return err
	}
	var said []saying
	for _, series := range all {
		pairs, err := l.list(ctx, l.resultsKey(series))
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			if s, ok := heard(series, strings.TrimPrefix(pair.Key, l.resultsKey(series)), pair); ok {
				said = append(said, s)
			}
		}
	}
	slices.SortFunc(said, func(a, b saying) int { return cmp.Compare(a.index, b.index) })
	for _, s := range said {
		found.result(s)
	}
	return nil
}

// saying is a result, and where and when it was written.
type saying struct {
	fleet.Result
	series string
	index  uint64 // as Consul counts
}

// list reads all below a prefix.
func (c *Client) list(ctx context.Context, prefix string) (api.KVPairs, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*requestTime)
	defer cancel()
	pairs, meta, err := c.api.KV().List(prefix, consistent(ctx))
	return pairs, c.whole(ctx, prefix, meta, err)
}

// heard is what a key holds by which a node has said something. Whose it is the key
// says, whatever is written there.
func heard(series, key string, pair *api.KVPair) (s saying, ok bool) {
	node, ok := nameOf(key)
	if !ok {
		return s, false
	}
	r, err := fleet.DecodeResult(pair.Value)
	r.Node = node
	return saying{r, series, pair.ModifyIndex}, err == nil
}

// findings are what is known of hosts, by their nodes.
type findings struct {
	head   *head  // nil = there is none
	began  uint64 // when its generation was opened, as Consul counts
	hosts  map[string]*fleet.Host
	latest map[string]uint64           // when a host has told what it did, as Consul counts
	going  map[string]going            // what it does
	missed func(turn *api.KVPair) bool // its host must have died before it took it
	dead   map[string]bool             // shards in whose lines nobody is left
	busy   map[string]bool             // at work for an earlier rollout

	group   map[string]bool // who is of it
	ticking bool            // the time to come in is not over by Consul's clock
}

func newFindings(h *head) *findings {
	return &findings{
		head: h, hosts: map[string]*fleet.Host{}, latest: map[string]uint64{}, group: map[string]bool{},
		going: map[string]going{}, busy: map[string]bool{}, missed: func(*api.KVPair) bool { return false },
	}
}

// host is what is known of a node; it makes it known.
func (f *findings) host(node string) *fleet.Host {
	key := strings.ToLower(node)
	if f.hosts[key] == nil {
		f.hosts[key] = &fleet.Host{Node: node, Standing: fleet.HostMissing}
	}
	return f.hosts[key]
}

func (f *findings) members(pair *api.KVPair) {
	var members []member
	if len(pair.Value) > maxDocument*2 || json.Unmarshal(pair.Value, &members) != nil {
		return
	}
	for _, m := range members {
		if m.Node == "" {
			continue
		}
		h := f.host(m.Node)
		h.Zone, h.Note, h.Excused = cmp.Or(m.Zone, h.Zone), m.Was.note(), m.Excused
		f.group[strings.ToLower(m.Node)] = true
	}
}

// result takes what a host has said next.
func (f *findings) result(s saying) {
	h := f.host(s.Node)
	if s.Zone != "" {
		h.Zone = s.Zone
	}
	if version, mixed, told := s.Has(); told || s.Result.Result == string(fleet.HostDied) {
		h.Runs, h.Mixed = version, mixed // nobody knows how far who died has come
	}
	if f.head == nil || !f.head.counts(s) {
		return
	}
	h.Result = s.After(h.Result)
	if h.Standing = fleet.StandingOf(h.Result.Result); f.asksAgain(h.Standing, s.index) {
		h.Standing = fleet.HostMissing
	}
	if s.Result.Result != string(fleet.HostDied) { // others say so, of a turn that they have removed
		f.latest[strings.ToLower(s.Node)] = s.index
	}
}

// asksAgain tells whether a host that told this before the current generation began is
// asked again by it, and has to come.
func (f *findings) asksAgain(standing fleet.Standing, told uint64) bool {
	switch {
	case f.head.Since == "", f.head.Phase == fleet.Stopped, told > f.began:
		return false
	case f.head.Only:
		return standing.Bad()
	}
	return standing != fleet.HostGood
}

// counts tells whether a word is of the current rollout. Hosts that had nothing to do may
// have spoken before that began; what they said of the same one still earlier is past.
func (h *head) counts(s saying) bool {
	return s.series == h.Series || s.series == noSeries && s.Rollout == h.ID && s.index > h.before()
}

// state puts together what has been found.
func (f *findings) state(name string, h *head) fleet.State {
	s := fleet.State{Name: name}
	if h != nil {
		s.Version, s.ID, s.Phase, s.Group, s.Why, s.Began = h.Version, h.ID, h.Phase, h.Group, h.Why, h.Began
		s.Limits = fleet.Limits{
			Parallel: h.Limits.Parallel, MaxFailed: h.Limits.MaxFailed, Canary: h.Limits.Canary,
			Pause: time.Duration(h.Limits.PauseMS) * time.Millisecond,
		}
	}
	f.noteOutsiders()
	for _, host := range f.hosts {
		s.Hosts = append(s.Hosts, *host)
	}
	if h != nil && !f.ticking && h.overdue(time.Now()) {
		s.Silence(h.Limits.timeout())
	}
	f.expect(s.Hosts, h)
	s.Sort()
	switch {
	case s.Phase == unbegun:
		s.Phase = fleet.Stopped
	case s.Phase == beginning, s.Phase == draining:
		s.Begins = s.Phase == beginning
		s.Phase = h.first()
	case h != nil && s.Phase != fleet.Stopped && s.Ended(): // all may have been canaries, or fewer than there should be
		s.Phase = fleet.Done
	}
	return s
}

// noteOutsiders tells people of hosts that are not of the group. What Consul knew of
// the others when the rollout began no longer matters once they have come.
func (f *findings) noteOutsiders() {
	for node, h := range f.hosts {
		switch {
		case len(f.group) > 0 && !f.group[node]: // those of rollouts before are not waited for
			h.Note, h.Excused = "not of the group", h.Result.Result == ""
		case h.Standing != fleet.HostMissing:
			if h.Note = ""; h.Result.Also != "" {
				h.Note = "another machine or dest has told of this node: " + h.Result.Also
			}
		}
	}
}

// settling is for how long after the beginning of a rollout a host may not have been
// heard of, besides the time over which hosts spread.
const settling = 10 * time.Second

// expect tells apart who is missing, and who has had no time to come yet. Clocks may
// differ: by more than that, and it is as if all had.
func (f *findings) expect(hosts []fleet.Host, h *head) {
	young := h != nil && time.Since(h.Began).Abs() < settling+h.spread()
	for i := range hosts {
		host, busy := &hosts[i], f.busy[strings.ToLower(hosts[i].Node)]
		if host.Standing != fleet.HostMissing || host.Excused || !young && !busy {
			continue
		}
		if host.Standing = fleet.HostExpected; busy {
			host.Note = "at work for the rollout before"
		}
	}
}

// Changes waits until something has changed since index, or for half a minute, and
// returns the index to go on from. It begins with 0, and returns at once then.
func (c *Client) Changes(ctx context.Context, name string, index uint64) (uint64, error) {
	const wait = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, wait+requestTime)
	defer cancel()
	options := (&api.QueryOptions{WaitIndex: index, WaitTime: wait}).WithContext(ctx)
	// With the separator it tells of changes of all keys, and returns the name of two.
	_, meta, err := c.api.KV().Keys(c.ledger(name).base, "/", options)
	if err = c.listed(keyRead, "watch the rollout", meta, err); err != nil {
		return index, err
	}
	if meta.LastIndex < index {
		return 0, nil
	}
	return max(meta.LastIndex, 1), nil
}

// Names lists the names of which something is known.
func (c *Client) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	found, meta, err := c.api.KV().Keys(prefix, "/", consistent(ctx))
	if err = c.whole(ctx, prefix, meta, err); err != nil {
		return nil, err
	}
	var names []string
	for _, key := range found {
		if name, ok := nameOf(strings.TrimSuffix(strings.TrimPrefix(key, prefix), "/")); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// nameOf is the name that a part of a key stands for.
func nameOf(part string) (string, bool) {
	name, err := url.PathUnescape(part)
	return name, err == nil && name != ""
}
