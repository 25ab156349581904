// Package summary tells of one run in a few lines: in a chat, by mail, to a
// webhook.
//
// Its words: a summary is what somebody who was not there must know of a run; the
// failure in it is where and why the run failed; its lines are the last ones that
// the failed step has left in the log; a format is a way in which a summary is
// written, for somebody who takes no other.
//
// What is in a summary may come from anywhere: a command that failed prints what it
// likes. It has an end, it is escaped as the log is, and a format lets nothing in it
// be more than text. Secrets are masked before: this package hides nothing.
//
// It may import history, which knows runs, runlog, which knows logs, and leaves of
// text.
package summary

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
)

// Summary tells of a run. Its fields are named as history --json names them.
type Summary struct {
	ID       string         `json:"id"`
	Host     string         `json:"host"`
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Dest     string         `json:"dest"`
	URL      string         `json:"url"`
	Result   history.Result `json:"result"`
	Exit     *int           `json:"exit"` // nil = not known, or there is none
	Started  string         `json:"started"`
	Duration float64        `json:"duration_s"` // until now, of a run that goes on
	Event    string         `json:"event"`
	User     string         `json:"user"`
	Failure
}

// Failure tells where and why a run has failed, or is in.
type Failure struct {
	Step    string   `json:"step"`    // where it failed; "" = nowhere
	Command string   `json:"command"` // the command or hook that failed; "" = none did
	Error   string   `json:"error"`
	Back    string   `json:"back"`  // the release that is live again; "" = none
	Lines   []string `json:"lines"` // the last of the failed step
}

// Bounds of a summary. A chat takes some 4000 characters in one message.
const (
	MaxLines = 20
	maxText  = 2400 // bytes of all lines
	maxLine  = 300  // bytes of a line
	maxError = 800  // bytes
	maxField = 300  // bytes of any other text
)

// Of summarises a run that has ended with its result, or is about to. Lines are the
// last ones of the step that Failed finds.
func Of(d history.Detail, host string, now time.Time, lines []string) Summary {
	s := Summary{
		ID: d.ID, Host: host, Name: d.Name, Version: d.Version, Dest: d.Dest, URL: d.URL, Result: d.Result,
		Started: d.Started.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Event: d.Event, User: d.User,
	}
	if d.Finished.IsZero() {
		d.Finished, d.Elapsed = now, 0 // what was measured by then is over
	}
	s.Duration = math.Round(d.Duration().Seconds()*1000) / 1000
	if d.Ended() && d.Result != history.Skipped {
		s.Exit = new(d.Exit)
	}
	if d.Result != history.Good {
		s.Step, s.Error, s.Back, s.Lines = d.Step, d.Error, d.Back, lines
		if step, ok := Failed(d); ok {
			s.Step = step.Point
			s.Command = commandOf(step)
		}
	}
	return s.bounded()
}

// commandOf names what a step has run.
func commandOf(s history.Step) string {
	switch s.Dialect {
	case "stretcher": // the program itself
		return ""
	case "command":
		return s.Name
	}
	return fmt.Sprintf("%s hook %s", s.Dialect, s.Name)
}

// Failed is the step because of which a run has failed: of those at the point that
// its error names, the first that did not do what it should.
func Failed(d history.Detail) (history.Step, bool) {
	if d.Error == "" {
		return history.Step{}, false
	}
	at := slices.IndexFunc(d.Steps, func(s history.Step) bool {
		return !s.OK() && (strings.HasPrefix(d.Error, s.Point+": ") || d.Ended() && s.Point == d.Step)
	})
	if at < 0 {
		return history.Step{}, false
	}
	return d.Steps[at], true
}

// Parse reads a summary that was written as JSON.
func Parse(text string) (s Summary, err error) {
	err = json.Unmarshal([]byte(text), &s)
	return s.bounded(), err
}

// bounded escapes all texts and makes them no longer than they may be. Of lines the
// last ones stay.
func (s Summary) bounded() Summary {
	for _, text := range []*string{
		&s.ID, &s.Host, &s.Name, &s.Version, &s.Dest, &s.URL, (*string)(&s.Result), &s.Started, &s.Event, &s.User,
		&s.Step, &s.Command, &s.Back,
	} {
		*text = printable.Cut(*text, maxField)
	}
	s.Error = printable.Cut(s.Error, maxError)
	lines, room := []string{}, maxText
	for _, line := range slices.Backward(s.Lines) {
		line = printable.CutOutput(line, maxLine)
		if room -= len(line); room < 0 || len(lines) == MaxLines {
			break
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	s.Lines = lines
	return s
}
