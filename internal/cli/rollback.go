package cli

import (
	"context"

	"github.com/spf13/cobra"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
)

// rollbackOptions are those of stretcher rollback.
type rollbackOptions struct {
	*app
	rollback RollbackOptions
	json     bool
}

func newRollback(a *app) *cobra.Command {
	o := &rollbackOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "rollback DEST",
		Short: "back to what was good there before, or --to RUN",
		Long: `Deploys to DEST what was good there before: a release that is still there, or
the archive that has been kept. It is a run like any other, with its commands.`,
		Example: `stretcher rollback /srv/app
stretcher rollback /srv/app --to 01a20418-63d3`,
		RunE: a.runs(o.run),
	})
	c.ValidArgsFunction = a.completeDest
	f := c.Flags()
	f.Var(&textValue{&o.rollback.To, "RUN"}, "to", "to what the run with this id or beginning of an id deployed")
	o.rollback.Fetch.declare(f)
	o.rollback.Run.declare(f)
	o.rollback.Log.declare(f)
	f.BoolVar(&o.json, "json", false, "at the end, print the run as history --json does")
	completeBy(c, "to", a.completeRun)
	return c
}

func (o *rollbackOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("rollback expects one DEST, got %d arguments", len(args))
	}
	if o.rollback.To == "" && o.line.has("to") {
		return ExitUsage, failure.Usage("--to expects a run id")
	}
	if o.rollback.Dest, err = destArg(args[0]); err != nil {
		return Status(err), err
	}
	o.rollback.Settings = o.settings(o.rollback.Settings)
	if o.json { // stdout is the object's; what commands print goes to the log's side
		o.rollback.Stdout = o.Stderr
	}
	row, err := o.actions.Rollback(ctx, o.rollback)
	if o.json {
		return Status(err), history.WriteJSON(o.Stdout, []history.Run{row})
	}
	return Status(err), nil
}
