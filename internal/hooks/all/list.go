package all

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/text/printable"
)

// watchPoll is how often directories of executables are looked at.
const watchPoll = 2 * time.Second

// Printer prints which hooks there are.
type Printer struct {
	Options    Options           // where they come from
	Deployment *hooks.Deployment // nil: there is no manifest
	JSON       bool              // one object a line
	Out        io.Writer
	Masked     func(string) string // keeps secrets out of what is printed
	Warn       func(error)         // told of what is doubtful, and of what can't be read while Watch goes on
}

// Print prints the list once, after what is doubtful has been told. The error
// says what can't be read, and hides nothing.
func (p *Printer) Print() error {
	_, err := p.print(nil)
	return err
}

// Watch prints the list, and again whenever it has changed, until ctx ends.
func (p *Printer) Watch(ctx context.Context) error {
	set, _ := New(p.Options)
	last, err := p.print(nil)
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
		if text, err = p.print(last); bytes.Equal(text, last) {
			err = nil // said already
		}
		last = text
	}
}

// print prints the list, unless it is still the last one, and returns it.
func (p *Printer) print(last []byte) ([]byte, error) {
	set, bad := New(p.Options)
	list, errs := set.List(p.Deployment)
	bad = append(bad, errs...)
	for i := range list {
		list[i].Why = p.Masked(list[i].Why)
	}
	out, err := p.render(list)
	if err != nil {
		return nil, err
	}
	text, doubts := bytes.Clone(out), set.Doubts()
	for _, err := range append(doubts, bad...) { // a change of these is one of the list
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

func (p *Printer) render(list []hooks.Listed) ([]byte, error) {
	var b bytes.Buffer
	if !p.JSON {
		writeTable(&b, list)
		return b.Bytes(), nil
	}
	for _, l := range list {
		if err := printable.EncodeJSON(&b, l); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
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
