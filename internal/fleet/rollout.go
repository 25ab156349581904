package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"stretcher/internal/text/keys"
	"stretcher/internal/text/units"
)

// Rollout is the key of a manifest that says how it goes over a group.
type Rollout struct {
	Service  string            `yaml:"service"`   // of Consul, whose nodes are the group
	NodeMeta map[string]string `yaml:"node_meta"` // what the nodes of the group have
	Hosts    []string          `yaml:"hosts"`     // the nodes of the group by name

	Parallel      Amount        `yaml:"parallel"`   // so many are at work at once; unset: 1
	MaxFailed     Amount        `yaml:"max_failed"` // more stop the rollout; unset: 0
	Canary        int64         `yaml:"canary"`     // so many go first, and alone
	Pause         Span          `yaml:"pause"`      // after the last good canary
	Zone          string        `yaml:"zone"`       // node_meta.KEY: what hosts are told of by; "" = nothing
	OnUnreachable OnUnreachable `yaml:"on_unreachable"`
	Timeout       Span          `yaml:"timeout"` // of waiting for a turn, and of a host that is silent; 0 = 1h
	Lease         Span          `yaml:"lease"`   // how long a host at work goes on without Consul; 0 = 2m
}

const (
	defaultTimeout = time.Hour
	defaultLease   = 2 * time.Minute
	leastLease     = time.Minute // a quarter of it must do for ending commands: TERM, then KILL after 10 s
	longest        = 7 * 24 * time.Hour

	// MaxHosts bounds the hosts that an amount or a list names.
	MaxHosts = 1_000_000
	maxMeta  = 64 // so many pairs a Consul node has at most
)

// WaitsFor is how long a host waits for its turn.
func (r Rollout) WaitsFor() time.Duration { return cmp.Or(time.Duration(r.Timeout), defaultTimeout) }

// Leased is how long a host at work goes on without Consul.
func (r Rollout) Leased() time.Duration { return cmp.Or(time.Duration(r.Lease), defaultLease) }

// Afterwards is how long commands may run that a host which has lost its slot goes back by.
func (r Rollout) Afterwards() time.Duration { return Margin(r.Leased()) - Ending }

// Short tells whether that is less than it is as a rule.
func (r Rollout) Short() bool { return r.Leased() < defaultLease }

// Unreachable is what a host does that does not reach Consul.
func (r Rollout) Unreachable() OnUnreachable { return cmp.Or(r.OnUnreachable, Wait) }

// AtOnce is how many of a group of n hosts may be at work at once: one at least.
func (r Rollout) AtOnce(n int) int { return max(1, r.Parallel.Of(n, 1)) }

// Tolerated is how many of a group of n hosts may fail without stopping the rest.
func (r Rollout) Tolerated(n int) int { return r.MaxFailed.Of(n, 0) }

// ZoneKey is the key of a node's metadata that names its zone; "" = there is none.
func (r Rollout) ZoneKey() string { return strings.TrimPrefix(r.Zone, zonePrefix) }

// Group says in words which hosts the rollout is for.
func (r Rollout) Group() string {
	switch {
	case r.Service != "":
		return fmt.Sprintf("service %q", r.Service)
	case len(r.NodeMeta) > 0:
		var pairs []string
		for _, name := range sorted(r.NodeMeta) {
			pairs = append(pairs, fmt.Sprintf("%s=%s", name, r.NodeMeta[name]))
		}
		return fmt.Sprintf("nodes with %q", strings.Join(pairs, " "))
	}
	return fmt.Sprintf("%d listed hosts", len(r.Hosts))
}

// String says how it goes, in a line.
func (r Rollout) String() string {
	text := fmt.Sprintf("%s, %s at once, stops after more than %s failed", r.Group(),
		r.Parallel.or("1 host"), r.MaxFailed.or("0 hosts"))
	if r.Canary > 0 {
		text += fmt.Sprintf(", %s first, then a pause of %s", plural(r.Canary, "canary", "canaries"),
			time.Duration(r.Pause))
	}
	return text + fmt.Sprintf("; waits %s at most, without Consul: %s; lease %s",
		r.WaitsFor(), r.Unreachable(), r.Leased())
}

// Bounds are what a host allows of rollouts.
type Bounds struct {
	Required      bool          `yaml:"required"` // a manifest without one is refused
	Parallel      Amount        `yaml:"parallel"`
	MaxFailed     Amount        `yaml:"max_failed"`
	OnUnreachable OnUnreachable `yaml:"on_unreachable"`
}

// Tightest are two bounds together.
func (b Bounds) Tightest(other Bounds) Bounds {
	return Bounds{
		Required: b.Required || other.Required, Parallel: b.Parallel.Least(other.Parallel),
		MaxFailed: b.MaxFailed.Least(other.MaxFailed), OnUnreachable: b.OnUnreachable.Stricter(other.OnUnreachable),
	}
}

// Within is the rollout as far as a host allows it: the smallest amounts win.
// What the manifest does not say is what holds without it.
func (r Rollout) Within(b Bounds) *Rollout {
	if !r.Parallel.IsSet() {
		r.Parallel = Hosts(1)
	}
	if !r.MaxFailed.IsSet() {
		r.MaxFailed = Hosts(0)
	}
	r.Parallel, r.MaxFailed = r.Parallel.Least(b.Parallel), r.MaxFailed.Least(b.MaxFailed)
	r.OnUnreachable = r.Unreachable().Stricter(b.OnUnreachable)
	return &r
}

// OnUnreachable says what a host does that has no slot and does not reach Consul.
type OnUnreachable string

// What it does, from the looser to the stricter.
const (
	Proceed OnUnreachable = "proceed" // it deploys, without any limit
	Wait    OnUnreachable = "wait"    // until timeout, and fails then
	Fail    OnUnreachable = "fail"    // at once
)

// UnreachableWords are what it can do.
func UnreachableWords() keys.OneOf { return keys.OneOf{string(Wait), string(Proceed), string(Fail)} }

// UnmarshalText reads one of the words.
func (o *OnUnreachable) UnmarshalText(b []byte) error {
	*o = OnUnreachable(b)
	return UnreachableWords().Check(string(b))
}

// Stricter is the stricter of two; "" is none.
func (o OnUnreachable) Stricter(other OnUnreachable) OnUnreachable {
	for _, word := range []OnUnreachable{Fail, Wait, Proceed} {
		if o == word || other == word {
			return word
		}
	}
	return ""
}

// Span is a time span of a rollout.
type Span time.Duration

// UnmarshalText reads a number of seconds or a Go duration.
func (s *Span) UnmarshalText(b []byte) error {
	v, err := units.ParseSeconds(string(b))
	if err == nil && v > longest {
		err = errors.New("is longer than a week")
	}
	*s = Span(v)
	return err
}
