package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"stretcher/internal/text/failure"
)

// maxEvent bounds what is read from standard input, in bytes. Consul hands
// over at most 256 events of well under 1 KiB each.
const maxEvent = 4 << 20

// Where an event came from.
const (
	sourceArgument = "argument"
	sourceStdin    = "stdin"
	sourceConsul   = "consul"
	sourceSerf     = "serf"
	sourceRollback = "rollback"
)

// Event is what asked for a deployment.
type Event struct {
	Source  string  // one of the source constants
	ID      string  // Consul: the event's UUID
	Name    string  // Consul, Serf: the event's name
	LTime   string  // Consul, Serf: Lamport time, as it was given
	URL     string  // the manifest's
	Query   bool    // Serf: somebody waits for a reply of one line
	Skipped []Event // Consul: older events that came in the same array
}

// String names the event as logs and history do.
func (e Event) String() string {
	switch e.Source {
	case sourceConsul:
		return fmt.Sprintf("consul %s %s", e.Name, e.ID)
	case sourceSerf:
		return fmt.Sprintf("serf %s %s", e.Name, e.LTime)
	default:
		return e.Source
	}
}

// Key is what the event is known by when it is handed over again, or "" for
// one that can't be told from the next: a URL on the command line or on
// stdin. Lamport times begin again with the cluster, so a Serf event is known
// within one boot of this machine only.
func (e Event) Key(boot string) string {
	switch {
	case e.Source == sourceConsul && e.ID != "":
		return "consul:" + e.ID
	case e.Source == sourceSerf && e.LTime != "":
		return strings.Join([]string{"serf", boot, e.Name, e.LTime, fmt.Sprintf("%x", sha256.Sum256([]byte(e.URL)))}, ":")
	default:
		return ""
	}
}

// Input is where an event is read from.
type Input struct {
	Args     []string // positional arguments: none or the manifest URL
	Stdin    io.Reader
	Terminal bool // Stdin is a terminal: nobody pipes an event
	Getenv   func(string) string
}

// ReadEvent returns the event that started this process, or nil when there
// is nothing to do: an empty Consul array, or a Serf event of another kind.
// The error is failure.ErrUsage when nobody gave a URL, else failure.ErrMalformed.
func ReadEvent(in Input) (*Event, error) {
	kind := in.Getenv("SERF_EVENT")
	query := kind == "query" && in.Getenv("SERF_QUERY_NAME") == "deploy"
	switch {
	case len(in.Args) > 1:
		return nil, failure.Usage("one manifest URL expected, got %d arguments", len(in.Args))
	case len(in.Args) == 1:
		return fromLine(in.Args[0], Event{Source: sourceArgument})
	case in.Terminal:
		return nil, failure.Usage("no manifest URL: give one, or pipe an event to standard input")
	case kind != "" && kind != "user" && !query:
		return nil, nil // member-join and the like put a node list on stdin
	}
	return fromStdin(in)
}

func fromStdin(in Input) (*Event, error) {
	data, err := io.ReadAll(io.LimitReader(in.Stdin, maxEvent+1))
	if err != nil {
		return nil, fmt.Errorf("read event from standard input: %w", err)
	}
	if len(data) > maxEvent {
		return nil, failure.Malformed("event on standard input is larger than %d bytes", maxEvent)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if in.Getenv("CONSUL_INDEX") != "" || bytes.HasPrefix(data, []byte("[")) {
		return fromConsul(data)
	}
	e := Event{Source: sourceStdin}
	if in.Getenv("SERF_EVENT") == "user" {
		e = Event{Source: sourceSerf, Name: in.Getenv("SERF_USER_EVENT"), LTime: in.Getenv("SERF_USER_LTIME")}
	}
	if in.Getenv("SERF_EVENT") == "query" {
		e = Event{Source: sourceSerf, Query: true, Name: "query " + in.Getenv("SERF_QUERY_NAME"), LTime: in.Getenv("SERF_QUERY_LTIME")}
	}
	line, _ := bufio.NewReader(bytes.NewReader(data)).ReadString('\n')
	return fromLine(line, e)
}

// fromLine takes the manifest URL from one line of text.
func fromLine(line string, e Event) (*Event, error) {
	e.URL = strings.TrimSpace(line)
	switch {
	case e.URL == "":
		return nil, failure.Malformed("%s event has no manifest URL", e.Source)
	case strings.ContainsFunc(e.URL, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, failure.Malformed("manifest URL of %s event has control characters in it", e.Source)
	}
	return &e, nil
}

// consulEvent is an element of the array that consul watch hands over. LTime
// and Payload are decoded late: an odd one among old events must not keep the
// newest from running.
type consulEvent struct {
	ID      string
	Name    string
	Payload json.RawMessage // a base64 string or null
	LTime   json.RawMessage // a number
}

// fromConsul takes the newest event, which is the last, of Consul's array.
func fromConsul(data []byte) (*Event, error) {
	var events []consulEvent
	if err := json.Unmarshal(data, &events); err != nil {
		return nil, failure.Malformed("consul events: %w", jsonError(err, data))
	}
	if len(events) == 0 {
		return nil, nil
	}
	last := len(events) - 1
	e, err := events[last].event()
	if err != nil {
		return nil, err
	}
	for _, old := range events[:last] {
		e.Skipped = append(e.Skipped, old.skipped())
	}
	return e, nil
}

func (c consulEvent) event() (*Event, error) {
	url, err := c.url()
	if err != nil {
		return nil, failure.Malformed("consul event %q: %w", c.ID, err)
	}
	e, err := fromLine(url, Event{Source: sourceConsul, ID: c.ID, Name: c.Name, LTime: string(c.LTime)})
	if err != nil {
		return nil, failure.Malformed("consul event %q has no usable payload: a manifest URL is expected", c.ID)
	}
	return e, nil
}

// skipped describes an event that will not run, whatever state it is in.
func (c consulEvent) skipped() Event {
	url, _ := c.url()
	return Event{Source: sourceConsul, ID: c.ID, Name: c.Name, LTime: string(c.LTime), URL: strings.TrimSpace(url)}
}

func (c consulEvent) url() (string, error) {
	var text *string
	if err := json.Unmarshal(c.Payload, &text); len(c.Payload) > 0 && err != nil {
		return "", errors.New("payload is not a string")
	}
	if text == nil {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		return "", fmt.Errorf("payload: %w", err)
	}
	return string(b), nil
}

// jsonError says what of data is no JSON array of events, without repeating
// data, which may hold a presigned URL.
func jsonError(err error, data []byte) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case len(data) == 0:
		return errors.New("standard input is empty, expected a JSON array")
	case errors.As(err, &wrongType):
		return fmt.Errorf("a JSON %s where an array of events is expected", wrongType.Value)
	default:
		return err
	}
}
