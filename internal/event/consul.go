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
	e, err := fromLine(url, Event{Source: Consul, ID: c.ID, Name: c.Name, LTime: string(c.LTime)})
	if err != nil {
		return nil, failure.Malformed("consul event %q has no usable payload: a manifest URL is expected", c.ID)
	}
	return e, nil
}

// skipped describes an event that will not run, whatever state it is in.
func (c consulEvent) skipped() Event {
	url, _ := c.url()
	return Event{Source: Consul, ID: c.ID, Name: c.Name, LTime: string(c.LTime), URL: strings.TrimSpace(url)}
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
