package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// steer is a command that changes how a rollout goes on.
func (a *app) steer(use, short, long string, do func(Rollouts, context.Context, string, string) error) *cobra.Command {
	c := newCommand(&cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    long,
		Example: "stretcher fleet " + use + " web",
	})
	c.RunE = a.runs(func(ctx context.Context, args []string) (int, error) {
		if len(args) != 1 || args[0] == "" {
			return ExitUsage, failure.Usage("fleet %s expects one NAME", use)
		}
		o := &fleetSource{app: a}
		if err := o.reach(); err != nil {
			return fleetError(err), err
		}
		if err := do(o.rollouts, ctx, args[0], by()); err != nil {
			return steerError(err), err
		}
		s, err := o.one(ctx, args[0], "")
		if err == nil {
			_, err = fmt.Fprintln(a.Stdout, printable.Line(view.Summary(s)))
		}
		if err != nil {
			return fleetError(err), err
		}
		return fleetGood, nil
	})
	return c
}

// steerError is what a command exits with that could not change a rollout.
func steerError(err error) int {
	if errors.Is(err, fleet.ErrUnreachable) {
		return fleetUnknown
	}
	if status := fleetError(err); status != fleetUnknown {
		return status
	}
	return fleetFailed
}

// by says who it is that changes something.
func by() string { return process.Caller() + "@" + nodeName("") }

func newFleetStop(a *app) *cobra.Command {
	return a.steer("stop", "keep hosts that wait from going to work",
		`Keeps the hosts that wait from going to work: their runs end with the result
stopped, and their dests stay untouched. Those at work finish.`,
		func(r Rollouts, ctx context.Context, name, by string) error {
			err := r.Stop(ctx, name, "by "+by)
			if errors.Is(err, fleet.ErrStopped) { // which is what was asked for
				return nil
			}
			return err
		})
}
