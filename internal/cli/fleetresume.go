package cli

import "github.com/spf13/cobra"

func newFleetResume(a *app) *cobra.Command {
	return a.steer("resume", "let a rollout that was stopped go on",
		`Lets a rollout that was stopped go on, with no host counted as failed: hosts
that its event reaches again may have their turn.`, Rollouts.Resume)
}
