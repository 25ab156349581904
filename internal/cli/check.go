package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/text/failure"
)

// checkOptions are those of stretcher check.
type checkOptions struct {
	*app
	check ManifestOptions
	by    judging
}

func newCheck(a *app) *cobra.Command {
	o := &checkOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "check URL|FILE...",
		Short: "parse and validate manifests; print what would run",
		Long: `Parses and validates manifests, asks the host policy, and prints what would
run. An unknown key is an error here.

With --policy FILE, or --explain, it prints instead, rule by rule, whether a
host with that policy, or this host, would take each manifest. The exit status
is 4 when one is refused. What a rule forbids is not requested.`,
		Example: `stretcher check s3://deploys/app.yml
stretcher check --policy web-hosts.yml app.yml api.yml
stretcher check --explain s3://deploys/app.yml`,
		RunE: a.runs(o.run),
	})
	o.by.declare(c.Flags())
	o.check.Fetch.declare(c.Flags())
	o.check.Log.declare(c.Flags())
	declareJSON(c.Flags(), &o.check.JSON)
	return c
}

// run checks one manifest after the other. The status is that of the worst: an
// error of another than the last has been said by then.
func (o *checkOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return ExitUsage, failure.Usage("check expects at least one URL or file, got 0 arguments")
	}
	if err := o.by.apply(o.app, &o.check); err != nil {
		return ExitUsage, err
	}
	o.check.Settings = o.settings(o.check.Settings)
	o.check.Several = len(args) > 1
	status := ExitGood
	for i, arg := range args {
		if i > 0 && !o.check.JSON {
			fmt.Fprintln(o.Stdout)
		}
		var err error
		if o.check.URL, err = fileURL(arg); err == nil {
			err = o.actions.Check(ctx, o.check)
		}
		if i == len(args)-1 || ctx.Err() != nil {
			return worse(status, Status(err)), err
		}
		if err != nil {
			status = worse(status, o.report(err))
		}
	}
	return status, nil
}

// worse is the status that weighs more: a refusal is what is asked for first,
// then what is malformed. What ended the program weighs most.
func worse(a, b int) int {
	weight := func(status int) int {
		switch {
		case status > exitSignal:
			return 1000
		case status == ExitRefused:
			return 900
		}
		return status
	}
	if weight(b) > weight(a) {
		return b
	}
	return a
}

// judging says by which policy a manifest is judged, and that it is told how.
type judging struct {
	policy  string // instead of the host's; "" = the host's
	keys    string // directory of keys instead of the policy's; "" = the policy's
	explain bool
}

// declare declares the flags of commands that explain.
func (j *judging) declare(f *pflag.FlagSet) {
	f.Var(&textValue{&j.policy, "FILE"}, "policy", "print, rule by rule, what a host with this policy says")
	f.Var(&textValue{&j.keys, "DIR"}, "keys", "with --policy: a copy of the keys that its trust.keys names")
	f.BoolVar(&j.explain, "explain", false, "print, rule by rule, what this host says")
	asFile(f, "policy")
	asDirectory(f, "keys")
}

// apply tells a command of the policy. It counts as that of --config does.
func (j *judging) apply(a *app, o *ManifestOptions) error {
	if j.policy == "" && a.line.has("policy") {
		return failure.Usage("--policy expects a file")
	}
	if j.policy != "" && a.line.has("policy") && a.line.has("config") {
		return failure.Usage("--policy and --config both name the host policy")
	}
	if j.keys != "" && j.policy == "" && a.line.has("keys") {
		return failure.Usage("--keys needs --policy: this host has keys of its own")
	}
	if a.line.has("config") && !a.line.has("policy") {
		j.policy = "" // of the environment: the flag wins
	}
	o.Explain = j.explain || j.policy != ""
	if j.policy != "" {
		a.host.Config, a.host.ConfigGiven, a.host.Keys, a.host.Elsewhere = j.policy, true, j.keys, true
	}
	return nil
}
