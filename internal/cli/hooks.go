package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// newHooks is what the hooks commands stand below.
func newHooks(a *app) *cobra.Command {
	c := newCommand(&cobra.Command{
		Use:   "hooks list|run|install",
		Short: "list hooks, run some by their name, install a hook pod",
		Long: `Lists which hooks would run, runs the manifest's hooks of a name, and lays out
hook pods. stretcher help hooks list tells of one of them.`,
		Example: `stretcher hooks list app.yml
stretcher hooks run ec2_bootstrap app.yml`,
	})
	c.RunE = a.runs(func(_ context.Context, args []string) (int, error) {
		err := failure.Usage("hooks expects list, run or install")
		if len(args) > 0 {
			if near := nearest(args[0], names(c)); near != "" {
				err = didYouMean("stretcher hooks "+near, err)
			}
		}
		return ExitUsage, err
	})
	c.AddCommand(newHooksList(a), newHooksRun(a), newHooksInstall(a))
	return c
}
