package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/manifest/lint"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/redact"
)

// checkOptions are those of stretcher check.
type checkOptions struct {
	*app
	check  CheckOptions
	by     judging
	format string
}

// The formats of stretcher check.
const (
	asText   = "text"
	asJSON   = "json"
	asGitHub = "github"
)

func newCheck(a *app) *cobra.Command {
	o := &checkOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "check URL|FILE|-...",
		Short: "parse and validate manifests; print what would run",
		Long: `Parses and validates manifests, asks the host policy, and prints what would
run. An unknown key is an error here. The exit status is that of the worst
manifest: 4 when one is refused, else 3 when one is malformed, else 1 when one
can't be read.

With --policy FILE, or --explain, it prints instead, rule by rule, whether a
host with that policy, or this host, would take each manifest. The exit status
is 4 when one is refused. What a rule forbids is not requested.

With --format github it prints what is wrong as commands of a GitHub Actions
workflow, which marks the lines, and nothing for a good manifest.`,
		Example: `stretcher check s3://deploys/app.yml
stretcher check --format github --allow-missing-env -- deploy/*.yml
stretcher check --policy web-hosts.yml app.yml api.yml
stretcher check --explain s3://deploys/app.yml`,
		RunE: a.runs(o.run),
	})
	o.by.declare(c.Flags())
	o.check.Fetch.declareManifest(c.Flags())
	o.check.Log.declare(c.Flags())
	o.format = asText
	c.Flags().Var(&choiceValue{&o.format, []string{asText, asJSON, asGitHub}}, "format",
		"print the results as text, as json, or for github actions")
	declareJSON(c.Flags(), &o.check.JSON)
	declareUnset(c.Flags(), &o.check.Unset)
	return c
}

// declareUnset declares --allow-missing-env.
func declareUnset(f *pflag.FlagSet, v *bool) {
	f.BoolVar(v, "allow-missing-env", false, "placeholders stand in for variables of templates that are not set")
}

// run checks one manifest after the other. The status is that of the worst.
func (o *checkOptions) run(ctx context.Context, args []string) (int, error) {
	if err := o.prepare(args); err != nil {
		return ExitUsage, err
	}
	status, out := ExitGood, &paragraphs{Writer: o.Stdout}
	if o.format == asText {
		o.check.Stdout = out
	}
	for _, arg := range args {
		out.next()
		of, err := o.look(ctx, arg)
		status = worse(status, of)
		if ctx.Err() != nil {
			return status, err
		}
		o.complain(arg, err)
	}
	return status, nil
}

// paragraphs sets what is printed of one manifest apart from what was printed
// before.
type paragraphs struct {
	io.Writer
	some, fresh bool
}

// next begins another one. One of which nothing is printed is none.
func (p *paragraphs) next() { p.fresh = p.some }

// Write prints more of it.
func (p *paragraphs) Write(text []byte) (int, error) {
	if p.fresh {
		if _, err := io.WriteString(p.Writer, "\n"); err != nil {
			return 0, err
		}
	}
	p.some, p.fresh = true, false
	return p.Writer.Write(text)
}

// complain says what is wrong with a manifest.
func (o *checkOptions) complain(arg string, err error) {
	list := lint.Found(err)
	switch {
	case err == nil || wentAway(err):
	case len(list) == 0:
		o.say(o.Stderr, o.typed(failure.Text(err), arg, Status(err)), Hint(err))
	default:
		lint.Say(named(arg), list, func(text string) { o.say(o.Stderr, printable.Line(text), "") },
			func(hint string) { o.sayHint(o.Stderr, hint) })
	}
}

// named is how an argument is told: as it was typed, but without secrets.
func named(arg string) string {
	if strings.Contains(arg, "://") {
		return redact.URL(arg)
	}
	return arg
}

// typed is a text that names a file as it was typed, not by its URL. The host
// policy, which refuses, knows URLs alone.
func (o *checkOptions) typed(text, arg string, status int) string {
	if status == ExitRefused {
		return text
	}
	return strings.ReplaceAll(text, strconv.Quote(redact.URL(o.check.URL)), printable.Line(strconv.Quote(named(arg))))
}

// prepare settles how manifests are looked at.
func (o *checkOptions) prepare(args []string) error {
	if len(args) == 0 {
		return failure.Usage("check expects at least one URL or file, got 0 arguments")
	}
	if i := slices.Index(args, "-"); i >= 0 && slices.Contains(args[i+1:], "-") {
		return failure.Usage("- stands twice: standard input can be read once")
	}
	for _, arg := range args {
		if _, err := fileURL(arg); err != nil {
			return err
		}
	}
	switch {
	case o.check.JSON && o.line.has("json") != o.line.has("format"): // the flag wins over a variable
		if o.line.has("json") {
			o.format = asJSON
		}
	case o.check.JSON && o.format != asJSON && o.line.command.Flags().Changed("format"):
		return failure.Usage("--json and --format %s are two formats", o.format)
	case o.check.JSON:
		o.format = asJSON
	}
	if err := o.by.apply(o.app, &o.check.ManifestOptions); err != nil {
		return err
	}
	o.check.JSON = o.format == asJSON
	o.check.Settings = o.settings(o.check.Settings)
	o.check.Several = len(args) > 1
	o.check.Silent = o.format == asGitHub || o.check.JSON && !o.check.Explain
	return nil
}

// look looks at one manifest. The error is yet to be said: of what is printed for
// GitHub Actions, which would obey what is written to standard error too, none is.
func (o *checkOptions) look(ctx context.Context, arg string) (status int, err error) {
	var r lint.Result
	if o.check.Several {
		o.check.Title = named(arg)
	}
	if o.check.URL, err = fileURL(arg); err == nil {
		r, err = o.actions.Check(ctx, o.check)
	}
	status = Status(err)
	if !o.check.Silent {
		for _, text := range r.Warnings {
			o.warn("%s", o.typed(text, arg, status))
		}
		for _, name := range r.Unset {
			o.warn("manifest %q: %s", named(arg), lint.StandsIn(name))
		}
		return status, err
	}
	r.File, r.Status, r.Result = named(arg), status, resultOf(status)
	r.Problems = lint.Problems(r.File, err)
	for i := range r.Problems {
		r.Problems[i].Message = o.typed(r.Problems[i].Message, arg, status)
	}
	for i := range r.Warnings {
		r.Warnings[i] = o.typed(r.Warnings[i], arg, status)
	}
	printed := r.PrintGitHub
	if o.check.JSON {
		printed = r.PrintJSON
	} else {
		err = nil
	}
	unsaid := printed(o.Stdout)
	return worse(status, Status(unsaid)), cmp.Or(err, unsaid)
}

// resultOf is what came of a manifest, in a word.
func resultOf(status int) string {
	switch status {
	case ExitGood:
		return "good"
	case ExitMalformed:
		return "malformed"
	case ExitRefused:
		return "refused"
	}
	return "failed"
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
	if _, err := os.Stat(j.policy); j.policy != "" && a.line.has("policy") && errors.Is(err, fs.ErrNotExist) {
		return failure.Usage("--policy %q: no such file or directory", j.policy)
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
