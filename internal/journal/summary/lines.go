package summary

import (
	"io"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
)

// after is how many lines may follow those of a failed step before the next one
// begins: the program's own, which say what has failed and what it does about it.
const after = 40

// Lines are the last lines of the step that has failed, of the run's log, whose
// size is given; of a run that died, the last ones that there are. ended is where
// they end, -1 when nobody has noted it.
func Lines(d history.Detail, log io.ReaderAt, size, ended int64) ([]string, error) {
	step, ok := Failed(d)
	if !ok && d.Result != history.Died {
		return nil, nil
	}
	found := ended < 0
	for _, next := range d.Steps {
		if found && ok && next.Seq == step.Seq+1 {
			ended = next.Offset
		}
	}
	lines, _, err := runlog.Tail(log, size, step.Offset, ended, MaxLines+after)
	if found && ok {
		lines = runlog.UntilFailure(lines, step.Point, d.Error)
	}
	for i, line := range lines {
		lines[i] = runlog.Message(line)
	}
	return lines[max(0, len(lines)-MaxLines):], err
}
