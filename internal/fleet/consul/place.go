package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"stretcher/internal/fleet"
)

// Place is that of one host in a rollout: in the line, at work, or neither. Its
// methods are called one after the other: Wait, then Leave.
type Place struct {
	*ledger
	entry fleet.Entry
	nonce string // who writes what, to know one's own again after a broken connection
	guard guard

	known
	spot
	outage
	warned bool   // when it is not of the group
	agents bool   // its node is the agent's own
	began  string // the generation that this host begins; "" = none
	maybe  []spot // what it may have got over a connection that broke, or before its rollout began again

	Late      bool // its run was refused as too old: it begins no rollout
	unlimited bool // it works without a slot
	holder
}

// holder is what holds a slot beside the work.
type holder struct {
	lease      time.Duration
	confirmed  moment          // when it last knew that it has its slot
	slot       context.Context // see Slot
	lose       context.CancelCauseFunc
	finish     func() // ends the holding; nil = it does not hold
	holding    sync.WaitGroup
	confirming sync.Mutex
	mu         sync.Mutex // of when it was confirmed, and of why it was not
	trouble    error      // by which it was not confirmed last; nil = it was
}

// known is what a host knows of its rollout.
type known struct {
	head      *head
	headIndex uint64 // of Consul
}

// spot is where a host is in a generation.
type spot struct {
	gen     string
	shard   string // "" = it is in no line
	ticket  int
	session string
	renewed time.Time // when the session was last known to be there
	holds   bool      // it has a slot, or had one
}

// errAgain is the answer to who has lost its ticket, or whose generation has ended:
// it comes anew.
var errAgain = errors.New("it has no ticket any more")

// Node is the host as Consul knows it; "" = it has not been asked yet.
func (p *Place) Node() string { return p.entry.Node }

// Unlimited tells whether the host is at work without a slot: Consul was out of reach,
// and the rollout says that it proceeds then.
func (p *Place) Unlimited() bool { return p.unlimited }

// Wait waits for the host's turn. It returns a context for the work, which ends when
// the slot can't be held any more; its cause is fleet.ErrLost then. Errors are those
// of package fleet, and that of ctx. Leave follows in any case.
func (p *Place) Wait(ctx context.Context) (work context.Context, err error) {
	limit := p.entry.Rollout.WaitsFor()
	waiting, cancel := context.WithTimeoutCause(ctx, limit, fleet.ErrTimedOut)
	defer cancel()
	for tries := 0; ; tries++ {
		began := time.Now()
		err := p.attempt(waiting)
		if err == nil {
			p.reached()
			return p.work(ctx), nil
		}
		if waiting.Err() != nil {
			return nil, p.ended(ctx, waiting)
		}
		if errors.Is(err, errAgain) {
			comesAnew(p)
			continue
		}
		if !errors.Is(err, fleet.ErrUnreachable) {
			return nil, err
		}
		if time.Since(began) > p.lease {
			tries = 0
		}
		switch proceed, err := p.without(waiting, err); {
		case err != nil:
			return nil, err
		case proceed:
			p.unlimited = true
			return ctx, nil
		}
		pause(waiting, backOff(p.lease, tries))
	}
}

// attempt does what is left until the host has a slot.
func (p *Place) attempt(ctx context.Context) error {
	if err := p.identify(ctx); err != nil {
		return err
	}
	if p.shard == "" {
		if err := p.join(ctx); err != nil {
			return err
		}
		if err := p.arrive(ctx); err != nil || p.holds {
			return err
		}
	}
	return p.await(ctx)
}

// comesAnew has the host forget where it was, but that it may still have a turn there.
func comesAnew(p *Place) {
	was := spot{gen: p.gen, shard: p.shard, ticket: p.ticket}
	if p.shard != "" && !slices.Contains(p.maybe, was) {
		p.maybe = append(p.maybe, was)
	}
	p.shard = ""
}

// identify asks the agent for what the entry does not say of the host.
func (p *Place) identify(ctx context.Context) error {
	zone := p.entry.Rollout.ZoneKey()
	if p.entry.Node != "" && (p.entry.Zone != "" || zone == "") {
		return nil
	}
	node, meta, err := p.Self(ctx)
	if err != nil {
		return err
	}
	if p.entry.Node == "" {
		p.entry.Node = node
	}
	p.agents = strings.EqualFold(node, p.entry.Node)
	if !p.agents && zone != "" {
		if meta, err = p.nodeMeta(ctx, p.entry.Node); err != nil {
			return err
		}
	}
	if p.entry.Zone == "" && zone != "" {
		p.entry.Zone = meta[zone]
	}
	p.reached()
	return nil
}

// ended is why waiting has ended.
func (p *Place) ended(ctx, waiting context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p.cause != nil:
		return fmt.Errorf("%w after %s: %w", fleet.ErrTimedOut, p.entry.Rollout.WaitsFor(), p.cause)
	}
	return fmt.Errorf("%w: %s", context.Cause(waiting), p.entry.Rollout.WaitsFor())
}

// backOff is how long to wait after so many failures in a row. It is at random, so
// that not all hosts come back at once.
func backOff(lease time.Duration, tries int) time.Duration {
	return about(min(lease/100<<min(tries, 10), lease/4))
}

// own is what the host writes on its turn.
func (p *Place) own(state turnState) []byte {
	return encode(turn{
		Node: cut(p.entry.Node), Nonce: p.nonce, Run: cut(p.entry.Run), Came: time.Now().Unix(), State: state,
		Runs: cut(p.entry.Runs), Mixed: p.entry.Mixed,
	})
}

// mine tells whether a turn is this host's.
func (p *Place) mine(t turn) bool { return t.Nonce == p.nonce }

func (p *Place) turnKey() string { return p.turnKeyOf(p.head.Gen, p.shard, p.ticket) }

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }
