package summary

import (
	"io"
	"regexp"
	"slices"
	"strings"

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
		lines = lines[:endOf(lines, d.Error)]
	}
	for i, line := range lines {
		lines[i] = message(line)
	}
	return lines[max(0, len(lines)-MaxLines):], err
}

// endOf is how many lines there are before those by which the program says that
// the step has failed. What looks like them may have been printed before: the last
// ones count.
func endOf(lines []string, text string) int {
	for _, said := range []string{`warning: step "`, "error: " + text[:min(len(text), 60)]} {
		for i, line := range slices.Backward(lines) {
			if strings.HasPrefix(message(line), said) {
				return i
			}
		}
	}
	return len(lines)
}

// message is a line of a log without its time, which older programs wrote in
// another way.
func message(line string) string {
	stamp := regexp.MustCompile(`^\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(Z|[-+]\d\d:\d\d)? `)
	return line[len(stamp.FindString(line)):]
}
