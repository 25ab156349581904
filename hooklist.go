package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/hooks/oci"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/text/failure"
)

// listed is one hook as hooks list tells of it.
type listed struct {
	Point    string `json:"point"` // "" = it runs when it is asked for
	Stage    string `json:"stage"` // the dialect's word for the point
	Dialect  string `json:"dialect"`
	Name     string `json:"name"`
	Source   string `json:"source"`
	Required bool   `json:"required"` // its failure stops the deployment
	Runs     bool   `json:"runs"`     // as far as can be known before
	Why      string `json:"why"`
}

// watchPoll is how often directories of executables are looked at.
const watchPoll = 2 * time.Second

// listHooks prints which hooks would run for the manifest; without one, those
// of the host. With --watch it goes on until it is interrupted.
func (r *run) listHooks(ctx context.Context, s *settings) error {
	if r.event.URL != "" {
		if err := r.loadAllowed(ctx, ParseManifest); err != nil {
			return err
		}
	}
	last, err := r.printHooks(os.Stdout, s.history.json, nil)
	if !s.hooks.watch {
		return err
	}
	changed := make(chan struct{}, 1)
	go func() {
		_ = oci.Watch(ctx, r.policy.Hooks.OCIDirs, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for {
		if err != nil {
			r.log.Warn(failure.Text(err)) // it may be mended while we watch
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
		var text []byte
		if text, err = r.printHooks(os.Stdout, s.history.json, last); bytes.Equal(text, last) {
			err = nil // said already
		}
		last = text
	}
}

// printHooks prints the list, unless it is still the last one, and returns
// it. The error says what can't be read and hides nothing.
func (r *run) printHooks(w io.Writer, asJSON bool, last []byte) ([]byte, error) {
	list, bad := r.listAll()
	var b bytes.Buffer
	if asJSON {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, l := range list {
			if err := enc.Encode(l); err != nil {
				return nil, err
			}
		}
	} else {
		writeHooks(&b, list)
	}
	text := b.Bytes()
	for _, err := range bad { // a change of these is one of the list
		text = fmt.Appendf(text, "\x00%v", err)
	}
	if bytes.Equal(text, last) {
		return text, nil
	}
	if last != nil && !asJSON {
		fmt.Fprintln(w)
	}
	_, err := w.Write(b.Bytes())
	return text, errors.Join(append(bad, err)...)
}

func writeHooks(w io.Writer, list []listed) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POINT\tSTAGE\tDIALECT\tNAME\tSOURCE\tWHETHER")
	for _, l := range list {
		point := l.Point
		if point == "" {
			point = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", point, l.Stage, l.Dialect, l.Name, l.Source, l.Why)
	}
	_ = t.Flush()
}

// listAll lists the hooks of all points in the order in which they run, then
// those that run only when asked for.
func (r *run) listAll() (list []listed, bad []error) {
	set, bad := r.newHookSet()
	for _, name := range p2.Missing(set.p2) {
		bad = append(bad, fmt.Errorf("required hook %q is in no hook directory: every deployment is refused", name))
	}
	for _, n := range hooks.Points() {
		found, err := p2.Hooks(set.p2, n.Point)
		if err != nil {
			bad = append(bad, split(err)...)
		}
		for _, h := range found {
			list = append(list, listHook(h))
		}
		list = append(list, r.listDefinitions(set.oci, n.Point)...)
		if r.manifest == nil {
			continue
		}
		for _, name := range n.Porter {
			list = append(list, listEntries(r.manifest.Hooks, name, n.Point)...)
		}
	}
	if r.manifest != nil {
		for _, name := range hookNames(r.manifest.Hooks) {
			if porter.UserDefined(name) {
				list = append(list, listEntries(r.manifest.Hooks, name, "")...)
			}
		}
	}
	for i := range list {
		list[i].Why = r.log.Masked(list[i].Why)
	}
	return list, bad
}

func listHook(h hooks.Hook) listed {
	l := listed{
		Point: string(h.Point), Stage: h.Stage, Dialect: h.Dialect, Name: h.Name, Source: h.Source,
		Required: h.Required, Runs: h.Problem == nil, Why: "runs",
	}
	switch {
	case h.Problem != nil:
		l.Why = "skipped: " + failure.Text(h.Problem)
	case h.Required:
		l.Why = "runs: required"
	}
	return l
}

// listDefinitions explains the definitions that name a stage of the point.
func (r *run) listDefinitions(defs []oci.Definition, p hooks.Point) (list []listed) {
	for _, stage := range oci.Stages(p) {
		for _, d := range defs {
			if !slices.Contains(d.Stages, stage) {
				continue
			}
			l := listed{
				Point: string(p), Stage: stage, Dialect: hooks.OCI, Name: strings.TrimSuffix(d.Name, ".json"), Source: d.Source,
				Required: oci.Stops(p), Why: "depends on the manifest",
			}
			if r.manifest != nil {
				l.Runs, _ = d.When.Match(r.deployment())
				l.Why = oci.Explain(d, r.deployment())
			}
			list = append(list, l)
		}
	}
	return list
}

// listEntries lists the manifest's hooks of one name.
func listEntries(lists porter.Lists, name string, p hooks.Point) (list []listed) {
	step, after := strings.CutPrefix(name, "post_")
	for i, e := range lists[name] {
		at := fmt.Sprintf("%s[%d]", name, i)
		l := listed{
			Point: string(p), Stage: name, Dialect: hooks.Porter, Name: at, Source: "hooks." + at,
			Required: p != "", Runs: p != "", Why: "runs",
		}
		switch c := hooks.Condition(e.RunCondition); {
		case p == "":
			l.Why = "skipped: runs by stretcher hooks run " + name
		case c == hooks.Fail:
			l.Runs, l.Why = false, "runs: only when "+step+" has failed"
		case c == hooks.Always:
			l.Why = "runs: also when " + step + " has failed"
		case after:
			l.Why = "runs: unless " + step + " has failed"
		}
		l.Why += " (" + strings.Join(strings.Fields(e.What()), " ") + ")"
		list = append(list, l)
	}
	return list
}
