package journal

import (
	"context"

	"stretcher/internal/journal/runlog"
)

// Mode says what a run leaves of itself on this machine.
type Mode int

// The modes.
const (
	Remembered Mode = iota // a row in the history: deployments, rollbacks
	Noted                  // notes while it runs, for who cleans up after it
	Fetching               // nothing but what it fetches
	Unnoted                // nothing: it only looks
)

// IsRun tells whether others follow the run: by its id in the log, and as a trace.
func (m Mode) IsRun() bool { return m == Remembered || m == Fetching }

// OpenAs opens the journal of a run, at the state directory. With an error it remembers
// nothing.
func OpenAs(ctx context.Context, m Mode, path string, log *runlog.Log) (*Journal, error) {
	switch m {
	case Unnoted:
		return OpenReading(ctx, path, log), nil
	case Noted:
		return OpenNotes(path, log)
	case Fetching:
		j, err := OpenNotes(path, log) // the directory is made where it is missing
		if err == nil {
			j = OpenReading(ctx, path, log)
		}
		return j, err
	default:
		return Open(ctx, path, log)
	}
}
