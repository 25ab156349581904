package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// planOptions are those of stretcher plan.
type planOptions struct {
	*app
	plan   ManifestOptions
	by     judging
	dryRun bool // what plan does anyway
}

func newPlan(a *app) *cobra.Command {
	o := &planOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "plan URL|FILE",
		Short: "print what a deployment would change; change nothing",
		Long: `Fetches and verifies manifest and archive, compares the archive with dest, and
prints what a deployment would change. It runs nothing and changes nothing.
The exit status is 0 when dest would not change, 10 when it would.

With --policy FILE, or --explain, it first prints, rule by rule, whether a host
with that policy, or this host, would take the manifest.`,
		Example: `stretcher plan s3://deploys/app.yml
stretcher plan --explain s3://deploys/app.yml
stretcher plan --json app.yml | jq -r '.changes[].path'`,
		RunE: a.runs(o.run),
	})
	o.by.declare(c.Flags())
	o.plan.Fetch.declare(c.Flags())
	o.plan.Log.declare(c.Flags())
	declareJSON(c.Flags(), &o.plan.JSON)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "changes nothing here")
	_ = c.Flags().MarkHidden("dry-run")
	return c
}

func (o *planOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("plan expects one URL or file, got %d arguments", len(args))
	}
	if err := o.by.apply(o.app, &o.plan); err != nil {
		return ExitUsage, err
	}
	o.plan.Settings = o.settings(o.plan.Settings)
	if o.plan.URL, err = fileURL(args[0]); err != nil {
		return Status(err), err
	}
	changes, err := o.actions.Plan(ctx, o.plan)
	if err == nil && changes {
		return ExitChanges, nil
	}
	return Status(err), asTyped(args[0], err)
}
