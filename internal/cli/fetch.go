package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// fetchOptions are those of stretcher fetch.
type fetchOptions struct {
	*app
	fetch      DeployOptions
	strictExit bool
}

func newFetch(a *app) *cobra.Command {
	o := &fetchOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "fetch [URL|FILE]",
		Short: "fetch and verify what a deployment will want; deploy nothing",
		Long: `Fetches the archive of a manifest, verifies it and leaves it in the cache, where
a later deployment of the manifest finds it: that makes no request for src. What
the host would refuse is not fetched. Nothing is deployed, and no command runs.

Without URL or FILE an event is read from standard input, as a deployment does.`,
		Example: `stretcher fetch s3://deploys/app.yml
consul watch -type event -name prefetch stretcher fetch --random-delay 600`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	o.fetch.Fetch.declare(f)
	o.fetch.declareDelay(f)
	o.fetch.Log.declare(f)
	f.BoolVar(&o.strictExit, "strict-exit", false, "under consul watch too, exit with the run's status")
	return c
}

func (o *fetchOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) > 1 {
		return ExitUsage, failure.Usage("fetch expects one URL or file, got %d arguments", len(args))
	}
	if err := o.fetch.checkDelay(); err != nil {
		return ExitUsage, err
	}
	o.fetch.Settings = o.settings(o.fetch.Settings)
	o.fetch.Stdin, o.fetch.Terminal = o.Stdin, isTerminal(o.Stdin)
	for _, arg := range args {
		if arg, err = fileURL(arg); err != nil {
			return Status(err), err
		}
		o.fetch.URLs = []string{arg}
	}
	err = o.actions.Fetch(ctx, o.fetch)
	if Status(err) == ExitUsage {
		return ExitUsage, err
	}
	if o.Getenv("CONSUL_INDEX") != "" && !o.strictExit {
		return ExitGood, nil // a handler that fails ends consul watch; the log has the truth
	}
	return Status(err), nil
}
