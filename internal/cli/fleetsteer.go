package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/redact"
)

// steering is a command that changes how a rollout goes on.
type steering struct {
	fleetSource
	use  string
	do   func(rollouts Rollouts, ctx context.Context, name, by string) error
	news bool // its hosts have to hear of it again

	event string
	url   string
}

// steer makes such a command.
func (a *app) steer(use, short, long string, o *steering) *cobra.Command {
	o.app, o.use = a, use
	c := newCommand(&cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    long,
		Example: "stretcher fleet " + use + " web",
		RunE:    a.runs(o.run),
	})
	if !o.news {
		return c
	}
	c.Example += "\nstretcher fleet " + use + " web --event deploy"
	o.event = noEvent
	c.Flags().Var(&textValue{&o.event, "NAME"}, "event",
		"the event that is fired in Consul again; none says which one it is")
	c.Flags().Var(&textValue{&o.url, "URL"}, "url",
		"the URL of the manifest (default: as hosts have recorded it, where the event has brought it before)")
	return c
}

func (o *steering) run(ctx context.Context, args []string) (int, error) {
	if err := o.check(args); err != nil {
		return ExitUsage, err
	}
	name := args[0]
	if err := o.reach(); err != nil {
		return fleetError(err), err
	}
	url, err := o.target(ctx, name)
	if err == nil && o.url != "" {
		err = o.compare(ctx, name)
	}
	if err != nil {
		return steerError(err), err
	}
	switch err := o.do(o.rollouts, ctx, name, by()); {
	case errors.Is(err, fleet.ErrAlready):
		note(o.app, failure.Text(err))
	case err != nil:
		return steerError(err), err
	}
	s, err := o.one(ctx, name, "")
	if err == nil {
		_, err = fmt.Fprintln(o.Stdout, printable.Line(view.Summary(s)))
	}
	if err == nil && o.news {
		err = o.tell(ctx, url)
	}
	if err != nil {
		return fleetError(err), err
	}
	return fleetGood, nil
}

// check refuses what can't be meant, before anything is asked.
func (o *steering) check(args []string) error {
	switch {
	case len(args) != 1 || args[0] == "":
		return failure.Usage("fleet %s expects one NAME", o.use)
	case o.news && o.event == "":
		return failure.Usage("--event says something")
	case o.url == "" && o.line.has("url"):
		return failure.Usage("--url expects the URL of the manifest")
	case len(o.url) > longestURL:
		return failure.Usage("the URL %q has more than %d bytes: no event brings it", o.url, longestURL)
	case printable.Line(o.url) != o.url:
		return failure.Usage("%q has what can't be printed", o.url)
	}
	return checkEvent(o.event)
}

// checkEvent refuses what is no name of an event.
func checkEvent(event string) error {
	if strings.ContainsAny(event, "/?#%") || printable.Line(event) != event {
		return failure.Usage("--event %q is no name of an event", event)
	}
	return nil
}

// target is the URL that the hosts are to get again; "" = it is not known. Any host may
// have recorded another one: it is fired only where who may fire events has done so.
func (o *steering) target(ctx context.Context, name string) (string, error) {
	if !o.news || o.url != "" {
		return o.url, nil
	}
	known, err := o.rollouts.Recorded(ctx, name)
	if redact.Hides(known.URL) {
		known.URL = ""
	}
	if err != nil || o.event == noEvent {
		return known.URL, err
	}
	if known.URL == "" {
		return "", failure.Hinted("--url URL says where the manifest of the rollout is",
			errors.New("hosts have not recorded the URL of the manifest: it holds a secret, or can't be told"))
	}
	fired, err := o.rollouts.Fired(ctx, o.event, known.URL)
	if err == nil && !fired {
		err = failure.Hinted("--url URL says where the manifest of the rollout is",
			fmt.Errorf("hosts have recorded the URL %q, and the agent remembers no event %q with it", known.URL, o.event))
	}
	return known.URL, err
}

// compare refuses a URL at which there is another manifest than that of the rollout, or
// none: hosts would begin another one, or fail.
func (o *steering) compare(ctx context.Context, name string) error {
	s, err := o.one(ctx, name, "")
	if err != nil || s.ID == "" {
		return err
	}
	settings := o.settings(Settings{})
	settings.Timeout = identifyTime
	id, err := o.actions.Identify(ctx, settings, o.url)
	switch {
	case err != nil:
		return failure.Hinted("consul event -name EVENT URL fires it unread", fmt.Errorf("--url: %w", err))
	case id != s.ID:
		return failure.Usage("--url: at %q is another manifest than that of the rollout of %s: hosts would begin a new one",
			redact.URL(o.url), view.Title(s))
	}
	return nil
}

// identifyTime is for how long the manifest is asked for.
const identifyTime = 30 * time.Second

// tell fires the event again, or says what does so.
func (o *steering) tell(ctx context.Context, url string) error {
	command := "consul event -name deploy URL, with the URL of its manifest"
	if url == "" {
		command += ", which hosts have not recorded: it holds a secret, or can't be told"
	} else if redact.URL(url) == url {
		command = "consul event -name deploy " + asWord(url)
	}
	if o.event == noEvent {
		note(o.app, "its hosts come again by its event: "+command)
		return nil
	}
	id, err := o.rollouts.Fire(ctx, o.event, url)
	if err != nil {
		shown := asWord(url)
		if redact.URL(url) != url {
			shown = "URL"
		}
		return failure.Hinted(fmt.Sprintf("that is done: consul event -name %s %s", asWord(o.event), shown), err)
	}
	note(o.app, fmt.Sprintf("event %q fired: %s", o.event, id))
	return nil
}

// note says something beside the result.
func note(a *app, text string) { fmt.Fprintln(a.Stderr, printable.Line("stretcher: "+text)) }

// asWord is a text as one word of a shell.
func asWord(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// steerError is what a command exits with that could not change a rollout.
func steerError(err error) int {
	if errors.Is(err, fleet.ErrUnreachable) {
		return fleetUnknown
	}
	if status := fleetError(err); status != fleetUnknown {
		return status
	}
	return fleetFailed
}

// by says who it is that changes something.
func by() string { return process.Caller() + "@" + nodeName("") }
