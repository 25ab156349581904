package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/term"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/view"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/outlet"
)

const (
	redraw  = 250 * time.Millisecond // what changes faster is shown at once
	patient = time.Minute            // so long a server may be away in the middle
)

// follow tells seen how a rollout stands, again and again when that may have changed,
// until it says that this is enough. Of one that is not there it tells nothing. A
// server that is away for a moment is waited for; one that was never there is not.
func (o *fleetSource) follow(
	ctx context.Context, name, version string, seen func(s fleet.State, err error) (enough bool, _ error),
) error {
	there, away := false, time.Time{} // it has answered; since when it does not
	for {
		err := o.changed(ctx, name)
		if err == nil {
			var s fleet.State
			if s, err = o.one(ctx, name, version); err == nil || errors.Is(err, fleet.ErrUnknown) {
				there, away = true, time.Time{}
				if enough, err := seen(s, err); enough || err != nil {
					return err
				}
				err = pause(ctx, redraw)
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		if !there || Status(err) == ExitUsage || !away.IsZero() && time.Since(away) > patient {
			return err
		}
		if away.IsZero() {
			away = time.Now()
			o.warn("%v; trying again", err)
		}
		if err = pause(ctx, lookAgain); err != nil {
			return err
		}
	}
}

// show shows how a rollout stands until it ends: as a table that is drawn again in a
// terminal, as objects, or as lines of what has changed.
func (o *fleetStatusOptions) show(ctx context.Context, name, version string) (int, error) {
	last, status := (*fleet.State)(nil), fleetUnknown
	drawn := 0
	err := o.follow(ctx, name, version, func(s fleet.State, none error) (bool, error) {
		if none != nil {
			return true, none
		}
		var err error
		if drawn, err = o.showOnce(last, s, drawn); err != nil {
			return true, err
		}
		last, status = &s, fleetStatus(s.Verdict())
		return s.Ended(), nil
	})
	if err != nil {
		return fleetError(err), err
	}
	return status, nil
}

// showOnce shows how it stands now. Drawn is how many lines of a terminal it takes.
func (o *fleetStatusOptions) showOnce(last *fleet.State, s fleet.State, drawn int) (int, error) {
	room := roomOf(o.Stdout)
	if !o.json && room.Columns > 0 {
		var b strings.Builder
		if drawn > 0 {
			fmt.Fprintf(&b, "\x1b[%dA\x1b[J", drawn)
		}
		head := b.Len()
		if err := view.WriteTable(&b, s, room); err != nil {
			return 0, err
		}
		_, err := io.WriteString(o.Stdout, b.String())
		return strings.Count(b.String()[head:], "\n"), err
	}
	changes := view.Changes(last, s)
	if o.json {
		if last != nil && len(changes) == 0 {
			return 0, nil
		}
		return 0, view.WriteJSON(o.Stdout, s)
	}
	return 0, printLines(o.Stdout, changes)
}

func printLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// roomOf is how much a terminal shows at once; zero, if a stream is none.
func roomOf(stream any) view.Room {
	room := view.Room{Columns: columnsOf(stream)}
	if room.Columns > 0 {
		if _, height, err := term.GetSize(int(outlet.File(stream).Fd())); err == nil && height > 0 {
			room.Lines = height
		} else {
			room.Lines = 24 // as terminals had
		}
	}
	return room
}

// overtime is the error of a rollout that has not ended in time.
func overtime(limit time.Duration, last *fleet.State, name, version string) error {
	if last == nil {
		return fmt.Errorf("--timeout of %s is over: %w", (*ageValue)(&limit), noRollout(name, version))
	}
	return failure.Hinted("stretcher fleet status "+name+" tells of each host",
		fmt.Errorf("--timeout of %s is over: %s", (*ageValue)(&limit), view.Summary(*last)))
}
