package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/text/failure"
)

// fleetStatusOptions are those of stretcher fleet status.
type fleetStatusOptions struct {
	fleetSource
	json  bool
	html  string
	watch bool
}

func newFleetStatus(a *app) *cobra.Command {
	o := &fleetStatusOptions{fleetSource: fleetSource{app: a, timeout: 5 * time.Second}}
	c := newCommand(&cobra.Command{
		Use:   "status [NAME [VERSION]]",
		Short: "who runs which version, waits, failed, is missing",
		Long: `Tells how the rollout of a name stands, and with each of its hosts; without
NAME, how those of all names stand. With VERSION it is not there, or its hosts
are missing, where it is another one.

exit status:
` + indented(tableText(FleetTable())),
		Example: `stretcher fleet status web
stretcher fleet status --watch web
stretcher fleet status --html fleet.html web
stretcher fleet status --from results --hosts hosts --json web 42`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	declareJSON(f, &o.json)
	f.Var(&textValue{&o.html, "FILE"}, "html", "write one self-contained page to this file")
	f.BoolVar(&o.watch, "watch", false, "show it again when it changes, until the rollout ends")
	o.declare(f)
	f.Var((*secondsValue)(&o.timeout), "timeout", "with --serf: how long to wait for answers")
	asFile(f, "html")
	return c
}

func (o *fleetStatusOptions) check(args []string) (name, version string, err error) {
	name, version, err = nameAndVersion("fleet status", args)
	if err == nil {
		err = o.fleetSource.check(name)
	}
	switch {
	case err != nil:
	case o.html == "" && o.line.has("html"):
		err = failure.Usage("--html expects a file")
	case o.html != "" && (o.json || o.watch):
		err = failure.Usage("--html and --json or --watch can't be used together")
	case o.watch && name == "":
		err = failure.Usage("--watch expects a NAME")
	case o.line.has("timeout") && !o.serf:
		err = failure.Usage("--timeout belongs to --serf; fleet wait has one of its own")
	}
	return name, version, err
}

// nameAndVersion are the arguments [NAME [VERSION]].
func nameAndVersion(command string, args []string) (name, version string, err error) {
	if len(args) > 2 {
		return "", "", failure.Usage("%s expects at most NAME and VERSION, got %d arguments", command, len(args))
	}
	for i, to := range []*string{&name, &version} {
		if i >= len(args) {
			break
		}
		if *to = args[i]; *to == "" { // of a variable that is not set
			return "", "", failure.Usage("%s is empty", []string{"NAME", "VERSION"}[i])
		}
	}
	return name, version, nil
}

func (o *fleetStatusOptions) run(ctx context.Context, args []string) (int, error) {
	name, version, err := o.check(args)
	if err != nil {
		return ExitUsage, err
	}
	if o.watch {
		return o.show(ctx, name, version)
	}
	states, err := o.these(ctx, name, version)
	if err == nil {
		err = o.print(states, name != "")
	}
	if err != nil {
		return fleetError(err), err
	}
	return worst(states), nil
}

// these are the rollouts that are asked for.
func (o *fleetStatusOptions) these(ctx context.Context, name, version string) ([]fleet.State, error) {
	if name == "" {
		return o.states(ctx, "", "")
	}
	s, err := o.one(ctx, name, version)
	return []fleet.State{s}, err
}

// worst is the exit status of several rollouts; of none, it is good.
func worst(states []fleet.State) int {
	for _, v := range []fleet.Verdict{fleet.VerdictFailed, fleet.VerdictMissing, fleet.VerdictGoing} {
		for _, s := range states {
			if s.Verdict() == v {
				return fleetStatus(v)
			}
		}
	}
	return fleetGood
}

func (o *fleetStatusOptions) print(states []fleet.State, hosts bool) error {
	switch {
	case o.html != "":
		return o.writePage(o.html, func(w io.Writer) error { return view.WritePage(w, states, time.Now()) })
	case o.json:
		for _, s := range states {
			if err := view.WriteJSON(o.Stdout, s); err != nil {
				return err
			}
		}
		return nil
	case hosts:
		return view.WriteTable(o.Stdout, states[0], view.Room{Columns: columnsOf(o.Stdout)})
	}
	return view.WriteList(o.Stdout, states, view.Room{Columns: columnsOf(o.Stdout)})
}
