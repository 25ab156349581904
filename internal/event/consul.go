package event

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stretcher/internal/text/failure"
)

// consulEvent is an element of the array that consul watch hands over. LTime
// and Payload are decoded late: an odd one among the events must not keep
// another from running.
type consulEvent struct {
	ID      string
	Name    string
	Payload json.RawMessage // a base64 string or null
	LTime   json.RawMessage // a number
}

// fromConsul takes the newest event, which is the last, of Consul's array, with
// those before it.
func fromConsul(data []byte) (*Event, error) {
	var events []consulEvent
	if err := json.Unmarshal(data, &events); err != nil {
		return nil, failure.Malformed("consul events: %w", jsonError(err, data))
	}
	if len(events) == 0 {
		return nil, nil
	}
	last := len(events) - 1
	e := events[last].event()
	for _, old := range events[:last] {
		e.Older = append(e.Older, old.event())
	}
	return &e, nil
}

func (c consulEvent) event() Event {
	e := Event{Source: Consul, ID: c.ID, Name: c.Name, LTime: string(c.LTime)}
	url, err := c.url()
	if err != nil {
		e.Problem = failure.Malformed("consul event %q: %w", c.ID, err)
		return e
	}
	e.URL = strings.TrimSpace(url)
	if _, err := fromLine(url, e); err != nil {
		e.Problem = failure.Malformed("consul event %q has no usable payload: a manifest URL is expected", c.ID)
	}
	return e
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
