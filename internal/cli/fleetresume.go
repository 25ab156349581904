package cli

import "github.com/spf13/cobra"

func newFleetResume(a *app) *cobra.Command {
	return a.steer("resume", "let a rollout that was stopped go on",
		`Lets a rollout that was stopped go on, with no host counted as failed. Runs that
were stopped have ended: hosts come again by the same event, which --event
fires. Those that are good already do nothing then.`, &steering{do: Rollouts.Resume, news: true})
}
