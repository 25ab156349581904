package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Back says of which application hosts shall go back, from what to what.
type Back struct {
	Name string
	To   string // a version, or previous
	From string // "" = the version of the manifest
}

// fleetRollbackOptions are those of stretcher fleet rollback.
type fleetRollbackOptions struct {
	*app
	passwords
	pack     PackOptions
	manifest string
	version  string
	from     string
	serial   string
	expires  string
	key      string
	event    string
}

// noEvent is the event of who fires it otherwise.
const noEvent = "none"

func newFleetRollback(a *app) *cobra.Command {
	o := &fleetRollbackOptions{app: a, passwords: passwords{app: a}, version: "previous", expires: "1d", event: "deploy"}
	c := newCommand(&cobra.Command{
		Use:   "rollback NAME --manifest FILE --to URL/",
		Short: "let a group of hosts go back to what they have kept",
		Long: `Makes a manifest by which hosts go back, publishes it, and fires an event in
Consul with its URL. FILE is the manifest that hosts have now: the dest, the
group and the limits are its, and the serial is the next one. Each host goes
back to what it has kept; who does not run the version of FILE stays as it is.
Standard output gets the URL and nothing else.`,
		Example: `stretcher fleet rollback web --manifest web.yml --to s3://deploys/web/
stretcher fleet rollback web --manifest web.yml --to s3://deploys/web/ \
  --back-to 41 --sign ops.key`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	p := &o.pack.Publish
	f.Var(&textValue{&o.manifest, "FILE"}, "manifest", "the manifest that hosts have now")
	f.Var(&textValue{&p.To, "URL"}, "to", "where the manifest is published")
	f.Var(&textValue{&p.Base, "URL"}, "public-url", "where hosts find that, if not by the URL of --to")
	f.Var(&textValue{&o.version, "VERSION"}, "back-to", "the version to go back to; previous is what was good before")
	f.Var(&textValue{&o.from, "VERSION"}, "from", "the version to get away from (default: that of FILE)")
	f.Var(&textValue{&o.serial, "N|now"}, "serial", "the manifest's serial (default: the next one after FILE's)")
	f.Var(&textValue{&o.expires, "TIME"}, "expires", "when the manifest ends: a time, or a time from now, as 1d or 12h")
	f.Var(&textValue{&o.key, "FILE"}, "sign", "secret key to sign the manifest with, as keygen makes it")
	o.passwords.declare(f)
	f.Var(&textValue{&o.event, "NAME"}, "event", "the event that is fired in Consul; none fires none")
	f.BoolVar(&p.DryRun, "dry-run", false, "send and fire nothing; print the manifest")
	o.pack.Progress = "auto"
	for _, name := range []string{"manifest", "sign"} {
		asFile(f, name)
	}
	return c
}

func (o *fleetRollbackOptions) run(ctx context.Context, args []string) (int, error) {
	err := o.check(args)
	if err == nil {
		err = o.goBack(ctx, args[0])
	}
	return Status(err), err
}

// check refuses what can't be meant, before anything is read.
func (o *fleetRollbackOptions) check(args []string) (err error) {
	p := &o.pack.Publish
	p.About.Now = time.Now()
	switch {
	case len(args) != 1 || args[0] == "":
		return failure.Usage("fleet rollback expects one NAME")
	case o.manifest == "":
		return failure.Usage("fleet rollback expects --manifest FILE, the manifest that hosts have now")
	case p.To == "":
		return failure.Usage("fleet rollback expects --to URL/, where hosts find the manifest")
	case o.version == "" || o.event == "":
		return failure.Usage("--back-to and --event say something")
	case o.from == "" && o.line.has("from"):
		return failure.Usage("--from expects a version")
	case strings.ContainsAny(o.event, "/?#%"):
		return failure.Usage("--event %q is no name of an event", o.event)
	case strings.ContainsAny(o.key, "\r\n"):
		return failure.Usage("--sign is the name of a file, and was given several lines")
	}
	for _, text := range []string{args[0], o.version, o.from, o.event, p.To} {
		if printable.Line(text) != text {
			return failure.Usage("%q has what can't be printed", text)
		}
	}
	if p.To, err = dirURL(p.To); err != nil {
		return err
	}
	if p.About.Serial, err = parseSerial(o.serial, p.About.Now); err == nil {
		p.About.Expires, err = parseExpiry(o.expires, p.About.Now)
	}
	return err
}

// goBack publishes the manifest, and tells the hosts.
func (o *fleetRollbackOptions) goBack(ctx context.Context, name string) error {
	raw, _, err := readAtMost(ctx, o.manifest, o.actions.MaxManifest)
	if err != nil {
		return err
	}
	if o.key != "" {
		key, err := o.passwords.secret(ctx, o.key)
		if err != nil {
			return err
		}
		o.pack.Publish.Signer = key
	}
	o.pack.Settings = o.settings(o.pack.Settings)
	o.pack.Template, o.pack.Back = raw, &Back{Name: name, To: o.version, From: o.from}
	res, err := o.actions.Pack(ctx, o.pack)
	switch {
	case err != nil:
		return err
	case o.pack.Publish.DryRun:
		_, err = o.Stdout.Write(res.Text)
		return err
	}
	if _, err := fmt.Fprintln(o.Stdout, res.Manifest.URL); err != nil || o.event == noEvent {
		return err
	}
	return o.fire(ctx, res.Manifest.URL)
}

// fire fires the event. Without it the manifest is there all the same.
func (o *fleetRollbackOptions) fire(ctx context.Context, url string) error {
	id, err := o.actions.Fire(ctx, o.event, url)
	if err != nil {
		return failure.Hinted(fmt.Sprintf("the manifest is there: consul event -name %s %s", o.event, url), err)
	}
	_, err = fmt.Fprintln(o.Stderr, printable.Line(fmt.Sprintf("stretcher: event %q fired: %s", o.event, id)))
	return err
}
