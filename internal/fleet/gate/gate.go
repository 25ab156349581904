// Package gate is where a run waits before it changes anything on its host, when
// its manifest is for a group of hosts.
//
// Its words are those of package fleet. A gate is one run's: made when the
// manifest is known, asked once for the turn, and left when the run is decided.
// A run that is decided before its turn leaves it as well, so that the group
// hears how it went.
//
// It imports fleet, fleet/consul and the packages below text. It knows neither
// manifests nor deployments, and makes no request before it is asked.
package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/text/failure"
)

// Gate is the way of one run to its turn. That of a run without a rollout is nil,
// and does nothing.
type Gate struct {
	entry  fleet.Entry
	log    *slog.Logger
	client *consul.Client
	place  *consul.Place
	broken error // why there is no client
	left   bool

	Late bool                                // the host has refused the manifest as too old
	Held func() (version string, mixed bool) // tells what dest holds; nil = nobody knows
}

// ID names the rollout of a manifest by its bytes: all hosts find the same.
func ID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

// Machine tells machines apart that have the node of one agent, as containers do, and
// what one deploys from what it deploys elsewhere.
func Machine(dest string) string {
	const longest = 128
	host, _ := os.Hostname()
	text := host + ":" + dest
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

// New makes a gate. The log is told what people have to know.
func New(entry fleet.Entry, log *slog.Logger) *Gate {
	g := &Gate{entry: entry, log: log}
	g.client, g.broken = consul.Open(consul.Config{
		Log:  func(format string, args ...any) { log.Warn(failure.Sayf("rollout: "+format, args...)) },
		Tell: func(format string, args ...any) { log.Info(failure.Sayf(format, args...)) },
	})
	return g
}

// Wait waits for the host's turn. When the host can't hold its slot any more,
// lose is called: the work must end then.
func (g *Gate) Wait(ctx context.Context, lose context.CancelCauseFunc) error {
	if err := g.enter(ctx); err != nil {
		return err
	}
	g.log.Info(fmt.Sprintf("waiting for the turn in the rollout of %q: %s", g.entry.Name, g.entry.Rollout))
	began := time.Now()
	work, err := g.place.Wait(ctx)
	if err != nil {
		return failure.Hinted(hint(err), err)
	}
	if g.place.Unlimited() { // it has said so
		return nil
	}
	g.log.Info(fmt.Sprintf("it is the turn of %q, after %s", g.place.Node(), time.Since(began).Round(time.Millisecond)))
	context.AfterFunc(work, func() {
		cause := context.Cause(work)
		if ctx.Err() != nil || errors.Is(cause, context.Canceled) { // the run ends by itself
			return
		}
		lose(cause)
	})
	return nil
}

// enter takes a place, without asking anybody.
func (g *Gate) enter(ctx context.Context) (err error) {
	if g.broken != nil {
		return g.broken
	}
	if g.place == nil {
		if g.Held != nil {
			g.entry.Runs, g.entry.Mixed = g.Held()
		}
		g.place, err = g.client.Enter(ctx, g.entry)
	}
	return err
}

// Sure makes sure that the run still has its slot, before it begins a step: one that
// stood still for a time has not seen that others took it.
func (g *Gate) Sure(ctx context.Context) error {
	if g == nil || g.place == nil {
		return nil
	}
	return g.place.Sure(ctx)
}

// Working bounds what is still done at dest when the slot is lost, or as soon as it
// is: others take it after that. What ends with the context takes its time as well.
func (g *Gate) Working(ctx context.Context) (context.Context, context.CancelFunc) {
	if g == nil || g.place == nil || g.place.Slot() == nil {
		return context.WithCancel(ctx)
	}
	return bounded(ctx, g.place.Slot(), func() time.Duration { return time.Until(g.place.Until()) })
}

// bounded ends with ctx, and when the slot is lost: as late as commands still end before
// others take it. left is how long they do not.
func bounded(ctx, slot context.Context, left func() time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithCancelCause(ctx)
	if errors.Is(context.Cause(slot), fleet.ErrLost) && left() <= fleet.Ending {
		cancel(fleet.ErrLost) // nothing is begun
	}
	stop := context.AfterFunc(slot, func() {
		if !errors.Is(context.Cause(slot), fleet.ErrLost) {
			return
		}
		timer := time.NewTimer(left() - fleet.Ending)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(fleet.ErrLost)
		case <-bounded.Done():
		}
	})
	return bounded, func() {
		stop()
		cancel(nil)
	}
}

// leaving bounds how long a run is held up by telling how it went, when it has never
// been in the line. Who has been goes on for longer: see consul.Place.Leave.
const leaving = 30 * time.Second

// Leave gives the slot back, if there is one, and tells how the run went, and what the
// host has then: what the run has brought, or what is found. It is called once the run is
// decided; a second call does nothing. Failing at it changes nothing for the run: what a
// host holds that is not heard of ends by itself.
func (g *Gate) Leave(ctx context.Context, brought bool, result fleet.Result) {
	if g == nil || g.left {
		return
	}
	g.left = true
	switch {
	case brought:
		result.Runs = result.Version
	case g.Held != nil:
		result.Runs, result.Mixed = g.Held()
	}
	if !brought && fleet.StandingOf(result.Result) == fleet.HostGood { // it has what it was to go back to, or another one
		result.Version = result.Runs
	}
	if g.place == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, leaving)
		defer cancel()
	}
	err := g.introduce(ctx)
	if err == nil {
		g.place.Late = g.Late
		err = g.place.Leave(ctx, result)
	}
	if err != nil {
		g.log.Warn(failure.Sayf("the rollout does not hear how this host fared: %v", err))
	}
}

// introduce makes sure that a run which never waited is known by its node.
func (g *Gate) introduce(ctx context.Context) error {
	if g.place == nil && g.broken == nil && g.entry.Node == "" {
		node, meta, err := g.client.Self(ctx)
		if err != nil {
			return err
		}
		g.entry.Node = node
		if key := g.entry.Rollout.ZoneKey(); key != "" {
			g.entry.Zone = meta[key]
		}
	}
	return g.enter(ctx)
}

// hint is what people can do about it.
func hint(err error) string {
	switch own := failure.Hint(err); {
	case own != "": // whoever found it knows better
		return own
	case errors.Is(err, fleet.ErrStopped):
		return "stretcher fleet status tells which hosts failed; fleet resume or fleet retry, and the event again, go on"
	case errors.Is(err, fleet.ErrUnreachable):
		return "CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN say where Consul is and who asks; docs/fleet.md has the rights"
	}
	return ""
}
