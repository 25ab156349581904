package cli

import "github.com/spf13/cobra"

func newFleetRetry(a *app) *cobra.Command {
	return a.steer("retry", "let only those that have failed do it again",
		`Begins a rollout of the same version anew, for those hosts alone that have
failed. The event must reach them again.`, Rollouts.Retry)
}
