package cli

import "github.com/spf13/cobra"

func newFleetRetry(a *app) *cobra.Command {
	return a.steer("retry", "let only those that have failed do it again",
		`Begins a rollout of the same version anew, for those hosts alone that have
failed or died. They come again by the same event, which --event fires; the
others do nothing then.`, &steering{do: Rollouts.Retry, news: true})
}
