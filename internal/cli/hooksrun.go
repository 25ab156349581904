package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// hooksRunOptions are those of stretcher hooks run.
type hooksRunOptions struct {
	*app
	hooks RunHooksOptions
}

func newHooksRun(a *app) *cobra.Command {
	o := &hooksRunOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "run NAME URL|FILE",
		Short: "run the manifest's hooks of that name",
		Long: `Runs the hooks that the manifest has under NAME, in the tree of its src. What
they print is passed on. The exit status is that of the first hook that
failed; 128 and the signal's number when a signal ended it.`,
		Example: `stretcher hooks run ec2_bootstrap s3://deploys/app.yml
stretcher hooks run migrate --env-file db.env app.yml`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.hooks.EnvFile, "FILE"}, "env-file", "file of NAME=value lines for the hooks' environment")
	asFile(f, "env-file")
	o.hooks.Fetch.declare(f)
	o.hooks.Log.declare(f)
	return c
}

func (o *hooksRunOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) != 2 {
		return ExitUsage, failure.Usage("hooks run expects a NAME and a URL, got %d arguments", len(args))
	}
	o.hooks.Settings, o.hooks.Name = o.settings(o.hooks.Settings), args[0]
	if o.hooks.URL, err = fileURL(args[1]); err != nil {
		return Status(err), err
	}
	status, err := o.actions.RunHooks(ctx, o.hooks)
	return status, asTyped(args[1], err)
}
