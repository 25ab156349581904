package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/hooks/p2"
	"stretcher/internal/text/failure"
)

// hooksInstallOptions are those of stretcher hooks install.
type hooksInstallOptions struct {
	*app
	pod InstallHooksOptions
}

func newHooksInstall(a *app) *cobra.Command {
	o := &hooksInstallOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "install URL|FILE",
		Short: "lay out a hook pod, to be run at --event",
		Long: `Lays out a hook pod below --hooks-root, as p2 does: pods/EVENT/NAME, and
exec/EVENT, from where its hooks are run.`,
		Example: `stretcher hooks install --event before_install s3://deploys/hooks.yml`,
		RunE:    a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.pod.Event, "EVENT"}, "event",
		"run the pod's hooks at this event ("+strings.Join(p2.Events(), ", ")+")")
	f.Var(&textValue{&o.pod.Root, "DIR"}, "hooks-root",
		"directory of pods/ and exec/ (default: where the host policy's first hook directory is DIR/exec, DIR; else "+
			p2.DefaultDir+")")
	asDirectory(f, "hooks-root")
	completeBy(c, "event", oneOf(p2.Events()))
	o.pod.declareLockWait(f)
	o.pod.Fetch.declare(f)
	o.pod.Log.declare(f)
	return c
}

func (o *hooksInstallOptions) run(ctx context.Context, args []string) (_ int, err error) {
	switch {
	case len(args) != 1:
		return ExitUsage, failure.Usage("hooks install expects one URL, got %d arguments", len(args))
	case !slices.Contains(p2.Events(), o.pod.Event):
		known := strings.Join(p2.Events(), ", ")
		return ExitUsage, failure.Usage("invalid --event %q: one of %s expected", o.pod.Event, known)
	}
	o.pod.Settings = o.settings(o.pod.Settings)
	if o.pod.URL, err = fileURL(args[0]); err == nil {
		err = o.actions.InstallHooks(ctx, o.pod)
	}
	return Status(err), err
}
