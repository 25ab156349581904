package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// hooksListOptions are those of stretcher hooks list.
type hooksListOptions struct {
	*app
	list ListHooksOptions
}

func newHooksList(a *app) *cobra.Command {
	o := &hooksListOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "list [URL|FILE]",
		Short: "which hooks would run, at which point, in what order",
		Long: `Prints which hooks would run for a manifest, at which point, from where, in
what order, and why not. Without a manifest: the hooks of the host.`,
		Example: `stretcher hooks list
stretcher hooks list --watch s3://deploys/app.yml`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	declareJSON(f, &o.list.JSON)
	f.BoolVar(&o.list.Watch, "watch", false, "print the list again when it has changed")
	o.list.Fetch.declareManifest(f)
	o.list.Log.declare(f)
	return c
}

func (o *hooksListOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) > 1 {
		return ExitUsage, failure.Usage("hooks list expects at most one URL, got %d arguments", len(args))
	}
	o.list.Settings = o.settings(o.list.Settings)
	if len(args) == 1 {
		if o.list.URL, err = fileURL(args[0]); err != nil {
			return Status(err), err
		}
	}
	if err = o.actions.ListHooks(ctx, o.list); len(args) == 1 {
		err = asTyped(args[0], err)
	}
	return Status(err), err
}
