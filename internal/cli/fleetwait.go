package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/text/failure"
)

// fleetWaitOptions are those of stretcher fleet wait.
type fleetWaitOptions struct {
	fleetSource
	json  bool
	limit time.Duration
}

func newFleetWait(a *app) *cobra.Command {
	o := &fleetWaitOptions{fleetSource: fleetSource{app: a, timeout: 5 * time.Second}, limit: time.Hour}
	c := newCommand(&cobra.Command{
		Use:   "wait NAME VERSION",
		Short: "wait for a rollout to end, for CI",
		Long: `Waits until the rollout of a version has ended, also until it begins, and tells
in lines what changes meanwhile.

exit status:
` + indented(tableText(FleetTable())),
		Example: `stretcher fleet wait web 42 --timeout 30m
stretcher fleet wait --json web 42 | jq -r .verdict`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print how it stands at the end as one JSON object, and no lines")
	f.Var((*secondsValue)(&o.limit), "timeout", "how long to wait for the end of the rollout (0 = for ever)")
	o.declare(f)
	return c
}

func (o *fleetWaitOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) != 2 {
		return ExitUsage, failure.Usage("fleet wait expects NAME and VERSION, got %d arguments", len(args))
	}
	name, version, err := nameAndVersion("fleet wait", args)
	if err == nil {
		err = o.check(name)
	}
	if err != nil {
		return ExitUsage, err
	}
	return o.await(ctx, name, version)
}

// errTime is why a wait has ended whose time is over.
var errTime = errors.New("the time is over")

// await waits for the end of a rollout.
func (o *fleetWaitOptions) await(ctx context.Context, name, version string) (int, error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.limit > 0 {
		defer time.AfterFunc(o.limit, func() { cancel(errTime) }).Stop()
	}
	var last *fleet.State
	denied := false // it was said that there is none
	err := o.follow(within, name, version, func(s fleet.State, none error) (bool, error) {
		if none != nil {
			if last == nil { // it has not begun
				if !denied {
					note(o.app, awaited(name, version, none))
				}
				denied = true
				return false, nil
			}
			return true, o.replaced(within, last)
		}
		before := last
		last = &s
		if o.json {
			return s.Ended(), nil
		}
		return s.Ended(), printLines(o.Stdout, view.Changes(before, s))
	})
	if o.json && last != nil {
		err = errors.Join(err, view.WriteJSON(o.Stdout, *last))
	}
	switch {
	case errors.Is(err, errTime) && last == nil && !denied:
		return fleetUnknown, fmt.Errorf("--timeout of %s is over: %s", (*ageValue)(&o.limit), o.unanswered())
	case errors.Is(err, errTime):
		return waitStatus(last), overtime(o.limit, last, name, version)
	case errors.Is(err, errReplaced):
		return fleetFailed, err
	case err != nil:
		return fleetError(err), err
	}
	return fleetStatus(last.Verdict()), nil
}

// awaited says that a rollout has not begun.
func awaited(name, version string, none error) string {
	text := fmt.Sprintf("waits for %s %s", name, version)
	if other, ok := errors.AsType[elsewise](none); ok {
		text += fmt.Sprintf("; the newest is %s %s", name, other.newest)
	}
	return text
}

// unanswered says that nobody has told anything.
func (o *fleetSource) unanswered() string {
	switch {
	case o.serf:
		return "serf has not answered"
	case o.from != "":
		return "the directory could not be read"
	}
	return "consul has not answered"
}

// waitStatus is the exit status when the time is over: a rollout that has not ended
// is not good, whatever its hosts are.
func waitStatus(last *fleet.State) int {
	if last == nil {
		return fleetNone
	}
	if v := last.Verdict(); v != fleet.VerdictGood {
		return fleetStatus(v)
	}
	return fleetGoing
}

// errReplaced is the error of a rollout that another one took the place of.
var errReplaced = errors.New("another rollout has taken its place")

func (o *fleetWaitOptions) replaced(ctx context.Context, last *fleet.State) error {
	now, err := o.one(ctx, last.Name, "")
	if err != nil {
		return fmt.Errorf("%s: it was there, and is there no more: %w", view.Title(*last), err)
	}
	return fmt.Errorf("%s: %w: version %q", view.Title(*last), errReplaced, now.Version)
}
