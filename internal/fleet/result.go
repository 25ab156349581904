package fleet

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// MaxResult is how long a result may be as JSON, in bytes: a reply of Serf's has no
// more room.
const MaxResult = 1024

// Result is what a host says of its run, once. It is told in at most MaxResult bytes:
// Encode cuts what is too long.
type Result struct {
	Name     string    // of the manifest
	Version  string    // of the manifest
	Runs     string    // the version that dest holds after the run; "" = none that is known
	Mixed    bool      // dest holds parts of several: a run failed that was changing it
	Rollout  string    // the id of the rollout; "" = there was none
	Run      string    // the id of the run in the host's history
	Node     string    // the host
	Machine  string    // what tells machines of one node apart, for others of the rollout; "" = nothing does
	Also     string    // another machine that has told a result of this node, and which; "" = none has
	Zone     string    // as `zone` of the rollout says; "" = it says nothing
	Result   string    // as the history has it: good, failed, refused, ...
	Step     string    // the step that the run ended in
	Error    string    // one line, redacted; "" = none
	Started  time.Time // by the host's clock
	Finished time.Time // by the host's clock; zero while it goes on
}

// jsonResult has the fields of a result in the order of the contract.
type jsonResult struct {
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	Runs     string  `json:"runs,omitempty"`
	Mixed    bool    `json:"mixed,omitempty"`
	Rollout  string  `json:"rollout"`
	Run      string  `json:"run"`
	Node     string  `json:"node"`
	Machine  string  `json:"machine,omitempty"`
	Also     string  `json:"also,omitempty"`
	Zone     string  `json:"zone"`
	Result   string  `json:"result"`
	Step     string  `json:"step"`
	Error    string  `json:"error"`
	Started  *string `json:"started"`
	Finished *string `json:"finished"`
}

// JSON is the result as an object on one line, without an end of line.
func (r Result) JSON() ([]byte, error) {
	var b bytes.Buffer
	err := printable.EncodeJSON(&b, jsonResult{
		Name: r.Name, Version: r.Version, Runs: r.Runs, Mixed: r.Mixed, Rollout: r.Rollout, Run: r.Run, Node: r.Node,
		Machine: r.Machine, Also: r.Also, Zone: r.Zone, Result: r.Result, Step: r.Step, Error: r.Error,
		Started: stamp(r.Started), Finished: stamp(r.Finished),
	})
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// Encode is the result as an object of at most MaxResult bytes. It loses the end of
// its error first, then that of other texts, and last of what others know it by.
func (r Result) Encode() ([]byte, error) { return r.EncodeIn(MaxResult) }

// EncodeIn is Encode for who has room for so many bytes, which are 512 or more.
func (r Result) EncodeIn(most int) ([]byte, error) {
	for limit := most; ; limit /= 2 {
		for _, text := range []*string{&r.Name, &r.Version, &r.Runs, &r.Machine, &r.Also, &r.Zone, &r.Step} {
			*text = cut(*text, limit/2)
		}
		for _, text := range []*string{&r.Rollout, &r.Run, &r.Node, &r.Result} {
			*text = cut(*text, 8*limit)
		}
		whole := r.Error
		for room := most; ; room -= 32 {
			r.Error = cut(whole, room)
			b, err := r.JSON()
			if err != nil || len(b) <= most {
				return b, err
			}
			if room <= min(len(whole), minError) {
				break
			}
		}
		r.Error = whole
	}
}

// minError is how much of an error is kept while other texts can be cut.
const minError = 128

// Has is the version that the host has, as far as the result says; mixed as Mixed. told
// is false where it says nothing of that: what the host had before is what is known.
func (r Result) Has() (version string, mixed, told bool) {
	switch {
	case r.Runs != "" || r.Mixed:
		return r.Runs, r.Mixed, true
	case StandingOf(r.Result) == HostGood:
		return r.Version, false, true
	}
	return "", false, false
}

// Beside is the result of who finds this before of the same node: it says so where
// another machine has told that of the same rollout. Its name is not the node's alone.
func (r Result) Beside(before Result) Result {
	switch {
	case before.Rollout != r.Rollout || before.Machine == "" || r.Machine == "":
	case before.Machine != r.Machine:
		r.Also = before.Machine + ": " + before.Result
	default:
		r.Also = before.Also
	}
	return r
}

// After is what is to be kept of what a node says of a rollout, where it has said
// something of one before. Several runs of it may end at once: one that was stopped
// takes nothing back that another one did, and what an older run says does not count
// when a newer one has spoken. What the host has is told by who speaks last in any
// case.
func (r Result) After(before Result) Result {
	same, stopped := before.Rollout == r.Rollout, string(HostStopped)
	older := before.Run > r.Run // ids of runs are in the order of time
	switch {
	case before.Result == "" || before.Run == r.Run:
		return r
	case same && before.Result == stopped:
		return r
	case same && r.Result == stopped, older:
		if runs, mixed, told := r.Has(); told {
			before.Runs, before.Mixed = runs, mixed
		}
		return before
	}
	return r
}

const dots = "..."

// cut cuts a text to at most limit bytes, between runes.
func cut(text string, limit int) string {
	if limit <= 0 || text == "" {
		return ""
	}
	if len(text) <= limit {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	end := max(limit-len(dots), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(text[:end], "\uFFFD") + dots
}

// DecodeResult reads a result, whoever wrote it: what it holds may be any text.
func DecodeResult(data []byte) (Result, error) {
	if len(data) > MaxResult {
		return Result{}, failure.Malformed("a result has at most %d bytes, not %d", MaxResult, len(data))
	}
	var j jsonResult
	if err := json.Unmarshal(data, &j); err != nil {
		return Result{}, failure.Malformed("it is no result: %w", err)
	}
	if j.Result == "" {
		return Result{}, failure.Malformed("it is no result: it does not say how it went")
	}
	r := Result{
		Name: j.Name, Version: j.Version, Runs: j.Runs, Mixed: j.Mixed, Rollout: j.Rollout, Run: j.Run, Node: j.Node,
		Machine: j.Machine, Also: j.Also, Zone: j.Zone, Result: j.Result, Step: j.Step, Error: j.Error,
	}
	var err error
	if r.Started, err = parseStamp(j.Started); err == nil {
		r.Finished, err = parseStamp(j.Finished)
	}
	return r, err
}

const stampFormat = "2006-01-02T15:04:05.000Z07:00"

// stamp is a time for programs; null when there is none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(stampFormat))
}

func parseStamp(text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil {
		return time.Time{}, failure.Malformed("it is no result: %q is no time", *text)
	}
	return t, nil
}
