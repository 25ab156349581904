package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/text/failure"
)

// watchPoll is how often directories of executables are looked at.
const watchPoll = 2 * time.Second

// listHooks prints which hooks would run for the manifest; without one, those
// of the host. With --watch it goes on until it is interrupted.
func (r *run) listHooks(ctx context.Context, o cli.ListHooksOptions) error {
	if r.event.URL != "" {
		if err := r.loadAllowed(ctx, manifestRules()); err != nil {
			return err
		}
	}
	set, _ := all.New(r.hookOptions(false))
	last, err := r.printHooks(o.Stdout, o.JSON, nil)
	if !o.Watch {
		return err
	}
	changed := make(chan struct{}, 1)
	go func() {
		_ = set.Watch(ctx, func() {
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
		if text, err = r.printHooks(o.Stdout, o.JSON, last); bytes.Equal(text, last) {
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

func writeHooks(w io.Writer, list []hooks.Listed) {
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
func (r *run) listAll() (list []hooks.Listed, bad []error) {
	set, bad := all.New(r.hookOptions(false))
	var d *hooks.Deployment
	if r.manifest != nil {
		known := r.deployment("")
		d = &known
	}
	list, errs := set.List(d)
	for i := range list {
		list[i].Why = r.log.Masked(list[i].Why)
	}
	return list, append(bad, errs...)
}
