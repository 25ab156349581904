package event

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"stretcher/internal/text/failure"
)

// MaxSize bounds what is read from standard input, in bytes. Consul hands
// over at most 256 events of well under 1 KiB each.
const MaxSize = 4 << 20

// Input is where an event is read from.
type Input struct {
	Args     []string // positional arguments: none or the manifest URL
	Stdin    io.Reader
	Terminal bool // Stdin is a terminal: nobody pipes an event
	Getenv   func(string) string
	Agent    func() string // names the Serf agent that started this process; nil = it is not known
}

// AgentVariable is set for a process that the agent did not start itself. It
// says what the event's Agent is.
const AgentVariable = "SERF_AGENT"

// agent names the Serf agent that handed the event over.
func (in Input) agent() string {
	if agent := in.Getenv(AgentVariable); agent != "" || in.Agent == nil {
		return agent
	}
	return in.Agent()
}

// Read returns the event that started this process, or nil when there is
// nothing to do: an empty Consul array, or a Serf event of another kind. The
// error is failure.ErrUsage when nobody gave a URL, else failure.ErrMalformed.
// It does not wait longer than ctx does.
func Read(ctx context.Context, in Input) (*Event, error) {
	kind := in.Getenv("SERF_EVENT")
	query := kind == "query" && in.Getenv("SERF_QUERY_NAME") == "deploy"
	switch {
	case len(in.Args) > 1:
		return nil, failure.Usage("one manifest URL expected, got %d arguments", len(in.Args))
	case len(in.Args) == 1:
		return fromLine(in.Args[0], Event{Source: Argument})
	case in.Terminal:
		return nil, failure.Usage("no manifest URL: give one, or pipe an event to standard input")
	case kind != "" && kind != "user" && !query:
		return nil, nil // member-join and the like put a node list on stdin
	}
	return fromStdin(ctx, in)
}

// Drain reads r to its end, but at most limit bytes, and does not wait longer
// than ctx does: the error is the cause of that. What reads then goes on until
// the process ends, because a pipe that nobody closes can't be interrupted.
func Drain(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(r, limit))
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func fromStdin(ctx context.Context, in Input) (*Event, error) {
	data, err := Drain(ctx, in.Stdin, MaxSize+1)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if len(data) > MaxSize {
		return nil, failure.Malformed("event on standard input is larger than %d bytes", MaxSize)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if in.Getenv("SERF_EVENT") == "" && in.Getenv("CONSUL_INDEX") != "" || bytes.HasPrefix(data, []byte("[")) {
		return fromConsul(data)
	}
	e := Event{Source: Stdin}
	if in.Getenv("SERF_EVENT") == "user" {
		e = Event{Source: Serf, Name: in.Getenv("SERF_USER_EVENT"), LTime: in.Getenv("SERF_USER_LTIME"), Agent: in.agent()}
	}
	if in.Getenv("SERF_EVENT") == "query" {
		name, ltime := in.Getenv("SERF_QUERY_NAME"), in.Getenv("SERF_QUERY_LTIME")
		e = Event{Source: Serf, Query: true, Name: "query " + name, LTime: ltime, Agent: in.agent()}
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
