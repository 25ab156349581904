package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Back says of which application hosts shall go back, from what to what.
type Back struct {
	Name string
	To   string // a version, or previous
	From string // "" = the version of the manifest

	Serial int64 // of the way back; 0 = the next one
	Known  int64 // the highest one that hosts are known to have; 0 = not known
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
	unsigned bool
	event    string

	rollouts Rollouts // nil where nothing of them is asked
}

// noEvent is the event of who fires it otherwise.
const noEvent = "none"

// inConsul is where the manifests lie that no other place is named for; hosts may read
// there, and write elsewhere.
const inConsul = "consul://stretcher/manifests/"

// longestURL bounds a URL in an event: Consul takes little more.
const longestURL = 256

func newFleetRollback(a *app) *cobra.Command {
	o := &fleetRollbackOptions{app: a, passwords: passwords{app: a}, version: "previous", expires: "1d", event: "deploy"}
	c := newCommand(&cobra.Command{
		Use:   "rollback NAME",
		Short: "let a group of hosts go back to what they have kept",
		Long: `Makes a manifest by which hosts go back, publishes it, and fires an event in
Consul with its URL. The dest, the group, the limits and the version to get away
from are those of the manifest that hosts have now, and the serial is the next
one: as the host has recorded them that began the newest rollout, or as FILE
has them. Without --to the manifest lies in Consul. Each host goes back to what
it has kept; who does not run that version stays as it is.
Standard output gets the URL and nothing else.`,
		Example: `stretcher fleet rollback web
stretcher fleet rollback web --manifest web.yml --to s3://deploys/web/ \
  --back-to 41 --sign ops.key`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	p := &o.pack.Publish
	f.Var(&textValue{&o.manifest, "FILE"}, "manifest",
		"the manifest that hosts have now (default: as they have recorded it)")
	f.Var(&textValue{&p.To, "URL"}, "to", "where the manifest is published (default: in Consul)")
	f.Var(&textValue{&p.Base, "URL"}, "public-url", "where hosts find that, if not by the URL of --to")
	f.Var(&textValue{&o.version, "VERSION"}, "back-to", "the version to go back to; previous is what was good before")
	f.Var(&textValue{&o.from, "VERSION"}, "from",
		"the version to get away from (default: that which hosts have now)")
	f.Var(&textValue{&o.serial, "N|now"}, "serial", "the manifest's serial (default: the next one)")
	f.Var(&textValue{&o.expires, "TIME"}, "expires", "when the manifest ends: a time, or a time from now, as 1d or 12h")
	f.Var(&textValue{&o.key, "FILE"}, "sign", "secret key to sign the manifest with, as keygen makes it")
	f.BoolVar(&o.unsigned, "unsigned", false, "don't sign it, though the manifest that hosts have is signed")
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
	if errors.Is(err, fleet.ErrUnknown) {
		return fleetNone, err
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
	case p.To == "" && (o.line.has("to") || o.line.has("public-url")):
		return failure.Usage("fleet rollback expects --to URL/, where hosts find the manifest")
	case o.version == "" || o.event == "":
		return failure.Usage("--back-to and --event say something")
	case o.from == "" && o.line.has("from"):
		return failure.Usage("--from expects a version")
	case o.unsigned && o.key != "":
		return failure.Usage("--unsigned and --sign can't be used together")
	case strings.ContainsAny(o.key, "\r\n"):
		return failure.Usage("--sign is the name of a file, and was given several lines")
	}
	if err := checkEvent(o.event); err != nil {
		return err
	}
	for _, text := range []string{args[0], o.version, o.from, p.To} {
		if printable.Line(text) != text {
			return failure.Usage("%q has what can't be printed", text)
		}
	}
	if p.To == "" && strings.Trim(args[0], ".") == "" {
		return failure.Usage("no key in Consul can have the name %q: --to says where the manifest goes", args[0])
	} else if p.To == "" {
		p.To, p.Replace = wayBack(args[0]), true
	} else if p.To, err = dirURL(p.To); err != nil {
		return err
	}
	if len(p.To) > longestURL {
		return failure.Usage("the URL %q has more than %d bytes: no event brings it", p.To, longestURL)
	}
	if p.About.Serial, err = parseSerial(o.serial, p.About.Now); err == nil {
		p.About.Expires, err = parseExpiry(o.expires, p.About.Now)
	}
	return err
}

// goBack publishes the manifest, and tells the hosts.
func (o *fleetRollbackOptions) goBack(ctx context.Context, name string) error {
	known, err := o.recorded(ctx, name)
	if err != nil {
		return err
	}
	if known.Signed && o.key == "" && !o.unsigned {
		return failure.Hinted("--sign KEY signs the way back, too; --unsigned is for hosts that take it without",
			failure.Usage("the manifest that hosts have of %q is signed: without --sign they would refuse the way back", name))
	}
	raw := []byte(known.Outline)
	if o.manifest != "" {
		if raw, _, err = readAtMost(ctx, o.manifest, o.actions.MaxManifest); err != nil {
			return err
		}
	}
	if o.key != "" {
		key, err := o.passwords.secret(ctx, o.key)
		if err != nil {
			return err
		}
		o.pack.Publish.Signer = key
	}
	o.pack.Settings = o.settings(o.pack.Settings)
	o.pack.Template = raw
	o.pack.Back = &Back{
		Name: name, To: o.version, From: o.from, Serial: o.pack.Publish.About.Serial, Known: known.Serial,
	}
	res, err := o.actions.Pack(ctx, o.pack)
	switch {
	case err != nil:
		return err
	case o.pack.Publish.DryRun:
		_, err = o.Stdout.Write(res.Text)
		return err
	}
	o.show(res.Text)
	if err := o.bare(ctx, res.Manifest.URL); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(o.Stdout, res.Manifest.URL); err != nil || o.event == noEvent {
		return err
	}
	o.stop(ctx, name)
	if err := o.fire(ctx, res.Manifest.URL); err != nil {
		return err
	}
	if res.Version == "" || strings.Contains(res.Version, "{{") { // each host fills it in
		return nil
	}
	note(o.app, fmt.Sprintf("stretcher fleet wait %s %s tells how it goes", asWord(name), asWord(res.Version)))
	return nil
}

// bare removes the signature of a manifest that was there before: hosts would take it
// for one of what has none.
func (o *fleetRollbackOptions) bare(ctx context.Context, manifest string) error {
	u, err := url.Parse(manifest)
	if err != nil || u.Scheme != "consul" || o.key != "" {
		return err
	}
	if o.rollouts == nil {
		if o.rollouts, err = o.actions.Rollouts(); err != nil {
			return err
		}
	}
	if err := o.rollouts.Drop(ctx, u.Host+"/"+store.Key(u)+".minisig"); err != nil {
		return fmt.Errorf("remove the signature of what was there before: %w", err)
	}
	return nil
}

// recorded is what hosts have recorded of the manifest that they have now. With FILE,
// nobody is asked who is not needed: its serial is all that is known then.
func (o *fleetRollbackOptions) recorded(ctx context.Context, name string) (known fleet.Record, err error) {
	p := &o.pack.Publish
	if o.manifest != "" && o.event == noEvent && !strings.HasPrefix(p.To, inConsul) {
		return known, nil
	}
	if o.rollouts, err = o.actions.Rollouts(); err == nil {
		known, err = o.rollouts.Recorded(ctx, name)
	}
	switch {
	case o.manifest != "" && errors.Is(err, fleet.ErrUnknown): // they may have it without a rollout
		return known, nil
	case o.manifest != "" && err != nil && p.DryRun:
		note(o.app, "warning: the serial that hosts have is not known: "+failure.Text(err))
		return known, nil
	case o.manifest != "":
		return known, err
	case err == nil && known.Outline == "":
		why := cmp.Or(known.Lacking, "it is more than 2 KiB, or holds a secret")
		err = fmt.Errorf("the rollout of %q has recorded no manifest: %s", name, why)
	}
	if err != nil {
		err = failure.Hinted("--manifest FILE names the manifest that hosts have now", err)
	}
	return known, err
}

// stop stops what goes on: hosts that wait hear of nothing newer as long as they do.
func (o *fleetRollbackOptions) stop(ctx context.Context, name string) {
	err := o.rollouts.Stop(ctx, name, "by "+by()+", for a rollback")
	switch {
	case err == nil:
		note(o.app, "the rollout that went on is stopped")
	case errors.Is(err, fleet.ErrUnknown), errors.Is(err, fleet.ErrAlready), errors.Is(err, fleet.ErrEnded):
	default:
		note(o.app, "warning: a rollout that goes on is not stopped: "+failure.Text(err))
	}
}

// show shows people what was made of what hosts have recorded: any of them can have
// written it.
func (o *fleetRollbackOptions) show(text []byte) {
	if o.manifest != "" {
		return
	}
	note(o.app, "made of what hosts have recorded:")
	for line := range strings.Lines(string(text)) {
		fmt.Fprintln(o.Stderr, "  "+printable.Line(strings.TrimSuffix(line, "\n")))
	}
}

// fire fires the event. Without it the manifest is there all the same.
func (o *fleetRollbackOptions) fire(ctx context.Context, url string) error {
	id, err := o.rollouts.Fire(ctx, o.event, url)
	if err != nil {
		hint := fmt.Sprintf("the manifest is there: consul event -name %s %s", asWord(o.event), asWord(url))
		return failure.Hinted(hint, err)
	}
	note(o.app, fmt.Sprintf("event %q fired: %s", o.event, id))
	return nil
}
