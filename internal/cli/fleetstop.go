package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newFleetStop(a *app) *cobra.Command {
	return a.steer("stop", "keep hosts that wait from going to work",
		`Keeps the hosts that wait from going to work: their runs end with the result
stopped, and their dests stay untouched. Those at work finish.`,
		&steering{do: func(r Rollouts, ctx context.Context, name, by string) error {
			return r.Stop(ctx, name, "by "+by)
		}})
}
