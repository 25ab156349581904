package cli

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// rootOptions are those of a deployment, which needs no command.
type rootOptions struct {
	*app
	deploy     DeployOptions
	detach     bool
	strictExit bool
	dryRun     bool
	json       bool
}

func newRoot(a *app) *cobra.Command {
	o := &rootOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "stretcher [flags] [URL|FILE]",
		Short: "deploy what a manifest describes",
		Long: `Deploys what a manifest describes. Without URL or FILE an event is read from
standard input.

The URL of a manifest begins with s3://, gs://, az://, https://, http:// or
file://.
Standard input may hold a URL on one line, the JSON array that consul watch
hands over, or the payload of a Serf user event.`,
		Example: `consul watch -type event -name deploy stretcher
serf agent -event-handler="user:deploy=stretcher >> /var/log/deploys.log 2>&1"
ssh host stretcher s3://deploys/app.yml
echo s3://deploys/app.yml | stretcher
stretcher --if-changed s3://deploys/app.yml    # from cron or a timer`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	o.deploy.Fetch.declare(f)
	o.deploy.Run.declare(f)
	f.BoolVar(&o.deploy.IfChanged, "if-changed", false, "do nothing, and run no command, when dest holds it already")
	f.Var(&textValue{&o.deploy.Node, "NODE"}, "node", nodeUsage)
	f.BoolVar(&o.detach, "detach", false, "deploy in the background, in a session of its own")
	o.deploy.Log.declare(f)
	f.BoolVar(&o.strictExit, "strict-exit", false, "under consul watch too, exit with the run's status")
	f.BoolVar(&o.dryRun, "dry-run", false, "the same as stretcher plan")
	f.BoolVar(&o.json, "json", false, "with --dry-run: one JSON object on one line")
	p := c.PersistentFlags()
	a.host.declare(p)
	p.BoolVarP(&a.version, "version", "v", false, "print the version")
	p.BoolP("help", "h", false, "print what this command does and its flags")
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	c.SetHelpFunc(func(c *cobra.Command, _ []string) { a.printHelp(c) })
	c.SetOut(a.Stdout)
	c.SetErr(a.Stderr)
	return c
}

func (o *rootOptions) run(ctx context.Context, args []string) (int, error) {
	if o.json && !o.dryRun && o.line.has("json") {
		return ExitUsage, o.belongs("json")
	}
	urls, err := o.urls(args)
	if err = cmp.Or(err, o.deploy.checkDelay(), o.checkPairs()); err != nil {
		return ExitUsage, err
	}
	o.deploy.Settings, o.deploy.URLs = o.settings(o.deploy.Settings), urls
	switch {
	case o.dryRun:
		return (&planOptions{app: o.app, plan: ManifestOptions{Settings: o.deploy.Settings, JSON: o.json}}).run(ctx, args)
	case o.Getenv("SERF_EVENT") == "query" && len(urls) == 0:
		return o.answer(ctx)
	}
	_, err = o.start(ctx, o.deploy)
	if o.Getenv("CONSUL_INDEX") != "" && !o.strictExit && Status(err) != ExitUsage {
		return ExitGood, nil // a handler that fails ends consul watch; the history has the truth
	}
	return Status(err), nil
}

// checkPairs refuses flags of which one has the other mean nothing. Of a variable and
// a flag the flag wins.
func (o *rootOptions) checkPairs() error {
	for _, pair := range []struct {
		one, other string
		both       bool
	}{
		{"force", "if-changed", o.deploy.Force && o.deploy.IfChanged}, {"dry-run", "detach", o.dryRun && o.detach},
	} {
		if pair.both && o.line.has(pair.one) && o.line.has(pair.other) {
			return failure.Usage("--%s and --%s can't be used together", pair.one, pair.other)
		}
	}
	return nil
}

// start deploys, or lets a process of its own do it. Its error has been said.
func (o *rootOptions) start(ctx context.Context, d DeployOptions) (outcome string, err error) {
	d.Stdin, d.Terminal = o.Stdin, isTerminal(o.Stdin)
	if o.detach && (len(d.URLs) > 0 || !d.Terminal) {
		outcome, err = o.detached(ctx, d.URLs, d.Stderr)
	} else {
		outcome, err = o.actions.Deploy(ctx, d)
	}
	if outcome == "" && err != nil {
		outcome = failure.Text(err)
		o.say(d.Stderr, outcome, Hint(err))
	}
	return outcome, err
}

// urls makes URLs of the arguments. A word that is none, no file and no
// command deploys nothing.
func (a *app) urls(args []string) (urls []string, err error) {
	for _, arg := range args {
		word := strings.TrimSpace(arg)
		switch {
		case word == "" || strings.Contains(word, "://"):
			urls = append(urls, arg)
			continue
		case !strings.Contains(word, "/") && !isFile(word):
			return nil, a.unknownWord(word)
		}
		url, err := fileURL(word)
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	return urls, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// unknownWord is the error of a word that is neither a command nor what can
// be deployed.
func (a *app) unknownWord(word string) error {
	err := failure.Usage("%q is no command, no URL and no file that is there", word)
	if strings.HasPrefix(word, "file:") {
		return failure.Hinted("a local file is named by its path, or by file:///absolute/path", err)
	}
	if near := nearest(word, names(a.root)); near != "" && filepath.Ext(word) == "" {
		return didYouMean("stretcher "+near, err)
	}
	return err
}

// names are the names of the commands below c that help lists.
func names(c *cobra.Command) (all []string) {
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			all = append(all, sub.Name())
		}
	}
	return all
}
