package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// fleetForgetOptions are those of stretcher fleet forget.
type fleetForgetOptions struct {
	fleetSource
	force  bool
	dryRun bool
}

func newFleetForget(a *app) *cobra.Command {
	o := &fleetForgetOptions{fleetSource: fleetSource{app: a}}
	c := newCommand(&cobra.Command{
		Use:   "forget NAME",
		Short: "remove what Consul holds of a rollout that is over",
		Long: `Removes all that Consul holds of the rollouts of a name: how the newest one
stands, what hosts have told, and the manifest by which they went back. While
hosts are at work, wait or have yet to come it removes nothing, and says which.
What hosts have deployed stays. The same event begins a rollout anew.`,
		Example: "stretcher fleet forget web\nstretcher fleet forget web --dry-run",
		RunE:    a.runs(o.run),
	})
	c.Flags().BoolVar(&o.force, "force", false, "though hosts are at work, wait or have yet to come")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "remove nothing; tell what there is")
	return c
}

func (o *fleetForgetOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) != 1 || args[0] == "" {
		return ExitUsage, failure.Usage("fleet forget expects one NAME")
	}
	if err := o.reach(); err != nil {
		return fleetError(err), err
	}
	forgotten, err := o.rollouts.Forget(ctx, fleet.Forgetting{
		Name: args[0], Beside: wayBackKeys(args[0]), Force: o.force, DryRun: o.dryRun, Waits: o.waits,
	})
	if errors.Is(err, fleet.ErrAlready) {
		note(o.app, failure.Text(err))
		return fleetGood, nil
	}
	if err == nil {
		err = o.tell(forgotten)
	}
	if err != nil {
		return steerError(err), err
	}
	return fleetGood, nil
}

// waits says which hosts are waited for, and for how long.
func (o *fleetForgetOptions) waits(hosts []string, until time.Time) {
	text := "heard of no more, and perhaps at work: " + strings.Join(hosts, ", ")
	if !o.dryRun {
		text += fmt.Sprintf("; nothing is removed before %s, unless by --force", until.Format(time.TimeOnly))
	}
	note(o.app, text)
}

// tell tells what there was.
func (o *fleetForgetOptions) tell(forgotten fleet.Forgotten) error {
	for _, why := range forgotten.Going {
		note(o.app, "warning: the rollout went on: "+why)
	}
	did := "removed"
	if o.dryRun {
		did = "would remove"
	}
	lines := []string{view.Summary(forgotten.State)}
	for _, part := range forgotten.Parts {
		keys := "keys"
		if part.Keys == 1 {
			keys = "key"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %d %s", did, part.Key, part.Keys, keys))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(o.Stdout, printable.Line(line)); err != nil {
			return err
		}
	}
	return nil
}

// wayBack is where fleet rollback has the manifest of a name in Consul.
func wayBack(name string) string { return inConsul + url.PathEscape(name) + "/rollback.yml" }

// wayBackKeys are the keys of that manifest and of its signature; none for a name that
// has no such key.
func wayBackKeys(name string) []string {
	if strings.Trim(name, ".") == "" {
		return nil
	}
	key := strings.TrimPrefix(inConsul, "consul://") + name + "/rollback.yml"
	return []string{key, key + ".minisig"}
}
