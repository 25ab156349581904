package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// Fleeting are the actions that have to do with hosts in common.
type Fleeting struct {
	// Rollouts prepares to ask Consul, as the environment says where it is.
	Rollouts func() (Rollouts, error)
	// Identify reads the manifest at a URL, and tells the id that its rollout has.
	Identify func(ctx context.Context, s Settings, url string) (id string, err error)
}

// Rollouts are the rollouts that a server keeps, by their names. fleet.ErrUnknown is the
// error of a name that it does not know.
type Rollouts interface {
	// Names are those that there are, in alphabetical order.
	Names(context.Context) ([]string, error)
	// Read tells how the newest rollout of a name stands.
	Read(ctx context.Context, name string) (fleet.State, error)
	// Recorded is what the newest rollout of a name has recorded of its manifest.
	Recorded(ctx context.Context, name string) (fleet.Record, error)
	// Changes waits until a rollout may stand otherwise than at index, or for a while,
	// and returns the index to go on from. Of index 0 it returns at once.
	Changes(ctx context.Context, name string, index uint64) (uint64, error)
	// Stop keeps hosts that wait from going to work; fleet.ErrAlready when it is so already,
	// fleet.ErrEnded when none waits any more.
	Stop(ctx context.Context, name, why string) error
	// Resume lets hosts go to work again that are not good yet; fleet.ErrAlready as of Stop.
	Resume(ctx context.Context, name, by string) error
	// Retry lets those that have failed do it again; fleet.ErrAlready as of Stop.
	Retry(ctx context.Context, name, by string) error
	// Forget removes all that there is of a name; fleet.ErrAlready as of Stop.
	Forget(ctx context.Context, f fleet.Forgetting) (fleet.Forgotten, error)
	// Fire fires an event, and returns its id.
	Fire(ctx context.Context, event, payload string) (id string, err error)
	// Drop removes a key of Consul's KV, if it is there.
	Drop(ctx context.Context, key string) error
	// Fired tells whether such an event is remembered.
	Fired(ctx context.Context, event, payload string) (bool, error)
}

// newFleet is what the fleet commands stand below.
func newFleet(a *app) *cobra.Command {
	c := newCommand(&cobra.Command{
		Use:   "fleet status|wait|stop|resume|retry|rollback|forget",
		Short: "how a rollout over many hosts stands; wait for it, stop it, go on",
		Long: `Tells how rollouts stand, waits for one, stops it and lets it go on. Consul is
where the variables CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, ... say.

exit status:
` + indented(tableText(FleetTable())),
		Example: `stretcher fleet status
stretcher fleet wait web 42 --timeout 30m`,
	})
	c.RunE = a.runs(func(_ context.Context, args []string) (int, error) {
		err := failure.Usage("fleet expects status, wait, stop, resume, retry, rollback or forget")
		if len(args) > 0 {
			if near := nearest(args[0], names(c)); near != "" {
				err = didYouMean("stretcher fleet "+near, err)
			}
		}
		return ExitUsage, err
	})
	c.AddCommand(newFleetStatus(a), newFleetWait(a), newFleetStop(a), newFleetResume(a), newFleetRetry(a),
		newFleetRollback(a), newFleetForget(a))
	return c
}

// Exit statuses of the fleet commands, beside ExitUsage.
const (
	fleetGood    = 0
	fleetFailed  = 1
	fleetMissing = 3
	fleetUnknown = 5
	fleetGoing   = 7
	fleetNone    = 8
)

// FleetTable is the exit statuses of the fleet commands as the documents and help
// list them.
func FleetTable() [][2]string {
	return [][2]string{
		{"0", "good on all hosts; stop, resume, retry, forget: done"},
		{"1", "a host failed or died, or it stopped; stop, resume, retry, forget: not now"},
		{"2", "wrong usage"},
		{"3", "no host failed, and nothing was heard of some"},
		{"5", "not known: Consul, Serf or the directory can't be read"},
		{"7", "it goes on; wait: --timeout is over"},
		{"8", "no rollout of that name, or of that version"},
	}
}

// fleetStatus is what the fleet commands exit with.
func fleetStatus(v fleet.Verdict) int {
	switch v {
	case fleet.VerdictGood:
		return fleetGood
	case fleet.VerdictMissing:
		return fleetMissing
	case fleet.VerdictGoing:
		return fleetGoing
	}
	return fleetFailed
}

// tableText is a table of exit statuses as help has it.
func tableText(rows [][2]string) string {
	var lines []string
	for _, row := range rows {
		lines = append(lines, row[0]+"  "+row[1])
	}
	return strings.Join(lines, "\n")
}

// elsewise is the error of a name whose newest rollout is of another version.
type elsewise struct {
	error
	newest string
}

// Unwrap is what it means for who asks for that version.
func (e elsewise) Unwrap() error { return e.error }

// noRollout is the error of what is not there.
func noRollout(name, version string) error {
	if version != "" {
		return fmt.Errorf("%w: %q version %q", fleet.ErrUnknown, name, version)
	}
	return fmt.Errorf("%w: %q", fleet.ErrUnknown, name)
}

// fleetError is what a fleet command exits with that has failed.
func fleetError(err error) int {
	switch status := Status(err); {
	case errors.Is(err, fleet.ErrUnknown):
		return fleetNone
	case status == ExitUsage, status > exitSignal:
		return status
	}
	return fleetUnknown
}
