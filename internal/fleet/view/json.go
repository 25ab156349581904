package view

import (
	"io"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/printable"
)

// jsonState has the fields of `fleet status --json`, in the order of the contract.
type jsonState struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	ID      string         `json:"rollout"`
	Verdict fleet.Verdict  `json:"verdict"`
	Ended   bool           `json:"ended"`
	Phase   fleet.Phase    `json:"phase"`
	Why     string         `json:"why"`
	Began   *string        `json:"began"`
	Group   string         `json:"group"`
	Limits  *jsonLimits    `json:"limits"`
	Counts  map[string]int `json:"counts"`
	Hosts   []jsonHost     `json:"hosts"`
}

// jsonLimits are the limits of a rollout; null in it is none.
type jsonLimits struct {
	Parallel  *int    `json:"parallel"`
	MaxFailed *int    `json:"max_failed"`
	Canary    int     `json:"canary"`
	Pause     float64 `json:"pause_s"`
}

type jsonHost struct {
	Node     string         `json:"node"`
	Zone     string         `json:"zone"`
	Standing fleet.Standing `json:"standing"`
	Runs     string         `json:"runs"`
	Mixed    bool           `json:"mixed"`
	Version  string         `json:"version"`
	Run      string         `json:"run"`
	Result   string         `json:"result"`
	Step     string         `json:"step"`
	Error    string         `json:"error"`
	Note     string         `json:"note"`
	Started  *string        `json:"started"`
	Finished *string        `json:"finished"`
}

// WriteJSON writes how a rollout stands as one object on one line.
func WriteJSON(w io.Writer, s fleet.State) error {
	out := jsonState{
		Name: s.Name, Version: s.Version, ID: s.ID, Verdict: s.Verdict(), Ended: s.Ended(), Phase: s.Phase, Why: s.Why,
		Began: machineTime(s.Began), Group: s.Group, Limits: limits(s),
		Counts: map[string]int{"hosts": len(s.Hosts)}, Hosts: make([]jsonHost, 0, len(s.Hosts)),
	}
	for _, standing := range fleet.Standings() {
		out.Counts[string(standing)] = s.Count(standing)
	}
	for _, h := range s.Hosts {
		r := h.Result
		out.Hosts = append(out.Hosts, jsonHost{
			Node: h.Node, Zone: h.Zone, Standing: h.Standing, Runs: h.Runs, Mixed: h.Mixed, Version: r.Version, Run: r.Run,
			Result: r.Result, Step: r.Step, Error: r.Error, Note: h.Note,
			Started: machineTime(r.Started), Finished: machineTime(r.Finished),
		})
	}
	return printable.EncodeJSON(w, out)
}

func limits(s fleet.State) *jsonLimits {
	if !limited(s) {
		return nil
	}
	l := jsonLimits{Canary: s.Limits.Canary, Pause: s.Limits.Pause.Seconds()}
	if s.Limits.Parallel > 0 {
		l.Parallel = &s.Limits.Parallel
	}
	if s.Limits.MaxFailed >= 0 {
		l.MaxFailed = &s.Limits.MaxFailed
	}
	return &l
}

// machineTime is a time for programs; null when there is none.
func machineTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(time.RFC3339Nano))
}
