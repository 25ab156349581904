package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// checkOptions are those of stretcher check.
type checkOptions struct {
	*app
	check ManifestOptions
}

func newCheck(a *app) *cobra.Command {
	o := &checkOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "check URL|FILE",
		Short: "parse and validate a manifest; print what would run",
		Long: `Parses and validates a manifest, asks the host policy, and prints what would
run. An unknown key is an error here.`,
		Example: `stretcher check s3://deploys/app.yml
stretcher check --config policy.yml app.yml`,
		RunE: a.runs(o.run),
	})
	o.check.Fetch.declare(c.Flags())
	o.check.Log.declare(c.Flags())
	declareJSON(c.Flags(), &o.check.JSON)
	return c
}

func (o *checkOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("check expects one URL or file, got %d arguments", len(args))
	}
	o.check.Settings = o.settings(o.check.Settings)
	if o.check.URL, err = fileURL(args[0]); err == nil {
		err = o.actions.Check(ctx, o.check)
	}
	return Status(err), err
}
