package all

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// watchPoll is how often directories of executables are looked at.
const watchPoll = 2 * time.Second

// Printer prints which hooks there are.
type Printer struct {
	Options    Options           // where they come from
	Deployment *hooks.Deployment // nil: there is no manifest
	JSON       bool              // a line for each hook; of Watch one for each list
	Out        io.Writer
	Masked     func(string) string // keeps secrets out of what is printed
	Warn       func(error)         // told of what is doubtful, and of what can't be read while Watch goes on
}

// Print prints the list once, after what is doubtful has been told. The error
// says what can't be read, and hides nothing.
func (p *Printer) Print() error {
	_, err := p.print(nil, p.lines)
	return err
}

// Watch prints the list, and again whenever it has changed, until ctx ends. As
// JSON each list is one line, so that a reader knows where it ends, also when it
// is empty.
func (p *Printer) Watch(ctx context.Context) error {
	set, _ := New(p.Options)
	last, err := p.print(nil, p.frame)
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
			p.Warn(err) // it may be mended while we watch
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
		var text []byte
		if text, err = p.print(last, p.frame); bytes.Equal(text, last) {
			err = nil // said already
		}
		last = text
	}
}

// form writes a list, and what is wrong with it, as JSON.
type form func(w io.Writer, list []hooks.Listed, wrong []error) error

// print prints the list, unless it is still the last one, and returns it.
func (p *Printer) print(last []byte, form form) ([]byte, error) {
	set, bad := New(p.Options)
	list, errs := set.List(p.Deployment)
	bad = append(bad, errs...)
	doubts := set.Doubts()
	for i := range list {
		list[i].Why = p.Masked(list[i].Why)
	}
	out, err := p.render(list, slices.Concat(doubts, bad), form)
	if err != nil {
		return nil, err
	}
	text := bytes.Clone(out)
	for _, err := range slices.Concat(doubts, bad) { // a change of these is one of the list
		text = fmt.Appendf(text, "\x00%v", err)
	}
	if bytes.Equal(text, last) {
		return text, nil
	}
	for _, doubt := range doubts {
		p.Warn(doubt)
	}
	if last != nil && !p.JSON {
		fmt.Fprintln(p.Out)
	}
	_, err = p.Out.Write(out)
	return text, errors.Join(append(bad, err)...)
}

func (p *Printer) render(list []hooks.Listed, wrong []error, form form) ([]byte, error) {
	var b bytes.Buffer
	if !p.JSON {
		writeTable(&b, list)
		return b.Bytes(), nil
	}
	err := form(&b, list, wrong)
	return b.Bytes(), err
}

// lines is a line for each hook.
func (p *Printer) lines(w io.Writer, list []hooks.Listed, _ []error) error {
	for _, l := range list {
		if err := printable.EncodeJSON(w, l); err != nil {
			return err
		}
	}
	return nil
}

// frame is one line for the whole list.
func (p *Printer) frame(w io.Writer, list []hooks.Listed, wrong []error) error {
	f := struct {
		Hooks []hooks.Listed `json:"hooks"`
		Wrong []string       `json:"wrong"`
	}{append([]hooks.Listed{}, list...), []string{}}
	for _, err := range wrong {
		f.Wrong = append(f.Wrong, p.Masked(failure.Text(err)))
	}
	return printable.EncodeJSON(w, f)
}

func writeTable(w io.Writer, list []hooks.Listed) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POINT\tSTAGE\tDIALECT\tNAME\tSOURCE\tWHETHER")
	for _, l := range list {
		point := l.Point
		if point == "" {
			point = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable.Text(point), printable.Text(l.Stage), l.Dialect,
			printable.Text(l.Name), printable.Text(l.Source), printable.Text(l.Why))
	}
	_ = t.Flush()
}
