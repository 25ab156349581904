package history

import (
	"fmt"
	"io"
	"math"
	"time"

	"stretcher/internal/text/printable"
)

// jsonRun has the fields of `history --json`, in the order of the contract.
type jsonRun struct {
	ID       string   `json:"id"`
	Started  string   `json:"started"`
	Finished *string  `json:"finished"`
	Duration *float64 `json:"duration_s"`
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Dest     string   `json:"dest"`
	URL      string   `json:"url"`
	Result   Result   `json:"result"`
	Step     string   `json:"step"`
	Exit     *int     `json:"exit"`
	Error    string   `json:"error"`
	Event    string   `json:"event"`
	User     string   `json:"user"`
}

type jsonDetail struct {
	jsonRun
	Policy  string     `json:"policy"`
	Signers string     `json:"signed_by"`
	Serial  int64      `json:"serial"`
	Back    string     `json:"back"`
	Fetched int64      `json:"fetched_bytes"`
	Steps   []jsonStep `json:"steps"`
}

type jsonStep struct {
	Point    string  `json:"point"`
	Dialect  string  `json:"dialect"`
	Name     string  `json:"name"`
	Exit     *int    `json:"exit"`
	Signal   string  `json:"signal"`
	TimedOut bool    `json:"timed_out"`
	Duration float64 `json:"duration_s"`
	Stage    string  `json:"stage"`
	Source   string  `json:"source"`
	Why      string  `json:"why"`
}

// WriteJSON writes one object per line and run, in the order given. Times are
// RFC 3339, UTC, to the millisecond; durations are seconds. finished and
// duration_s are null until there is one, exit is null unless the run ended.
func WriteJSON(w io.Writer, runs []Run) error {
	return writeLines(w, runs, newJSONRun)
}

// WriteDetailJSON writes one object on one line: that of WriteJSON, what let the
// run, and the steps. The exit of a step is null when a signal ended it or it never
// started, and why says why then; signal is "" when none did.
func WriteDetailJSON(w io.Writer, d Detail) error {
	return writeLines(w, []Detail{d}, func(d Detail) jsonDetail {
		j := jsonDetail{
			jsonRun: newJSONRun(d.Run), Policy: d.Policy, Signers: d.Signers, Serial: d.Serial, Back: d.Back,
			Fetched: d.Fetched, Steps: []jsonStep{},
		}
		for _, s := range d.Steps {
			j.Steps = append(j.Steps, newJSONStep(s))
		}
		return j
	})
}

func writeLines[T, J any](w io.Writer, values []T, convert func(T) J) error {
	for _, v := range values {
		if err := printable.EncodeJSON(w, convert(v)); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return nil
}

func newJSONRun(r Run) jsonRun {
	j := jsonRun{
		ID: r.ID, Started: jsonTime(r.Started), Name: r.Name, Version: r.Version, Dest: r.Dest, URL: r.URL,
		Result: r.Result, Step: r.Step, Error: r.Error, Event: r.Event, User: r.User,
	}
	if !r.Finished.IsZero() {
		j.Finished, j.Duration = new(jsonTime(r.Finished)), new(seconds(r.Duration()))
	}
	if r.Ended() {
		j.Exit = new(r.Exit)
	}
	return j
}

func newJSONStep(s Step) jsonStep {
	j := jsonStep{
		Point: s.Point, Dialect: s.Dialect, Name: s.Name, Signal: s.Signal, TimedOut: s.TimedOut,
		Duration: seconds(s.Duration), Stage: s.Stage, Source: s.Source, Why: s.Why,
	}
	if s.Signal == "" && s.Exit >= 0 {
		j.Exit = new(s.Exit)
	}
	return j
}

// Attributes are how a run that has ended went, for the last line of its log:
// key and value by turns, named as WriteJSON does. What is empty is left out.
func (r Run) Attributes() []any {
	all := []any{"result", string(r.Result), "exit", r.Exit, "duration_s", seconds(r.Duration())}
	for _, a := range [][2]string{
		{"name", r.Name}, {"version", r.Version}, {"dest", r.Dest}, {"url", r.URL}, {"error", r.Error},
	} {
		if a[1] != "" {
			all = append(all, a[0], a[1])
		}
	}
	return all
}

func jsonTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
