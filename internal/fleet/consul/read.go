package consul

import (
	"context"
	"encoding/json"
	"fmt"
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
	return fleet.Record{Outline: h.Outline, URL: h.URL, Serial: h.Serial}, nil
}

// Read tells how a rollout of a name stands, and what its hosts have said; the latest
// one. fleet.ErrUnknown when nothing is known of the name.
func (c *Client) Read(ctx context.Context, name string) (fleet.State, error) {
	l := c.ledger(name)
	h, _, err := l.readHead(ctx)
	if err != nil {
		return fleet.State{}, err
	}
	found := newFindings()
	if h != nil {
		found.id, found.again = h.ID, h.again
		found.missed = func(turn *api.KVPair) bool { return c.missed(turn, h.past().lease()) }
		if err := l.readGen(ctx, l.genKey(h.Gen), h.Gen, found); err != nil {
			return fleet.State{}, err
		}
		for _, old := range h.kept() {
			found.ofOthers = found.ofOthers || old.ID != h.ID
			found.before = found.before || old.Gen == h.Since && h.Phase != fleet.Stopped
			if err := l.readGen(ctx, l.resultsKey(old.Gen), old.Gen, found); err != nil {
				return fleet.State{}, err
			}
		}
	}
	if err := l.readStray(ctx, h, found); err != nil {
		return fleet.State{}, err
	}
	if h == nil && len(found.hosts) == 0 {
		return fleet.State{}, fmt.Errorf("%w: %q", fleet.ErrUnknown, name)
	}
	return found.state(name, h), nil
}

// readStray reads what hosts have said that no rollout knows of any more.
func (l *ledger) readStray(ctx context.Context, h *head, found *findings) error {
	gens, err := l.generations(ctx)
	if err != nil {
		return err
	}
	found.ofOthers = true
	for _, gen := range gens {
		if h != nil && (gen == h.Gen || h.knows(gen)) {
			continue
		}
		if err := l.readGen(ctx, l.resultsKey(gen), gen, found); err != nil {
			return err
		}
	}
	return nil
}

// knows tells whether a generation is one of the past.
func (h *head) knows(gen string) bool {
	return slices.ContainsFunc(h.Past, func(p past) bool { return p.Gen == gen })
}

// readGen reads what there is below a prefix.
func (l *ledger) readGen(ctx context.Context, prefix string, gen string, found *findings) error {
	pairs, err := l.list(ctx, prefix)
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		switch {
		case strings.HasPrefix(pair.Key, l.membersKey(gen)):
			found.members(pair)
		case strings.HasPrefix(pair.Key, l.resultsKey(gen)):
			found.result(pair)
		case strings.HasPrefix(pair.Key, l.genKey(gen)+"t/"):
			found.turn(pair)
		}
	}
	return nil
}

// list reads all below a prefix.
func (c *Client) list(ctx context.Context, prefix string) (api.KVPairs, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*requestTime)
	defer cancel()
	pairs, _, err := c.api.KV().List(prefix, consistent(ctx))
	if err != nil {
		return nil, unreached("read "+prefix, err)
	}
	return pairs, nil
}

// findings are what is known of hosts, by their nodes. The latest generation comes
// first: what is known already stays.
type findings struct {
	hosts    map[string]*fleet.Host
	latest   map[string]uint64           // when what is known of a host was written, as Consul counts
	missed   func(turn *api.KVPair) bool // its host must have died before it took it
	id       string                      // of the current rollout
	ofOthers bool                        // what comes now is of other rollouts, unless it says that it is not
	again    again                       // for whom the current generation is
	before   bool                        // what comes now was told before that, and not all of it holds
}

func newFindings() *findings {
	return &findings{
		hosts: map[string]*fleet.Host{}, latest: map[string]uint64{},
		missed: func(*api.KVPair) bool { return false },
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
		if m.Node != "" {
			f.host(m.Node).Zone = m.Zone
		}
	}
}

func (f *findings) result(pair *api.KVPair) {
	r, err := fleet.DecodeResult(pair.Value)
	if err != nil || r.Node == "" {
		return
	}
	h := f.host(r.Node)
	if h.Zone == "" {
		h.Zone = r.Zone
	}
	if h.Result.Result == "" && (!f.ofOthers || f.id != "" && r.Rollout == f.id) {
		h.Result = r
		if r.Result != string(fleet.HostDied) { // others say so, of a turn that they have removed
			f.latest[strings.ToLower(r.Node)] = pair.ModifyIndex
		}
		if standing := fleet.StandingOf(r.Result); h.Standing == fleet.HostMissing && !f.asksAgain(standing) {
			h.Standing = standing
		}
	}
	if h.Runs == "" && r.Result == "good" {
		h.Runs = r.Version
	}
}

// asksAgain tells whether a host that stood so before is asked again, and has to come.
func (f *findings) asksAgain(before fleet.Standing) bool {
	if !f.before || f.again.Only {
		return f.before && before.Bad()
	}
	return before != fleet.HostGood
}

// turn says that a host waits or is at work. When the host has come again since it got
// that turn, or told its result, the turn is left of a run that died.
//
// Hosts count others as died after a lease. When no host is left to do so, who asks sees
// it all the same.
func (f *findings) turn(pair *api.KVPair) {
	var t turn
	if decode(pair.Value, &t) != nil || t.Node == "" {
		return
	}
	node := strings.ToLower(t.Node)
	if f.latest[node] > pair.CreateIndex {
		return
	}
	f.latest[node] = pair.CreateIndex
	h := f.host(t.Node)
	h.Result = fleet.Result{}
	switch {
	case t.State == turnWaiting:
		h.Standing = fleet.HostWaiting
	case pair.Session == "" && (t.State == turnWorking || f.missed(pair)):
		h.Standing = fleet.HostDied
		h.Result = fleet.Result{Node: t.Node, Result: string(fleet.HostDied), Error: unheard}
	default:
		h.Standing = fleet.HostWorking
	}
}

// unheard is what is told of a host that can't do it itself.
const unheard = "it had a slot, and was heard of no more"

// missed tells whether a host has not taken a turn that it was given, since Read saw
// it first, longer ago than a lease.
func (c *Client) missed(turn *api.KVPair, lease time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.given[turn.Key]
	if !ok || seen.index != turn.ModifyIndex {
		seen = sight{turn.ModifyIndex, time.Now()}
		c.given[turn.Key] = seen
	}
	return time.Since(seen.since) >= lease
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
	for _, host := range f.hosts {
		s.Hosts = append(s.Hosts, *host)
	}
	s.Sort()
	switch {
	case s.Phase == beginning, s.Phase == draining:
		s.Begins = s.Phase == beginning
		s.Phase = h.first()
	case (s.Phase == fleet.Open || s.Phase == fleet.Pause) && s.Ended(): // all may have been canaries
		s.Phase = fleet.Done
	}
	return s
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
	if err != nil {
		return index, unreached("watch the rollout", err)
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
	found, _, err := c.api.KV().Keys(prefix, "/", consistent(ctx))
	if err != nil {
		return nil, unreached("list "+prefix, err)
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
