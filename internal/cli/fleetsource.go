package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/dir"
	"stretcher/internal/fleet/serf"
	"stretcher/internal/text/failure"
)

// fleetSource is where the fleet commands know from how rollouts stand: Consul, the
// hosts themselves by Serf, or a directory.
type fleetSource struct {
	*app
	serf    bool
	from    string
	hosts   string
	timeout time.Duration // of answers by Serf

	rollouts Rollouts // of Consul, once it is reached
	index    uint64   // of what was read last
}

// declare declares the flags that say where to look.
func (o *fleetSource) declare(f *pflag.FlagSet) {
	f.BoolVar(&o.serf, "serf", false, "ask the hosts, by a query of Serf's that is named fleet")
	f.Var(&textValue{&o.from, "DIR"}, "from", "read results from the files NODE.json of this directory")
	f.Var(&textValue{&o.hosts, "FILE"}, "hosts", "with --from or --serf: the hosts that there should be, one a line")
	asDirectory(f, "from")
	asFile(f, "hosts")
}

func (o *fleetSource) check(name string) error {
	for _, flag := range []struct{ name, value, wants string }{
		{"from", o.from, "a directory"}, {"hosts", o.hosts, "a file"},
	} {
		if flag.value == "" && o.line.has(flag.name) {
			return failure.Usage("--%s expects %s", flag.name, flag.wants)
		}
	}
	switch {
	case o.serf && o.from != "":
		return failure.Usage("--serf and --from can't be used together")
	case o.hosts != "" && !o.serf && o.from == "":
		return failure.Usage("--hosts belongs to --from and --serf; Consul knows the hosts itself")
	case o.serf && name == "":
		return failure.Usage("--serf expects a NAME: hosts are asked for one")
	}
	return nil
}

// states tells how the rollouts stand: one, or those of all names.
func (o *fleetSource) states(ctx context.Context, name, version string) ([]fleet.State, error) {
	if o.serf || o.from != "" {
		return o.heardStates(ctx, name, version)
	}
	if err := o.reach(); err != nil {
		return nil, err
	}
	all := []string{name}
	if name == "" {
		var err error
		if all, err = o.rollouts.Names(ctx); err != nil {
			return nil, err
		}
	}
	var states []fleet.State
	for _, name := range all {
		s, err := o.rollouts.Read(ctx, name)
		switch {
		case err == nil:
		case len(all) > 1 && errors.Is(err, fleet.ErrUnknown): // it has been removed since
			continue
		case len(all) > 1 && errors.Is(err, fleet.ErrStopped): // spoilt: nobody's host goes on by it
			s = fleet.State{Name: name, Phase: fleet.Stopped, Why: failure.Text(err)}
		default:
			return nil, err
		}
		s.Sort()
		states = append(states, s)
	}
	return states, nil
}

// reach prepares to ask Consul.
func (o *fleetSource) reach() (err error) {
	if o.rollouts == nil {
		o.rollouts, err = o.actions.Rollouts()
	}
	return err
}

// one tells how the rollout of a name stands, in that version if one is given.
func (o *fleetSource) one(ctx context.Context, name, version string) (fleet.State, error) {
	states, err := o.states(ctx, name, version)
	if err != nil {
		return fleet.State{}, err
	}
	switch {
	case len(states) == 0:
		return fleet.State{}, noRollout(name, version)
	case version != "" && states[0].Version != version:
		return fleet.State{}, elsewise{noRollout(name, version), states[0].Version}
	}
	return states[0], nil
}

// heardStates tells it by what hosts have said.
func (o *fleetSource) heardStates(ctx context.Context, name, version string) (states []fleet.State, err error) {
	heard, err := o.hear(ctx, name)
	if err != nil {
		return nil, err
	}
	names := []string{name}
	if name == "" {
		names = heard.Names()
		if len(names) == 0 && heard.Knows("") {
			names = []string{""} // no host came as far as a name
		}
	} else if !heard.Knows(name) {
		return nil, noRollout(name, version)
	}
	for _, name := range names {
		states = append(states, heard.Rollout(name, version))
	}
	return states, nil
}

// hear hears what hosts say.
func (o *fleetSource) hear(ctx context.Context, name string) (heard fleet.Heard, err error) {
	if o.from != "" {
		if heard.Results, err = dir.Read(o.from); err != nil {
			return heard, fmt.Errorf("--from: %w", err)
		}
	} else if heard, err = serf.Ask(ctx, name, serf.Options{Timeout: o.timeout}); err != nil {
		return heard, fmt.Errorf("--serf: %w", err)
	}
	if o.hosts == "" {
		return heard, nil
	}
	listed, err := dir.Hosts(o.hosts)
	if err != nil {
		return heard, fmt.Errorf("--hosts: %w", err)
	}
	for _, host := range listed {
		if !slices.Contains(heard.Members, host) {
			heard.Members = append(heard.Members, host)
		}
	}
	return heard, nil
}

// lookAgain is how long what hosts say is not asked for again.
const lookAgain = 2 * time.Second

// changed waits until the rollout may stand otherwise than it was read last; the first
// time it does not wait.
func (o *fleetSource) changed(ctx context.Context, name string) (err error) {
	if !o.serf && o.from == "" {
		if err = o.reach(); err == nil {
			o.index, err = o.rollouts.Changes(ctx, name, o.index)
		}
		return err
	}
	if o.index++; o.index > 1 {
		return pause(ctx, lookAgain)
	}
	return nil
}

// pause waits, but not beyond a signal.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
